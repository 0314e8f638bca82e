// Package bounces finds out that a mail which was sent has not arrived. Each mail is sent from a return address of its own,
// to which mail servers report what became of it (RFC 3464); the reports come from a mailbox over IMAP, or are posted by the
// mail server. A report of a failure is recorded before it leaves the mailbox, and the record stays until whoever delivers
// the event has acted on it: that is how no bounce is lost, whichever of several hubs reads it and whatever crashes.
//
// No report is a sign that a mail has arrived, let alone that anybody has read it: only failures change anything.
//
// The files: address.go makes and recognises return addresses, report.go and plain.go read reports, bounces.go takes them in,
// records.go keeps them until they are acted on, http.go and mailbox.go are where they come from.
package bounces

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"carehub/events"
)

// MaxMessage is how many bytes of a report are read. Ours asks for the headers of the mail to be returned, not for all of it.
const MaxMessage = 1 << 20

// Result is what came of one message: a closed word, for counting.
type Result string

const (
	Bounced Result = "bounced" // a mail has not arrived, and that is recorded
	Delayed Result = "delayed" // the mail server is still trying
	Ignored Result = "ignored" // to a return address, but no report of a failure: an auto-reply, a relay report
	Foreign Result = "foreign" // to no return address of this hub
)

// Results lists all of them.
var Results = []Result{Bounced, Delayed, Ignored, Foreign}

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Options are what Bounces needs from outside. All but Counted and Clock are required.
type Options struct {
	Addresses Addresses
	Store     Store
	// At returns the event at a place, wherever it is by now; ok is false where there is none.
	At func(ctx context.Context, at events.Place) (st events.Stored, ok bool, err error)
	// Act does, durably, what follows from a bounce. It is called until it returns nil, or an error that matches ErrKeep.
	Act     func(ctx context.Context, r Record) error
	Counted func(Result)
	Log     *slog.Logger
	Clock   func() time.Time
}

// Bounces takes reports in. It is safe for concurrent use.
type Bounces struct {
	opt  Options
	wake chan struct{}

	mu      sync.Mutex
	pending map[string]Record // by key: to be acted on
	kept    map[string]Record // by key: acted on as far as that was possible
}

// New makes a Bounces, which acts on what it has taken in while Run runs.
func New(o Options) *Bounces {
	if o.Counted == nil {
		o.Counted = func(Result) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Bounces{opt: o, wake: make(chan struct{}, 1), pending: map[string]Record{}, kept: map[string]Record{}}
}

// Take reads one message. When it returns without an error, whatever the message says is durable and nobody needs it any
// more. An error means that it must be given again later. A message may be taken any number of times.
func (b *Bounces) Take(ctx context.Context, message []byte) (Result, error) {
	result, err := b.take(ctx, message)
	if err != nil {
		return "", err
	}
	b.opt.Counted(result)
	return result, nil
}

func (b *Bounces) take(ctx context.Context, message []byte) (Result, error) {
	tokens := b.opt.Addresses.find(message)
	if len(tokens) == 0 {
		return Foreign, nil
	}
	report := Read(message)
	if report.Verdict == Other {
		return Ignored, nil
	}
	for _, token := range tokens {
		rec, ok, err := b.resolve(ctx, token)
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		rec.Status = report.Status
		if report.Verdict == Delay {
			b.log(rec, "a mail is delayed; the mail server keeps trying")
			return Delayed, nil
		}
		b.log(rec, "a mail came back")
		return Bounced, b.record(ctx, rec)
	}
	return Foreign, nil
}

// resolve finds out which leg of which delivery a token stands for.
func (b *Bounces) resolve(ctx context.Context, token string) (Record, bool, error) {
	leg, check, ok := b.opt.Addresses.open(token)
	if !ok {
		return Record{}, false, nil
	}
	st, ok, err := b.opt.At(ctx, leg.Place)
	if broken, is := errors.AsType[*events.Error](err); is && broken.Kind == events.Internal {
		b.opt.Log.Error("a mail came back, and its event cannot be read any more", "partition", leg.Partition, "seq", leg.Seq)
		return Record{}, false, nil // it raises an alarm of its own
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("the event of a bounce cannot be read: %w", err)
	}
	to := st.Record.Plan.Recipients
	if !ok || leg.Index >= len(to) || leg.Channel >= len(to[leg.Index].Channels) {
		return Record{}, false, nil
	}
	rec := Record{V: recordVersion, Partition: leg.Partition, Seq: leg.Seq, Index: leg.Index, Channel: leg.Channel,
		Event: st.Record.Event.ID, Recipient: to[leg.Index].ID, Key: to[leg.Index].Channels[leg.Channel].Key,
		At: b.opt.Clock().UTC().Truncate(time.Second)}
	return rec, bytes.Equal(check, b.opt.Addresses.check(rec.Event, rec.Recipient)), nil
}

// log writes ids and fixed words, nothing of the report but its status.
func (b *Bounces) log(r Record, what string) {
	b.opt.Log.Warn(what, "event", r.Event, "recipient", r.Recipient, "delivery", r.Delivery(), "channel", r.Key, "status", cmp.Or(r.Status, "none"))
}
