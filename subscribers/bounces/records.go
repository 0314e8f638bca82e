package bounces

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"carehub/events"
)

// Prefix of the keys that records are stored under: hub.bounce.<delivery id>.<channel>.
const Prefix = "hub.bounce."

// ErrKeep says that the delivery cannot be taken up again. Its record stays, so that who reads of it learns that it came back.
var ErrKeep = errors.New("nothing more can be done")

// Record is a bounce, from when it is known until it has been acted on. The shape is a promise.
type Record struct {
	V         int       `json:"v"`
	Partition int       `json:"partition"`
	Seq       uint64    `json:"seq"`
	Index     int       `json:"index"`   // of the recipient in the plan
	Channel   int       `json:"channel"` // of the recipient's
	Event     string    `json:"event"`
	Recipient string    `json:"recipient"`
	Key       string    `json:"key"`              // of the channel
	Status    string    `json:"status,omitempty"` // RFC 3463, as reported
	At        time.Time `json:"at"`
	Kept      bool      `json:"kept,omitempty"` // a person was told; the event is in the archive as it was
}

const recordVersion = 1

// Leg is what came back.
func (r Record) Leg() events.Leg {
	return events.Leg{Place: events.Place{Partition: r.Partition, Seq: r.Seq}, Index: r.Index, Channel: r.Channel}
}

// Delivery is the id of the delivery.
func (r Record) Delivery() string { return events.DeliveryID(r.Event, r.Recipient) }

// record stores r unless it is stored already.
func (b *Bounces) record(ctx context.Context, r Record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = b.opt.Store.HubPut(ctx, keyOf(r.Delivery(), r.Key), value, 0)
	if err != nil && events.KindOf(err) != events.Conflict {
		return fmt.Errorf("store a bounce: %w", err)
	}
	return nil
}

func keyOf(delivery, channel string) string { return Prefix + delivery + "." + channel }

// Kept returns the record of a bounce of an event of the archive, if there is one.
func (b *Bounces) Kept(delivery, channel string) (Record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.kept[keyOf(delivery, channel)]
	return r, ok
}

// Pending is how many bounces have not been acted on, by this hub or another.
func (b *Bounces) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

const (
	actEvery   = time.Second      // while something waits to be acted on
	actTimeout = 30 * time.Second // for one record
	actAtOnce  = 16               // records
)

// Run acts on records, this hub's and others', until ctx ends.
func (b *Bounces) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() { followed <- b.opt.Store.HubWatch(ctx, Prefix, func() {}, b.learn) }()
	for {
		var again <-chan time.Time
		if b.Pending() > 0 {
			again = time.After(actEvery)
		}
		select {
		case <-again:
		case <-b.wake:
		case err := <-followed:
			if ctx.Err() != nil {
				err = nil
			}
			return err
		}
		b.actOnAll(ctx)
	}
}

// learn takes note of a change in the store.
func (b *Bounces) learn(key string, value []byte) {
	var r Record
	err := json.Unmarshal(value, &r)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pending, key)
	delete(b.kept, key)
	switch {
	case len(value) == 0:
	case err != nil || r.V > recordVersion:
		b.opt.Log.Error("the record of a bounce cannot be read by this build", "key", key)
	case r.Kept:
		b.kept[key] = r
	default:
		b.pending[key] = r
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

func (b *Bounces) actOnAll(ctx context.Context) {
	b.mu.Lock()
	pending := maps.Clone(b.pending)
	b.mu.Unlock()
	var work sync.WaitGroup
	defer work.Wait()
	turns := make(chan struct{}, actAtOnce)
	for key, r := range pending {
		turns <- struct{}{}
		work.Go(func() {
			defer func() { <-turns }()
			if err := b.actOn(ctx, key, r); err != nil && ctx.Err() == nil {
				b.opt.Log.Debug("a bounce is not acted on yet", "delivery", r.Delivery(), "cause", err.Error())
			}
		})
	}
}

// actOn has one record acted on, and then takes it away, or keeps it for those who read of the delivery.
func (b *Bounces) actOn(ctx context.Context, key string, r Record) error {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	err := b.opt.Act(ctx, r)
	switch {
	case err == nil:
		err = b.opt.Store.HubDelete(ctx, key)
	case errors.Is(err, ErrKeep):
		r.Kept = true
		err = b.keep(ctx, key, r)
	}
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.pending[key] == r || r.Kept { // Run hears of it too, a moment later
			delete(b.pending, key)
		}
	}
	return err
}

func (b *Bounces) keep(ctx context.Context, key string, r Record) error {
	_, revision, ok, err := b.opt.Store.HubGet(ctx, key)
	if err != nil || !ok { // another hub was quicker
		return err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = b.opt.Store.HubPut(ctx, key, value, revision)
	if events.KindOf(err) == events.Conflict {
		return nil
	}
	return err
}
