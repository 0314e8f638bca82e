package main

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"carehub/events"
	"carehub/subscribers"
)

// Recovering is no hurry, and what comes new goes beside it.
const (
	recoverPerSecond = 10
	recoverFailures  = 3 // in a row, after which it is of no use to go on
	recoverPage      = 100
)

// recovered is the last line of what recover answers.
type recovered struct {
	Done      bool `json:"done"`
	Delivered int  `json:"delivered"`
	Failed    int  `json:"failed"`
}

// mayHave reports whether by, a provider that asks for itself or empty for the admin, may have an event sent again: the
// rules in force must name a provider that asks, for its patient and kind, as they must for reading.
func (d endpointDesk) mayHave(by string, st events.Stored) bool {
	return by == "" || d.told(events.Actor{Kind: events.System, ID: by}, &st.Record)
}

// redeliver sends one event to the endpoint once more.
func (d endpointDesk) redeliver(ctx context.Context, by string, at endpointAt, ask endpointAsk, say func(any) error) error {
	if !events.ValidID(ask.Event) {
		return &events.Error{Kind: events.Invalid, Message: "Say which event, by its id."}
	}
	st, err := d.events.Find(ctx, ask.Event)
	if err != nil && events.KindOf(err) == events.NotFound || err == nil && !d.mayHave(by, st) {
		return &events.Error{Kind: events.NotFound, Message: "There is no such event for this endpoint."}
	}
	if err != nil {
		return err
	}
	a, err := d.repeat(ctx, at, st)
	if err != nil {
		return err
	}
	return say(viewAttempt(a))
}

func (d endpointDesk) repeat(ctx context.Context, at endpointAt, st events.Stored) (events.Attempt, error) {
	if d.learned.Get(at.subscriber, at.Key).PausedAt(subscribers.Target(at.Endpoint)) != nil {
		return events.Attempt{}, &events.Error{Kind: events.Conflict, Message: "This endpoint is paused. Resume it first."}
	}
	if err := d.mayRepeat(ctx, st, at.subscriber); err != nil {
		return events.Attempt{}, err
	}
	return d.engine.Repeat(ctx, st, at.subscriber, at.Key)
}

// mayRepeat refuses what was withdrawn before it went, what nobody had to be told of, and what was taken back since. Errors: NotFound.
func (d endpointDesk) mayRepeat(ctx context.Context, st events.Stored, subscriber string) error {
	ended, err := d.ended(ctx, st, subscriber)
	if err != nil {
		return err
	}
	no := &events.Error{Kind: events.NotFound, Message: "This message was withdrawn or taken back, so it is not sent again."}
	if ended == events.Withdrawn || ended == events.Spared {
		return no
	}
	for id := st.Record.Event.ID; ; { // a correction may be corrected
		next, err := d.events.Find(ctx, events.CorrectionID(id))
		switch {
		case err != nil && events.KindOf(err) == events.NotFound:
			return nil
		case err != nil:
			return err
		case next.Record.Event.Correction.Retracts():
			return no
		}
		id = next.Record.Event.ID
	}
}

// recover sends again what was saved since a time and ended without the endpoint's subscriber being told, or with All
// everything: of the patients whose rules name the subscriber now, each patient's events in their order.
func (d endpointDesk) recover(ctx context.Context, by string, at endpointAt, ask endpointAsk, say func(any) error) error {
	if ask.Since.IsZero() || ask.Since.After(time.Now()) {
		return &events.Error{Kind: events.Invalid, Message: "Say since when, a time in the past."}
	}
	pace, sum, inARow := rate.NewLimiter(recoverPerSecond, 1), recovered{}, 0
	for _, patient := range d.patientsOf(at.subscriber) {
		missed, err := d.missed(ctx, patient, at.subscriber, ask)
		if err != nil {
			return err
		}
		for _, event := range missed {
			st, err := d.events.Find(ctx, event)
			if events.KindOf(err) == events.NotFound && err != nil || err == nil && !d.mayHave(by, st) {
				continue
			}
			if err == nil {
				err = pace.Wait(ctx)
			}
			if err != nil {
				return err
			}
			a, err := d.repeat(ctx, at, st)
			if events.KindOf(err) == events.NotFound && err != nil {
				continue // may no longer be told
			}
			if err != nil {
				return err
			}
			if a.Result == events.Delivered {
				sum.Delivered++
				inARow = 0
			} else {
				sum.Failed++
				inARow++
			}
			if err := say(viewAttempt(a)); err != nil {
				return err
			}
			if inARow == recoverFailures {
				return say(sum)
			}
		}
	}
	sum.Done = true
	return say(sum)
}

// patientsOf are those of whom any rule tells the subscriber.
func (d endpointDesk) patientsOf(subscriber string) (all []string) {
	for _, patient := range d.folder.rules.Patients() {
		if d.names(subscriber, patient) {
			all = append(all, patient)
		}
	}
	return all
}

// missed are the ids of a patient's events since then that the subscriber was to be told of and was not, the oldest first: there
// may be years of them.
func (d endpointDesk) missed(ctx context.Context, patient, subscriber string, ask endpointAsk) (missed []string, err error) {
	var before events.Place
	for {
		some, err := d.events.Timeline(ctx, patient, before, recoverPage)
		if err != nil {
			return nil, err
		}
		for _, st := range some {
			before = st.Place()
			if st.Record.Event.Recorded.Before(ask.Since) {
				slices.Reverse(missed)
				return missed, nil
			}
			ended, err := d.ended(ctx, st, subscriber)
			if err != nil {
				return nil, err
			}
			if ended.Final() && ended != events.Withdrawn && ended != events.Spared && (ask.All || !ended.Told()) {
				missed = append(missed, st.Record.Event.ID)
			}
		}
		if len(some) < recoverPage {
			slices.Reverse(missed)
			return missed, nil
		}
	}
}

// ended is how telling the subscriber of an event has ended; empty if it has not, or if the event is not for them.
func (d endpointDesk) ended(ctx context.Context, st events.Stored, subscriber string) (events.State, error) {
	named := slices.ContainsFunc(st.Record.Plan.Recipients, func(r events.Recipient) bool { return r.ID == subscriber })
	if !named {
		return "", nil
	}
	receipts, err := d.events.Receipts(ctx, st)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(receipts, func(r events.Receipt) bool { return r.ID == subscriber })
	if i < 0 {
		return "", nil
	}
	return receipts[i].State, nil
}
