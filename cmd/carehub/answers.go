package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/answers"
	"carehub/events/intake"
	"carehub/routing"
	"carehub/subscribers/deliver"
)

// newAnswers is who keeps what people answer, and tells others where nobody does.
func (h *hub) newAnswers() *answers.Answers {
	src := source{h.archive, lazyEngine{h}, h.returns, nil, nil}
	return answers.New(answers.Options{
		Store: h.store, Engine: func() answers.Engine { return h.engine }, Find: h.archive.Find, Receipts: src.Receipts, Mine: h.delivers,
		Later: func(err error) bool {
			return errors.Is(err, deliver.ErrElsewhere) || errors.Is(err, deliver.ErrNotYet)
		},
		Never: func(err error) bool { return errors.Is(err, deliver.ErrDrained) },
		Over:  func(patient string) bool { return h.current().patients[patient].Deceased != "" },
		Alarm: h.alarm, Given: h.noteAnswer, Clock: time.Now, Log: h.log,
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

// announce tells all who are to know of an event before it is delivered, and returns what is closed when each of them does.
func (h *hub) announce(rec *events.Record) []<-chan struct{} {
	return []<-chan struct{}{h.subscriptions.Announce(rec), h.answers.Announce(rec)}
}

// asked adds to a plan what its rules ask of the recipients: who has to answer, and the rows of those who are told if nobody
// does. Whoever is told anyway, or logged it, is no step.
func (d desk) asked(plan *events.Plan, e *events.Event, matches []routing.Match) {
	steps := d.rules.Steps(askedOf(e))
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
				by := slices.IndexFunc(steps, func(s routing.Match) bool { return s.Recipient == id })
				r, _ := d.matched(id, steps[by]) // the rule that asks for it, which need not be the first that names m
				r.Step = true
				i = len(plan.Recipients)
				plan.Recipients = append(plan.Recipients, r)
			}
			ask.Steps = append(ask.Steps, i)
		}
		plan.Recipients[of].Acknowledge = ask
	}
}

// answerOf stores what a person answers for the row of a recipient.
func (h *hub) answerOf(src source) func(ctx context.Context, event, recipient string, ack events.Ack) error {
	return func(ctx context.Context, event, recipient string, ack events.Ack) error {
		st, err := src.Find(ctx, event)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(st.Record.Plan.Recipients, func(r events.Recipient) bool { return r.ID == recipient })
		if i < 0 {
			return &events.Error{Kind: events.NotFound, Message: "There is no such message."}
		}
		_, err = h.answers.Give(ctx, st, i, ack)
		return err
	}
}

// answeredBy is the newest answer for a recipient of an event; nil if there is none, or nobody can say just now.
func answeredBy(src source) func(ctx context.Context, event, recipient string) *events.Ack {
	return func(ctx context.Context, event, recipient string) *events.Ack {
		st, err := src.Find(ctx, event)
		if err != nil {
			return nil
		}
		all, err := src.Receipts(ctx, st)
		if err != nil {
			return nil
		}
		for _, r := range all {
			if r.ID == recipient {
				return r.Ack
			}
		}
		return nil
	}
}

// answerable is the row of an event that somebody may answer for: of a provider whom the rules name still, or of a carer, who were
// told of it.
func (h *hub) answerable(d desk, src source) func(ctx context.Context, by events.Actor, event string) (events.Stored, int, error) {
	missing := &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
	return func(ctx context.Context, by events.Actor, event string) (events.Stored, int, error) {
		st, err := src.Find(ctx, event)
		if events.KindOf(err) == events.NotFound {
			return st, 0, missing
		}
		if err != nil {
			return st, 0, err
		}
		rec := &st.Record
		i := slices.IndexFunc(rec.Plan.Recipients, func(to events.Recipient) bool { return to.Is(by.ID) })
		if i < 0 || rec.Event.Kind == events.Alarm || !d.mayBeTold(rec, by.ID) {
			return st, 0, missing
		}
		if by.Kind == events.System && !d.told(by, rec) && !d.isStepFor(by.ID, &rec.Event) {
			return st, 0, missing
		}
		all, err := src.Receipts(ctx, st)
		if err != nil {
			return st, 0, &events.Error{Kind: events.Unavailable, Message: "This cannot be taken just now. Please try again.", Err: err}
		}
		if all[i].State == events.Spared {
			return st, 0, missing
		}
		return st, i, nil
	}
}

// acknowledged stores what a person answers in a message of their system.
func (h *hub) acknowledged(d desk, src source) intake.Acknowledge {
	row := h.answerable(d, src)
	return func(ctx context.Context, by events.Actor, event string, ack *events.Ack) error {
		st, index, err := row(ctx, by, event)
		if err == nil && ack != nil {
			_, err = h.answers.Give(ctx, st, index, *ack)
		}
		return err
	}
}
