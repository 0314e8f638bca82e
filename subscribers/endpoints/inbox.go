package endpoints

import (
	"slices"
	"time"

	"carehub/events"
)

// Inbox is what is known of a channel that is a mailbox, beside whether its address was verified. It has no pointers and its
// slices are never changed in place, so that a copy of a Record is its own.
type Inbox struct {
	Verify Ask    `json:"verify,omitzero"` // whether the address is right
	Code   string `json:"code,omitempty"`  // slow salted hash of the code that opens what is sent there
	// Guesses are the wrong codes of late.
	Guesses Guesses   `json:"guesses,omitzero"`
	Alive   time.Time `json:"alive,omitzero"` // when somebody last showed that they read it
	Beat    Ask       `json:"beat,omitzero"`  // whether anybody still does
	Away    Away      `json:"away,omitzero"`
	// Handover is to a colleague who has not verified their address yet, Successor one who has.
	Handover  Handover  `json:"handover,omitzero"`
	Successor Successor `json:"successor,omitzero"`
}

// Ask is a question put by mail, with a link to the page where it is answered, once.
type Ask struct {
	Nonce   string    `json:"nonce"`  // random; the link is made of it and the hub's key
	Target  string    `json:"target"` // Hash of the address that is asked
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`            // when the link ends
	Alarmed time.Time `json:"alarmed,omitzero"` // when the alarm recipients were told that nobody answers
	Mail    Mail      `json:"mail"`
}

// Open reports whether the question can be answered at now.
func (a Ask) Open(now time.Time) bool { return a.Nonce != "" && now.Before(a.Until) }

// Mail is the newest mail of an Ask, and how far sending it is.
type Mail struct {
	N      int           `json:"n"`                // 1 is the first of its Ask
	Words  string        `json:"words"`            // which of the hub's texts
	At     time.Time     `json:"at"`               // its date
	Next   time.Time     `json:"next,omitzero"`    // it is not tried before: a hub is at it, or it has failed
	Tries  int           `json:"tries,omitempty"`  //
	Sent   time.Time     `json:"sent,omitzero"`    // when the mail server took it
	Failed events.Reason `json:"failed,omitempty"` // it is tried no more
}

// Due reports whether the mail should be sent at now.
func (m Mail) Due(now time.Time) bool {
	return m.N > 0 && m.Sent.IsZero() && m.Failed == "" && !now.Before(m.Next)
}

// Away is that nobody reads the inbox for a while, as whoever does has said. Unlike a Pause it holds nothing back: what comes
// is refused, so that it goes another way.
type Away struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Now reports whether they are away at now.
func (a Away) Now(now time.Time) bool { return now.Before(a.Until) }

// Handover is that the inbox is to go to another address, once that is verified.
type Handover struct {
	From string `json:"from"` // Hash of the address of the admin's files that it stands for
	To   string `json:"to"`
	Ask  Ask    `json:"ask"`
}

// Successor is the address that the inbox went to.
type Successor struct {
	From  string    `json:"from"` // Hash of the address of the admin's files that it stands for
	To    string    `json:"to"`
	Since time.Time `json:"since"`
}

// Address is where mail goes for a channel that the admin's files give this address.
func (r Record) Address(registered string) string {
	if s := r.Inbox.Successor; s.To != "" && s.From == Hash(registered) {
		return s.To
	}
	return registered
}

// Limits on wrong codes, counted over a day from the first: a code is short.
const (
	MaxGuesses     = 10 // for one inbox
	MaxLinkGuesses = 5  // behind one link
	GuessWindow    = 24 * time.Hour
)

// Guesses are the codes that were tried within a GuessWindow and were not right.
type Guesses struct {
	Since time.Time `json:"since"`
	Count int       `json:"count"`
	Links []Tried   `json:"links,omitempty"`
	// Locked is when there were too many, Alarmed when the alarm recipients knew.
	Locked  time.Time `json:"locked,omitzero"`
	Alarmed time.Time `json:"alarmed,omitzero"`
}

// Tried is how many of them came behind one link.
type Tried struct {
	Link  string `json:"link"` // hash
	Count int    `json:"count"`
}

// Behind is how many came behind a link.
func (g Guesses) Behind(link string) int {
	for _, t := range g.Links {
		if t.Link == link {
			return t.Count
		}
	}
	return 0
}

// Add counts one, or with -1 takes one back.
func (g *Guesses) Add(link string, n int, now time.Time) {
	if g.Since.IsZero() || g.Over(now) {
		*g = Guesses{Since: now}
	}
	g.Count = max(0, g.Count+n)
	g.Links = slices.Clone(g.Links)
	for i := range g.Links {
		if g.Links[i].Link == link {
			g.Links[i].Count = max(0, g.Links[i].Count+n)
			n = 0
		}
	}
	if g.Count == 0 {
		*g = Guesses{}
	} else if n > 0 {
		g.Links = append(g.Links, Tried{link, n})
	}
}

// Over reports whether their day is over at now.
func (g Guesses) Over(now time.Time) bool { return now.Sub(g.Since) >= GuessWindow }

// IsLocked reports whether no more codes are taken at now.
func (g Guesses) IsLocked(now time.Time) bool { return g.Count >= MaxGuesses && !g.Over(now) }
