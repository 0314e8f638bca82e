// Package hold keeps events that were logged on a carer's page for a few seconds, so that a slip of the thumb can be undone
// before anybody is told. What is held is stored for good: it is released after its time whatever happens to the page, the phone
// or the hub, by any hub that shares the store, and at once when something later is logged for the same patient. Only then is it
// accepted, as any other event.
//
// The record of a held event is changed by compare-and-set alone: it is either undone or released, whoever comes first.
package hold

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// Store is the hub's own records, newest value per key, changed by compare-and-set, and where events are accepted.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
	Publish(ctx context.Context, rec events.Record, message []byte) (stored events.Stored, created bool, err error)
}

const (
	key     = "hub.hold."
	version = 1

	// KeepUndone is how long an event that was undone is still shown as undone.
	KeepUndone = 24 * time.Hour

	retry   = time.Second
	stuckIn = time.Minute // after which a person hears of an event that cannot be released
	workFor = 10 * time.Second
)

type state string

const (
	holding   state = "held"
	releasing state = "releasing" // it can not be undone any more
	undone    state = "undone"
)

// record is what the store keeps of an event that is held. The shape is a promise.
type record struct {
	V       int           `json:"v"`
	State   state         `json:"state"`
	Until   time.Time     `json:"until"` // of the holding or, of what was undone, of the record
	Record  events.Record `json:"record"`
	Message []byte        `json:"message,omitempty"`
}

// Keeper keeps held events. It is safe for concurrent use.
type Keeper struct {
	store   Store
	clock   func() time.Time
	log     *slog.Logger
	changed func(event string) // hears of each event that is held no longer
	stuck   func(ctx context.Context, st events.Stored) error

	mu   sync.Mutex
	held map[string]*held // by event
	kick chan struct{}
}

// held is a record as this hub has it. How long is left is counted from when it was first seen, so that no change of the clock on
// the wall holds an event for longer.
type held struct {
	record
	left time.Duration
	seen time.Time
}

// New returns a keeper that knows nothing until Follow runs. stuck tells a person of an event that could not be released for a
// minute, durably; it is called again until it returns nil, and may be called again after a restart.
func New(store Store, clock func() time.Time, log *slog.Logger, changed func(event string), stuck func(context.Context, events.Stored) error) *Keeper {
	return &Keeper{store: store, clock: clock, log: log, changed: changed, stuck: stuck, held: map[string]*held{}, kick: make(chan struct{}, 1)}
}

// Follow keeps up with what all hubs hold, until ctx ends; ready is called when everything stored is known.
func (k *Keeper) Follow(ctx context.Context, ready func()) error {
	return k.store.HubWatch(ctx, key, ready, func(at string, value []byte) { k.take(strings.TrimPrefix(at, key), value) })
}

func (k *Keeper) take(event string, value []byte) {
	k.mu.Lock()
	was := k.held[event]
	var rec record
	if len(value) == 0 || json.Unmarshal(value, &rec) != nil {
		delete(k.held, event)
	} else {
		h := &held{record: rec, seen: time.Now(), left: max(0, rec.Until.Sub(k.clock()))}
		if rec.State == holding {
			h.left = min(h.left, rec.Record.Plan.Hold)
			if was != nil && was.State == holding {
				h.seen, h.left = was.seen, was.left
			}
		}
		k.held[event] = h
	}
	k.mu.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
	if was != nil {
		k.changed(event)
	}
}

// Hold stores an event that is to be held for its plan's Hold, and returns once that is durable. If its id is held or undone
// already, created is false and stored is that one.
func (k *Keeper) Hold(ctx context.Context, rec events.Record, message []byte) (stored events.Stored, created bool, err error) {
	id := rec.Event.ID
	value, err := json.Marshal(record{V: version, State: holding, Until: rec.Event.Recorded.Add(rec.Plan.Hold), Record: rec, Message: message})
	if err != nil {
		return events.Stored{}, false, err
	}
	_, err = k.store.HubPut(ctx, key+id, value, 0)
	if events.KindOf(err) == events.Conflict && err != nil {
		old, _, ok, err := k.read(ctx, id)
		if err == nil && !ok { // released just now
			return k.store.Publish(ctx, rec, message)
		}
		return old.stored(), false, err
	}
	if err != nil {
		return events.Stored{}, false, err
	}
	k.take(id, value)
	return events.Stored{Record: rec, Message: message}, true, nil
}

func (r record) stored() events.Stored { return events.Stored{Record: r.Record, Message: r.Message} }

func (k *Keeper) read(ctx context.Context, id string) (rec record, revision uint64, ok bool, err error) {
	value, revision, ok, err := k.store.HubGet(ctx, key+id)
	if err == nil && ok {
		err = json.Unmarshal(value, &rec)
	}
	return rec, revision, ok, err
}

// Find is an event that is held or was undone.
func (k *Keeper) Find(id string) (events.Stored, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	if h == nil || h.State == releasing { // it is about to be where all others are
		return events.Stored{}, false
	}
	return h.stored(), true
}

// Undone reports whether an event was taken back before anybody was told.
func (k *Keeper) Undone(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	return h != nil && h.State == undone
}

// Of are the events of a patient that are held, newest first.
func (k *Keeper) Of(patient string) (all []events.Stored) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.held {
		if h.Record.Event.Patient == patient && h.State == holding {
			all = append(all, h.stored())
		}
	}
	slices.SortFunc(all, func(a, b events.Stored) int { return b.Record.Event.Recorded.Compare(a.Record.Event.Recorded) })
	return all
}

// Receipts are those of an event that is held or was undone: the same for all of its recipients.
func (k *Keeper) Receipts(id string) ([]events.Receipt, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	if h == nil || h.State == releasing {
		return nil, false
	}
	out := events.Outcome{State: events.Held, At: h.Record.Event.Recorded, Next: k.clock().Add(max(0, h.left-time.Since(h.seen)))}
	if h.State == undone {
		out = events.Outcome{State: events.Withdrawn, At: h.Until.Add(-KeepUndone)}
	}
	all := make([]events.Receipt, len(h.Record.Plan.Recipients))
	for i, to := range h.Record.Plan.Recipients {
		all[i] = events.Receipt{Recipient: to, Outcome: out}
		if to.Step {
			all[i].State = events.Spared
		}
	}
	return all, true
}

// Undo takes an event back before anybody is told. Errors: Conflict once it has gone, NotFound if it was never held.
func (k *Keeper) Undo(ctx context.Context, id string) error {
	for {
		rec, revision, ok, err := k.read(ctx, id)
		switch {
		case err != nil:
			return err
		case !ok, rec.State == releasing:
			return &events.Error{Kind: events.Conflict, Message: "It has gone already. Nothing was taken back.", Event: id}
		case rec.State == undone:
			return nil
		}
		rec.State, rec.Until, rec.Message = undone, k.clock().UTC().Truncate(time.Millisecond).Add(KeepUndone), nil
		if err = k.put(ctx, id, rec, revision); events.KindOf(err) != events.Conflict || err == nil {
			return err
		}
	}
}

func (k *Keeper) put(ctx context.Context, id string, rec record, revision uint64) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if _, err := k.store.HubPut(ctx, key+id, value, revision); err != nil {
		return err
	}
	k.take(id, value)
	return nil
}

// ReleaseAll releases what is held of a patient, oldest first: something later is about to be accepted.
func (k *Keeper) ReleaseAll(ctx context.Context, patient string) error {
	for _, st := range slices.Backward(k.Of(patient)) {
		if err := k.release(ctx, st.Record.Event.ID); err != nil {
			return err
		}
	}
	return nil
}

// release has an event accepted, unless it was undone. Doing it twice does no harm.
func (k *Keeper) release(ctx context.Context, id string) error {
	rec, revision, ok, err := k.read(ctx, id)
	if err != nil || !ok || rec.State == undone {
		return err
	}
	if rec.State == holding {
		rec.State = releasing
		if err := k.put(ctx, id, rec, revision); err != nil {
			return err
		}
	}
	if _, _, err := k.store.Publish(ctx, rec.Record, rec.Message); err != nil {
		return err
	}
	if err := k.store.HubDelete(ctx, key+id); err != nil {
		return err
	}
	k.take(id, nil)
	return nil
}

// Run releases each event when its time has come, until ctx ends. What is held then is released by the next start, or by another hub.
func (k *Keeper) Run(ctx context.Context) error {
	late := map[string]time.Time{} // when what cannot be released is told to a person
	for {
		due, next := k.due()
		failed := false
		for _, id := range due {
			err := k.end(ctx, id)
			if err == nil || ctx.Err() != nil {
				delete(late, id)
				continue
			}
			failed = true
			if events.KindOf(err) != events.Conflict { // else another hub was quicker
				k.log.Error("a held event is not released yet; trying again", "event", id, "error", err.Error())
				k.complain(ctx, id, late)
			}
		}
		if failed {
			next = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.kick:
		case <-time.After(next):
		}
	}
}

// complain has a person told, once, of an event that cannot be released for long.
func (k *Keeper) complain(ctx context.Context, id string, late map[string]time.Time) {
	at, known := late[id]
	switch {
	case !known:
		late[id] = time.Now().Add(stuckIn)
		return
	case at.IsZero() || time.Now().Before(at): // it has been told, or it is too early
		return
	}
	k.mu.Lock()
	h := k.held[id]
	k.mu.Unlock()
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, workFor)
	defer cancel()
	if err := k.stuck(ctx, h.stored()); err != nil {
		k.log.Error("nobody could be told that a held event is not released", "event", id, "error", err.Error())
		return
	}
	late[id] = time.Time{}
}

// due are the records whose time is over, and how long there is nothing more to do.
func (k *Keeper) due() (some []string, next time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next = time.Hour
	for id, h := range k.held {
		left := h.left - time.Since(h.seen)
		if h.State == releasing || left <= 0 {
			some = append(some, id)
			continue
		}
		next = min(next, left)
	}
	return some, next
}

// end releases an event, or forgets one that was undone long ago.
func (k *Keeper) end(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workFor)
	defer cancel()
	rec, _, ok, err := k.read(ctx, id)
	if err != nil {
		return err
	}
	if !ok {
		k.take(id, nil)
		return nil
	}
	if rec.State == undone {
		if err := k.store.HubDelete(ctx, key+id); err != nil {
			return err
		}
		k.take(id, nil)
		return nil
	}
	return k.release(ctx, id)
}
