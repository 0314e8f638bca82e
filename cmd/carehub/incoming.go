package main

import (
	"context"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/stream"
)

// openDoors makes what takes events in.
func (h *hub) openDoors() {
	var store intake.Store = h.archive
	if h.held != nil { // else it is a command, beside which no page is open
		store = heldToo{h.archive, h.held, h.store.Full}
	}
	h.intake = intake.New(onRecord{store, h.noteLogged}, func() intake.Desk { return h.desk() }, time.Now)
	h.intake.Shared = h.current().hub.NATS != nil
	h.receiver = intake.NewReceiver(h.intake, roomy{h.store}, h.alarmHeld)
}

// roomy is the store for records that anybody who signs in can have written, again and again: they leave the room that is kept
// for telling of what was accepted.
type roomy struct{ *stream.Store }

// HubPut stores a record as long as an event could be stored.
func (s roomy) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := s.Full(); err != nil {
		return 0, err
	}
	return s.Store.HubPut(ctx, key, value, revision)
}

// alarmHeld tells the people named for alarms about what is held.
func (h *hub) alarmHeld(ctx context.Context, about events.About, test bool) error {
	of := events.Stored{Record: events.Record{Event: events.Event{Test: test}}}
	return h.alarm(ctx, about, of)
}

// messages is the door for messages of other systems.
func (h *hub) messages(d desk, src source) http.Handler {
	return &intake.MessageHandler{Receiver: h.receiver, Authenticate: h.authenticateSystem, Hub: d.sender, Log: h.log, Answered: h.meter.answered,
		Acknowledge: h.acknowledged(d, src)}
}

// authenticateSystem lets in systems: with a token of the hub's own, or an access token that may create Bundles.
func (h *hub) authenticateSystem(r *http.Request) (events.Actor, error) {
	by, err := h.permits(r, "Bundle", "c")
	if events.KindOf(err) == events.Forbidden {
		err = &events.Error{Kind: events.Forbidden, Message: err.Error() + " Nothing was saved."}
	}
	return by, err
}

// sweepEvery is how often what is held is looked over.
const sweepEvery = time.Hour

// sweepHeld looks after what is held: at the start, for a crash may have kept an alarm from being raised, and every hour.
func (h *hub) sweepHeld(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Minute)
		err := h.receiver.Sweep(bounded)
		cancel()
		if err != nil && ctx.Err() == nil {
			h.log.Error("held messages were not looked over", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
