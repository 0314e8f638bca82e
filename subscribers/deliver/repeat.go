package deliver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// Repeat sends an event once more to one of its recipients, by one of the channels that they have now: the same ids, the
// same bytes, outside the order of its lane. The ledger does not change by it; the delivery log does. The failure of the
// attempt is in the result. Errors: NotFound where the event is not for this recipient or may no longer be told to them.
func (e *Engine) Repeat(ctx context.Context, st events.Stored, recipient, channel string) (events.Attempt, error) {
	to, by, err := e.addressee(st, recipient, channel)
	if err != nil {
		return events.Attempt{}, err
	}
	m, err := e.message(&event{stored: st}, to, by.Channel, 0)
	if err != nil {
		return events.Attempt{}, fmt.Errorf("make the message: %w", err)
	}
	a := events.Attempt{At: time.Now(), Recipient: recipient, Channel: channel, Type: by.Type, Event: m.Event, Delivery: m.ID, Result: events.Delivered}
	m.Answered = func(r events.Reply) { a.Reply = &r }
	ctx, cancel := context.WithTimeout(ctx, e.opt.AttemptTimeout)
	defer cancel()
	failure := asFailure(by.Endpoint.Send(ctx, m))
	if failure != nil {
		a.Result = string(failure.Reason)
	}
	a.Took = time.Since(a.At)
	if e.opt.Tried != nil {
		e.opt.Tried(a)
	}
	if failure != nil && failure.Pause && e.opt.Gone != nil {
		return a, e.opt.Gone(ctx, recipient, channel, subscribers.Target(by.Endpoint))
	}
	return a, nil
}

// addressee finds whom a repeat goes to, and how.
func (e *Engine) addressee(st events.Stored, recipient, channel string) (*events.Recipient, subscribers.Channel, error) {
	no := func(message string) (*events.Recipient, subscribers.Channel, error) {
		return nil, subscribers.Channel{}, &events.Error{Kind: events.NotFound, Message: message}
	}
	rec := &st.Record
	row := slices.IndexFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.ID == recipient })
	sub, registered := e.opt.Lookup(recipient)
	if row < 0 || !registered || !e.opt.Allowed(rec, recipient) {
		return no("There is no such event for this endpoint.")
	}
	i := slices.IndexFunc(sub.Channels, func(c subscribers.Channel) bool { return c.Key == channel })
	if i < 0 || sub.Channels[i].Endpoint == nil {
		return no("There is no such endpoint.")
	}
	return &rec.Plan.Recipients[row], sub.Channels[i], nil
}
