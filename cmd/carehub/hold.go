package main

import (
	"context"
	"time"

	"carehub/events"
	"carehub/events/archive"
	"carehub/events/hold"
	"carehub/events/stream"
)

// holdFor is how long what a carer logs on their page can be undone before anybody is told. Nobody waits to be told of a fall.
const holdFor = 20 * time.Second

// holdStore is where held events are kept, and where they go.
type holdStore struct {
	*stream.Store
	archive *archive.Archive
}

func (s holdStore) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	return s.archive.Publish(ctx, rec, message)
}

// heldToo is the store together with what is held, for whoever logs and whoever looks at what was logged.
type heldToo struct {
	*archive.Archive
	held *hold.Keeper
	full func() error // whether the store takes no more events
}

// Publish holds an event whose plan says so. Before any other, what is held of its patient is released, so that the order is kept.
func (s heldToo) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	if known, held := s.held.Find(rec.Event.ID); held {
		return known, false, nil
	}
	if rec.Plan.Hold == 0 {
		if err := s.held.ReleaseAll(ctx, rec.Event.Patient); err != nil {
			return events.Stored{}, false, err
		}
		return s.Archive.Publish(ctx, rec, message)
	}
	known, err := s.Archive.Find(ctx, rec.Event.ID)
	switch {
	case err == nil:
		return known, false, nil
	case events.KindOf(err) != events.NotFound:
		return events.Stored{}, false, err
	}
	if err := s.full(); err != nil { // what could not be accepted later is not taken now
		return events.Stored{}, false, err
	}
	return s.held.Hold(ctx, rec, message)
}

func (s heldToo) Find(ctx context.Context, id string) (events.Stored, error) {
	if known, held := s.held.Find(id); held {
		return known, nil
	}
	return s.Archive.Find(ctx, id)
}

// Timeline begins with what is held, which comes after all that was accepted.
func (s heldToo) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	var all []events.Stored
	if before.IsZero() {
		all = s.held.Of(patient)
	}
	all = all[:min(len(all), limit)]
	if len(all) == limit {
		return all, nil
	}
	accepted, err := s.Archive.Timeline(ctx, patient, before, limit-len(all))
	return append(all, accepted...), err
}

// undo takes back what somebody has logged, before anybody is told.
func (h *hub) undo(src source) func(ctx context.Context, by events.Actor, id string) error {
	return func(ctx context.Context, by events.Actor, id string) error {
		st, err := ownFor(ctx, src, by, id)
		if err != nil {
			return err
		}
		if err := h.held.Undo(ctx, id); err != nil {
			return err
		}
		h.log.Info("undone", "event", id)
		h.noteDone(by, st.Record.Event, "undo", time.Now())
		return h.intake.Forget(ctx, st.Record.Event.Patient)
	}
}

// alarmStuck tells the people named for alarms, and whoever logged it, of a held event that cannot be accepted.
func (h *hub) alarmStuck(ctx context.Context, st events.Stored) error {
	return h.alarm(ctx, events.About{Event: st.Record.Event.ID, Reason: events.ReasonOverdue}, st)
}
