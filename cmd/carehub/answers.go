package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/answers"
	"carehub/routing"
	"carehub/subscribers/deliver"
)

// newAnswers is who keeps what people answer, and tells others where nobody does.
func (h *hub) newAnswers() *answers.Answers {
	src := source{h.archive, lazyEngine{h}, h.returns, nil}
	return answers.New(answers.Options{
		Store: h.store, Engine: func() answers.Engine { return h.engine }, Find: h.archive.Find, Receipts: src.Receipts, Mine: h.delivers,
		Later: func(err error) bool {
			return errors.Is(err, deliver.ErrElsewhere) || errors.Is(err, deliver.ErrNotYet)
		},
		Never: func(err error) bool { return errors.Is(err, deliver.ErrDrained) },
		Alarm: h.alarm, Clock: time.Now, Log: h.log,
	})
}

// lazyEngine is the engine, which is made after those who ask it.
type lazyEngine struct{ h *hub }

func (l lazyEngine) Receipts(ctx context.Context, st events.Stored) ([]events.Receipt, error) {
	return l.h.engine.Receipts(ctx, st)
}

func (l lazyEngine) Watch(event string) (<-chan struct{}, func()) { return l.h.engine.Watch(event) }

// delivers reports whether this hub delivers a partition.
func (h *hub) delivers(partition int) bool { return h.leases == nil || h.leases.MayStart(partition) }

// announce tells all who are to know of an event before it is delivered. What it returns is closed when all of them do.
func (h *hub) announce(rec *events.Record) <-chan struct{} {
	numbered, waits := h.subscriptions.Announce(rec), h.answers.Announce(rec)
	switch {
	case numbered == nil:
		return waits
	case waits == nil:
		return numbered
	}
	both := make(chan struct{})
	go func() { // it ends with the hub at the latest: both are closed, or nobody waits any more
		<-numbered
		<-waits
		close(both)
	}()
	return both
}

// asked adds to a plan what its rules ask of the recipients: who has to answer, and the rows of those who are told if nobody
// does. Whoever is told anyway, or logged it, is no step.
func (d desk) asked(plan *events.Plan, e *events.Event, matches []routing.Match) {
	for _, m := range matches {
		of := slices.IndexFunc(plan.Recipients, func(r events.Recipient) bool { return r.Is(m.Recipient) })
		if m.Ask == nil || of < 0 {
			continue
		}
		ask := &events.Acknowledge{Within: m.Ask.Within, Any: m.Ask.Any}
		for _, id := range m.Ask.Else {
			told := slices.ContainsFunc(plan.Recipients, func(r events.Recipient) bool { return r.Is(id) && !r.Step })
			if told || id == e.By.ID {
				continue
			}
			i := slices.IndexFunc(plan.Recipients, func(r events.Recipient) bool { return r.ID == id && r.Step })
			if i < 0 {
				r, _ := d.recipient(id, m.Rule)
				r.Step = true
				i = len(plan.Recipients)
				plan.Recipients = append(plan.Recipients, r)
			}
			ask.Steps = append(ask.Steps, i)
		}
		plan.Recipients[of].Acknowledge = ask
	}
}
