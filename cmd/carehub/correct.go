package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/correct"
	"carehub/events/fhir"
	"carehub/routing"
	"carehub/subscribers/deliver"
)

// newCorrections is who takes back what was logged by mistake.
func (h *hub) newCorrections() *correct.Corrections {
	src := source{h.archive, lazyEngine{h}, h.returns, h.answers, nil}
	return correct.New(correct.Options{
		Store: h.store, Events: h.archive, Withdraw: h.withdraw, Receipts: src.Receipts, People: func(e events.Event) (events.Patient, events.Person, events.Sender) { return h.desk().People(e) },
		Corrected: func(ctx context.Context, st events.Stored) error {
			if err := h.answers.Cancel(ctx, st.Record.Event.ID); err != nil {
				return err
			}
			return h.intake.Forget(ctx, st.Record.Event.Patient)
		},
		Asked: h.noteCorrection,
		Rules: func() string { return h.current().hash() }, Clock: func() time.Time { return time.Now().In(h.current().hub.Location) }, Log: h.log,
	})
}

// withdraw takes an event back from whoever has not been told.
func (h *hub) withdraw(ctx context.Context, st events.Stored) ([]correct.Row, bool, error) {
	if st.Outcomes != nil {
		return rowsOf(deliver.Withdrawals(st.Outcomes)), true, nil
	}
	rows, err := h.engine.Withdraw(ctx, st.Place())
	switch {
	case errors.Is(err, deliver.ErrElsewhere), errors.Is(err, deliver.ErrNotYet):
		return nil, false, nil
	case errors.Is(err, deliver.ErrDrained): // everybody has been told, and it is about to be archived
		receipts, err := h.engine.Receipts(ctx, st)
		outcomes := make([]events.Outcome, len(receipts))
		for i := range receipts {
			outcomes[i] = receipts[i].Outcome
		}
		return rowsOf(deliver.Withdrawals(outcomes)), h.delivers(st.Partition), err
	}
	return rowsOf(rows), err == nil, err
}

func rowsOf(rows []deliver.Withdrawal) []correct.Row {
	out := make([]correct.Row, len(rows))
	for i, row := range rows {
		switch row {
		case deliver.ToldOf:
			out[i] = correct.Told
		case deliver.UnderWay:
			out[i] = correct.UnderWay
		}
	}
	return out
}

// mayCorrect says whether somebody may correct an event: who logged it, also when their time to log is over.
func (d desk) mayCorrect(by events.Actor, rec events.Record) bool {
	_, registered := d.register.Lookup(by.ID)
	return registered && rec.Event.By == by &&
		d.rules.May(by.ID, rec.Event.Patient, routing.Log, time.Now().In(d.hub.Location)) != routing.No
}

// newest is the message of an event for a recipient, or of the event that corrects it, if they are told of that.
func (h *hub) newest(ctx context.Context, st events.Stored, recipient string) (fhir.Message, error) {
	for {
		next, err := h.archive.Find(ctx, events.CorrectionID(st.Record.Event.ID))
		if err != nil && events.KindOf(err) != events.NotFound {
			return fhir.Message{}, err
		}
		told := slices.ContainsFunc(next.Record.Plan.Recipients, func(r events.Recipient) bool { return r.ID == recipient })
		if err != nil || !told {
			return fhir.Decode(st.Message)
		}
		st = next
	}
}

// corrected stores, for the carer's page, that an event was wrong, and returns the correction or, where that takes longer, the event.
func (h *hub) corrected(ctx context.Context, by events.Actor, st events.Stored, what events.Correction, occurred time.Time) (string, error) {
	if !h.desk().mayCorrect(by, st.Record) {
		return "", &events.Error{Kind: events.Forbidden, Message: "You cannot correct that here."}
	}
	id, err := h.corrections.Ask(ctx, st, correct.Request{By: by, Correction: what, Occurred: occurred})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err = h.corrections.Wait(ctx, id); err != nil {
		return st.Record.Event.ID, nil // it is saved, and on its way
	}
	return id, nil
}
