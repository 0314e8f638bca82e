// Package inbox keeps watch over mailboxes, which is all that many providers have: nothing about a patient goes to an
// address before somebody there has verified it, what a mail's link shows takes a code that was set then, whoever reads an
// inbox can pause it or hand it to a colleague, and one that nobody reads is found.
//
// What it has learned is in the records of endpoints, changed by compare-and-set, so that any hub of several may act on it
// and one does. The files: gate.go is what a delivery passes, keeper.go what is due and when, send.go the mails, code.go
// and porter.go codes and who has given one, page.go and forms.go the pages, words.go all texts.
package inbox

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// Sealer makes tokens for URLs that nobody else can read, guess or change.
type Sealer interface {
	Seal(content string) (token string)
	Open(token string) (content string, ok bool)
}

// Options are what a Keeper needs from outside. All are required.
type Options struct {
	Registry *endpoints.Registry
	// Everyone and Lookup are the subscribers as registered now.
	Everyone func() []subscribers.Subscriber
	Lookup   func(id string) (subscribers.Subscriber, bool)
	Hub      func() events.Sender
	Zone     func() *time.Location
	Seal     Sealer
	// Alarm tells the people named for alarms, durably, once for each About.
	Alarm func(ctx context.Context, about events.About, words string) error
	Log   *slog.Logger
}

// Keeper looks after all inboxes. Make it with New, and have Run running while it is used. It is safe for concurrent use.
type Keeper struct {
	Options
	pages    page.Writer
	checking chan struct{} // one place for each code that is checked at one time
	memory   uint32        // of new hashes, KiB

	mu      sync.Mutex
	waiting map[place]bool // where something could not be sent for want of a verified address
	woken   chan struct{}  // closed and replaced when there is news of that
}

// New makes a keeper; it does nothing by itself until Run.
func New(o Options) *Keeper {
	return &Keeper{Options: o, pages: page.Writer{Hub: o.Hub, Log: o.Log}, checking: make(chan struct{}, 2), memory: memory,
		waiting: map[place]bool{}, woken: make(chan struct{})}
}

// place names one channel of one subscriber.
type place struct{ subscriber, channel string }

// box is one inbox: where it is, who reads it, and its mail.
type box struct {
	place
	who  subscribers.Subscriber
	mail subscribers.Mailbox
}

// boxes are the inboxes of a subscriber, in order of preference.
func boxes(s subscribers.Subscriber) (all []box) {
	for _, c := range s.Channels {
		if m, ok := c.Endpoint.(subscribers.Mailbox); ok {
			all = append(all, box{place{s.ID, c.Key}, s, m})
		}
	}
	return all
}

// find returns the inbox at a place.
func (k *Keeper) find(at place) (box, bool) {
	s, _ := k.Lookup(at.subscriber)
	for _, b := range boxes(s) {
		if b.channel == at.channel {
			return b, true
		}
	}
	return box{}, false
}

func (k *Keeper) record(at place) endpoints.Record { return k.Registry.Get(at.subscriber, at.channel) }

func (k *Keeper) change(ctx context.Context, at place, fn func(*endpoints.Record) error) (endpoints.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return k.Registry.Change(ctx, at.subscriber, at.channel, fn)
}

// storeTimeout bounds one change of a record.
const storeTimeout = 10 * time.Second

// How long things take.
const (
	LinkLife   = 7 * 24 * time.Hour // of a link that verifies an address
	NoticeEach = 24 * time.Hour     // an unverified address hears at most so often that something waits for it
	BeatEvery  = 30 * 24 * time.Hour
	RemindIn   = 4 * 24 * time.Hour // after the mail that asks whether anybody reads the inbox
	UnreadIn   = 7 * 24 * time.Hour // after it, the alarm recipients are told that nobody seems to
	MaxAway    = 60                 // days
)

// newAsk is a question to an address, not sent yet.
func newAsk(address, words string, now time.Time, life time.Duration) endpoints.Ask {
	now = now.UTC().Truncate(time.Second)
	return endpoints.Ask{Nonce: strings.ToLower(rand.Text()), Target: endpoints.Hash(address), At: now, Until: now.Add(life),
		Mail: endpoints.Mail{N: 1, Words: words, At: now}}
}

// Verify has the address in force of an inbox be asked, by a link of its own, whether it is right. Links that were sent
// before end. What was verified stays so until the new link is used.
func (k *Keeper) Verify(ctx context.Context, subscriber, channel string) error {
	b, err := k.registered(subscriber, channel)
	if err != nil {
		return err
	}
	_, err = k.change(ctx, b.place, func(rec *endpoints.Record) error {
		rec.Inbox.Verify = newAsk(rec.Address(b.mail.Address()), wordsVerify, time.Now(), LinkLife)
		return nil
	})
	return err
}

// Resume ends a pause, and takes an inbox back that was handed to a colleague: its own address then has to be verified
// anew.
func (k *Keeper) Resume(ctx context.Context, subscriber, channel string) error {
	b, err := k.registered(subscriber, channel)
	if err != nil {
		return err
	}
	_, err = k.change(ctx, b.place, func(rec *endpoints.Record) error {
		rec.Inbox.Away, rec.Inbox.Handover, rec.Inbox.Successor = endpoints.Away{}, endpoints.Handover{}, endpoints.Successor{}
		return nil
	})
	return err
}

func (k *Keeper) registered(subscriber, channel string) (box, error) {
	b, ok := k.find(place{subscriber, channel})
	if !ok {
		return box{}, &events.Error{Kind: events.NotFound, Message: subscriber + " has no inbox named " + channel}
	}
	return b, nil
}

// Unverified returns the channels of a subscriber that are inboxes nobody has verified.
func (k *Keeper) Unverified(s subscribers.Subscriber) (channels []string) {
	for _, b := range boxes(s) {
		if rec := k.record(b.place); !rec.IsVerified(rec.Address(b.mail.Address())) {
			channels = append(channels, b.channel)
		}
	}
	return channels
}
