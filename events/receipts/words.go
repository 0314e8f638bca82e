// Package receipts says who has been told: the fixed words for each state, the answer of GET /events/{id}, the same live
// as server-sent events, and the page behind a recipient's link. Reading changes nothing.
package receipts

import (
	"cmp"
	"embed"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

//go:embed words.en.json words.cy.json
var catalogue embed.FS

var words = page.Catalogue(catalogue)

// Words is what a carer reads about one recipient, as of now, in times of zone. The words are fixed: none of them says
// more than the hub knows (hazard: false reassurance). That a mail server or a system took the message is not that
// anybody has read it.
func Words(lang page.Lang, r events.Receipt, now time.Time, zone *time.Location) string {
	s := speaker{lang: lang, r: r, now: now.In(zone)}
	if r.Ack != nil && (r.State == events.Acknowledged || r.State == events.Declined) {
		return s.answered()
	}
	switch r.State {
	case events.Held:
		return s.say("held", r.Next)
	case events.Withdrawn:
		if r.Attempts > 0 { // it may have arrived
			return s.say("withdrawn-tried", time.Time{})
		}
		return s.say("withdrawn", time.Time{})
	case events.Waiting:
		return s.say("waiting", r.Next)
	case events.Trying:
		return s.say("trying", time.Time{})
	case events.Retrying:
		return s.retrying()
	case events.Sent:
		return s.say("sent", r.At)
	case events.Received:
		return s.say("received", r.At)
	case events.Acknowledged:
		return s.say("acknowledged", r.At)
	case events.Declined:
		return s.say("declined", r.At) + s.call()
	case events.Unacknowledged:
		return s.say("unacknowledged", r.At) + s.at("next-step", r.Next) + s.call()
	case events.Refused:
		if r.Reason == events.ReasonNoChannel {
			return s.say("phone-only", r.At) + s.call()
		}
		return s.say("refused", r.At) + s.call() + s.alarmed()
	case events.Failed:
		return s.say("failed", r.At) + s.call() + s.alarmed()
	}
	return s.say("unknown", r.At) + s.call()
}

// speaker puts into words how one recipient stands.
type speaker struct {
	lang page.Lang
	r    events.Receipt
	now  time.Time // in the hub's zone
}

func (s speaker) retrying() string {
	switch s.r.Reason {
	case events.ReasonGone, events.ReasonPaused: // nothing is tried until a person has seen to it
		return s.say("stopped", s.r.At) + s.call() + s.alarmed()
	case events.ReasonBounced:
		return s.say("bounced", s.r.At) + s.call() + s.alarmed()
	}
	return s.say("retrying", s.r.At) + s.at("again", s.r.Next) + s.call() + s.alarmed()
}

// answered is what a person has said, by name: nothing else counts as somebody having seen it.
func (s speaker) answered() string {
	ack := s.r.Ack
	who := ack.Name
	if ack.Role != "" {
		who = words.Say(s.lang, "role", "who", ack.Name, "role", ack.Role)
	}
	said := words.Say(s.lang, "ack-"+string(ack.Answer), "who", who, "name", s.r.Name, "time", s.clock(ack.At),
		"line", given(ack.Line, words.Say(s.lang, "line", "line", strings.TrimRight(ack.Line, "."))))
	if ack.Answer == events.NotForUs {
		said += s.call()
	}
	return said
}

// say is the sentence of a key. at fills in when, where the sentence says so.
func (s speaker) say(key string, at time.Time) string {
	why := ""
	if known := "why-" + string(s.r.Reason); words.Has(known) {
		why = words.Say(s.lang, known)
	}
	return words.Say(s.lang, key, "name", s.r.Name, "short", strings.TrimPrefix(s.r.Name, "The "), "at", s.at("at", at), "time", s.clock(at),
		"by", s.by(), "why", why, "because", given(why, words.Say(s.lang, "because", "why", why)))
}

// at is a part of a sentence that names a time; "" for no time.
func (s speaker) at(key string, t time.Time) string {
	return given(s.clock(t), words.Say(s.lang, key, "at", s.clock(t)))
}

// clock is the time of day, with its day when that is not today; "" for no time.
func (s speaker) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return s.lang.At(t.In(s.now.Location()), s.now)
}

// by names the way a message went; "" where the state speaks of none.
func (s speaker) by() string {
	i := slices.IndexFunc(s.r.Channels, func(c events.Channel) bool { return c.Key == s.r.Channel })
	if i < 0 {
		return ""
	}
	means := s.r.Channels[i].Type
	if known := "means-" + means; words.Has(known) {
		means = words.Say(s.lang, known)
	}
	return words.Say(s.lang, "by", "means", means)
}

func (s speaker) call() string {
	return given(s.r.Phone, words.Say(s.lang, "call", "phone", s.r.Phone))
}

func (s speaker) alarmed() string {
	switch {
	case s.r.Heard:
		return words.Say(s.lang, "alarmed")
	case s.r.Alarm != "":
		return words.Say(s.lang, "alarming")
	}
	return "" // no alarm is known here, so nothing is claimed
}

// given is a text, or nothing where what it is about is missing.
func given(what, text string) string {
	if what == "" {
		return ""
	}
	return text
}

// notes are what a logger should know of how the event came in, in this order.
var notes = []events.Flag{events.FlagClock, events.FlagRepeat, events.FlagAuthorityEnded}

// Message is what the logger reads about the event as a whole. phones are whom to call when nobody can be told.
func Message(lang page.Lang, e events.Event, phones []string) string {
	said := []string{words.Say(lang, "saved")}
	if e.Has(events.FlagUnrouted) {
		said[0] = words.Say(lang, "unrouted", "phones", cmp.Or(strings.Join(phones, words.Say(lang, "or")), words.Say(lang, "yourself")))
	}
	for _, flag := range notes {
		if e.Has(flag) {
			said = append(said, words.Say(lang, "note-"+string(flag)))
		}
	}
	return strings.Join(said, " ")
}
