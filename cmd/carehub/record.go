package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/correct"
	"carehub/events/intake"
	"carehub/events/stream"
	"carehub/subscribers/signin"
)

// What people and systems do is put on record behind them: the event, the answer or the session is stored by then, and does not
// wait for its AuditEvent.

func (h *hub) newTrail() *audit.Trail {
	t := audit.NewTrail(h.store)
	t.Failing = func(waiting int, err error) {
		h.log.Error("the audit trail cannot be written; trying again", "waiting", waiting, "error", err.Error())
	}
	return t
}

// keepTrail writes the audit trail until ctx ends.
func (h *hub) keepTrail(ctx context.Context) error {
	err := h.trail.Run(ctx)
	if err != nil {
		h.log.Error("the hub ends, and what was done last is not in the audit trail", "error", err.Error())
	}
	return err
}

// runTrail writes the audit trail of a command, until the end that it returns is called.
func (h *hub) runTrail(ctx context.Context) (end func()) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.keepTrail(running) }()
	return func() { stop(); <-ended }
}

// recordAlone has a command put something on record where no hub does.
func recordAlone(ctx context.Context, f *folder, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return withStore(ctx, f, func(ctx context.Context, s *stream.Store) error {
		h := newHub(f, slog.New(slog.DiscardHandler))
		h.store = s
		h.trail = h.newTrail()
		defer h.runTrail(ctx)()
		return h.trail.Append(ctx, event)
	}, func(context.Context, string) error {
		return errors.New("it is done, but not on record: a hub has just started")
	})
}

// note puts an AuditEvent on record soon.
func (h *hub) note(event []byte, err error) {
	if err == nil && !h.trail.Note(event) {
		err = errors.New("too much waits for the audit trail")
	}
	if err != nil {
		h.log.Error("not on record", "error", err.Error())
	}
}

func (h *hub) noteAccess(a audit.Access) { h.note(audit.Event(h.current().sender(), a)) }

// noteDone puts on record what somebody did about an event.
func (h *hub) noteDone(by events.Actor, e events.Event, what string, at time.Time) {
	h.noteAccess(audit.Access{By: by, Interaction: "operation", Type: "Communication", ID: e.ID, Patient: e.Patient, Query: what, At: at})
}

// noteAnswer puts on record what was answered for whom: which person it was stands in the answer, with the event.
func (h *hub) noteAnswer(st events.Stored, index int, ack events.Ack) {
	to := st.Record.Plan.Recipients[index]
	by := events.Actor{Kind: events.System, ID: cmp.Or(to.For, to.ID)}
	if s, ok := h.current().register.Lookup(by.ID); ok && s.Carer {
		by.Kind = events.Carer
	}
	h.noteDone(by, st.Record.Event, "acknowledge: "+string(ack.Answer)+", by "+ack.Via, ack.At)
}

func (h *hub) noteCorrection(st events.Stored, r correct.Request) {
	h.noteDone(r.By, st.Record.Event, "correct: "+string(r.Correction), r.Recorded)
}

func (h *hub) noteLogged(e events.Event) {
	h.noteAccess(audit.Access{By: e.By, Interaction: "create", Type: "Communication", ID: e.ID, Patient: e.Patient, At: e.Recorded})
}

func (h *hub) noteSession(e signin.Entry) {
	h.note(audit.Session(e).Event(h.current().sender()))
}

func (h *hub) noteRevoked(carer, by string) {
	h.note(audit.Revocation(h.current().sender(), carer, by, time.Now()))
}

// onRecord is where events are kept, and the record of who logged them.
type onRecord struct {
	intake.Store
	logged func(events.Event)
}

func (s onRecord) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	st, created, err := s.Store.Publish(ctx, rec, message)
	if err == nil && created {
		s.logged(st.Record.Event)
	}
	return st, created, err
}
