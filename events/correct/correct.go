// Package correct takes back, or puts right, what was logged by mistake. A correction is an event of its own, for exactly those
// who were told of the first one, or may have been; whoever has not been told is not told any more.
//
// What was asked is stored before whoever asked is thanked, by whichever hub they came to. The hub that delivers the first event
// then withdraws it, and only when it is durable from whom, stores the correction for all others. Each of these steps comes to the
// same when it is done again, so that a crash anywhere does no harm: a recipient who was withdrawn without an attempt stays so,
// and the correction has one id.
package correct

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Events is where events are kept.
type Events interface {
	Find(ctx context.Context, id string) (events.Stored, error)
	Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error)
}

// Row says of one row of an event's plan who is to hear of a retraction.
type Row int

// What a row can be.
const (
	Untold   Row = iota // not told, and not told any more
	Told                // told, or perhaps
	UnderWay            // likewise, and not over: it is to be withdrawn again in a while
)

// Options are what corrections need. All are required.
type Options struct {
	Store  Store
	Events Events
	// Withdraw takes an event back from whoever has not been told, durably. It returns false where another hub does, or where it is
	// too early to say.
	Withdraw func(ctx context.Context, st events.Stored) ([]Row, bool, error)
	// Receipts is how telling the recipients of an event stands.
	Receipts func(ctx context.Context, st events.Stored) ([]events.Receipt, error)
	People   func(events.Event) (events.Patient, events.Person, events.Sender)
	// Corrected hears of an event that is taken back before anybody is told of that: nobody has to answer it any more. It is called
	// again until it returns nil.
	Corrected func(ctx context.Context, st events.Stored) error
	// Asked hears of what somebody asks of an event, once that is stored. It does not keep them waiting.
	Asked func(st events.Stored, r Request)
	// Rules names the rules in force.
	Rules func() string
	Clock func() time.Time
	Log   *slog.Logger
}

// Corrections is safe for concurrent use.
type Corrections struct {
	Options

	mu    sync.Mutex
	asked map[string]*Request // that are to be done, by the event that they are about
	said  chan struct{}       // closed at the next correction that is stored
	kick  chan struct{}
}

// Request is what somebody asks for. The shape of its record is a promise.
type Request struct {
	V          int               `json:"v"`
	Event      string            `json:"event"` // that is corrected
	Correction events.Correction `json:"correction"`
	Occurred   time.Time         `json:"occurred,omitzero"` // the right time, with WrongTime only
	By         events.Actor      `json:"by"`
	Recorded   time.Time         `json:"recorded"`
}

const (
	prefix    = "hub.correct." // and the event
	recordNow = 1
)

// New returns corrections that know nothing until Follow runs.
func New(o Options) *Corrections {
	return &Corrections{Options: o, asked: map[string]*Request{}, said: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// Follow keeps up with what was asked at any hub, until ctx ends; ready is called when everything stored is known.
func (c *Corrections) Follow(ctx context.Context, ready func()) error {
	return c.Store.HubWatch(ctx, prefix, ready, func(key string, value []byte) { c.take(strings.TrimPrefix(key, prefix), value) })
}

func (c *Corrections) take(event string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Request{}
	if len(value) == 0 || json.Unmarshal(value, r) != nil {
		delete(c.asked, event)
		return
	}
	c.asked[event] = r
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Ask stores what is asked of an event, and returns the id of its correction once that is durable: who is told of it follows. Asked
// again for the same it is the same. Errors: Invalid; Conflict, with the event that corrects it, where something else was asked;
// Unavailable.
func (c *Corrections) Ask(ctx context.Context, st events.Stored, r Request) (id string, err error) {
	e := &st.Record.Event
	r.V, r.Event, r.Recorded = recordNow, e.ID, c.Clock().Truncate(time.Millisecond)
	if err := r.check(e); err != nil {
		return "", err
	}
	id = events.CorrectionID(e.ID)
	made, err := c.Events.Find(ctx, id)
	if err == nil {
		return id, r.same(made.Record.Event.Correction, made.Record.Event.Occurred, id)
	}
	if events.KindOf(err) != events.NotFound {
		return "", err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	_, err = c.Store.HubPut(ctx, prefix+e.ID, value, 0)
	switch {
	case err == nil:
		c.take(e.ID, value)
		c.Log.Info("a correction is asked for", "event", e.ID, "correction", string(r.Correction))
		c.Asked(st, r)
		return id, nil
	case events.KindOf(err) != events.Conflict:
		return "", err
	}
	return id, c.sameAsAsked(ctx, r, id)
}

// sameAsAsked compares a request with the one that came first.
func (c *Corrections) sameAsAsked(ctx context.Context, r Request, id string) error {
	value, _, ok, err := c.Store.HubGet(ctx, prefix+r.Event)
	if err != nil {
		return err
	}
	var first Request
	if !ok || json.Unmarshal(value, &first) != nil { // it was done in this moment
		return &events.Error{Kind: events.Unavailable, Message: "Nothing is known to be saved. Please try again."}
	}
	return r.same(first.Correction, first.Occurred, id)
}

// same holds where what was asked first is this.
func (r *Request) same(correction events.Correction, occurred time.Time, id string) error {
	if correction == r.Correction && (r.Correction != events.WrongTime || occurred.Equal(r.Occurred)) {
		return nil
	}
	return &events.Error{Kind: events.Conflict, Event: id,
		Message: "This event was corrected before, in another way. Nothing new was saved. Correct that correction if it is wrong."}
}

func (r *Request) check(e *events.Event) error {
	problem := ""
	switch {
	case !r.Correction.Known():
		problem = `"correction" must be retracted, wrong-person, wrong-event or wrong-time.`
	case e.Kind == events.Alarm || e.Correction.Retracts():
		problem = "This cannot be corrected. If it did happen, log it anew."
	case r.Correction != events.WrongTime && !r.Occurred.IsZero():
		problem = `"occurred" goes with "wrong-time" only.`
	case r.Correction == events.WrongTime && r.Occurred.IsZero():
		problem = `"wrong-time" needs the right time as "occurred", with its zone as in RFC 3339: 2026-10-25T14:30:00+01:00.`
	case r.Occurred.After(r.Recorded):
		problem = `"occurred" has not come yet.`
	}
	if problem != "" {
		return &events.Error{Kind: events.Invalid, Message: problem + " Nothing was saved."}
	}
	return nil
}

// Wait returns the correction of an event when it is stored, or an error of kind NotFound where that takes until ctx ends.
func (c *Corrections) Wait(ctx context.Context, id string) (events.Stored, error) {
	for {
		c.mu.Lock()
		said := c.said
		c.mu.Unlock()
		st, err := c.Events.Find(context.WithoutCancel(ctx), id)
		if err == nil || events.KindOf(err) != events.NotFound {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, err
		case <-said:
		case <-time.After(250 * time.Millisecond): // another hub may do it
		}
	}
}
