package deliver

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/time/rate"

	"carehub/events"
	"carehub/subscribers"
)

// endpoint returns the health of one of a recipient's channels, with the limits that the admin has set.
func (e *Engine) endpoint(r *recipient, key string) *endpoint {
	ep := r.endpoints[key]
	if ep != nil {
		return ep
	}
	ep = &endpoint{window: 1, paused: e.opt.Paused(r.id, key)} // until it has shown what it can take
	ep.limit(e.limits(r.id, key), e.opt.Concurrency)
	ep.steady = ep.width
	r.endpoints[key] = ep
	return ep
}

func (e *Engine) limits(recipient, key string) subscribers.Limits {
	sub, _ := e.opt.Lookup(recipient)
	for _, c := range sub.Channels {
		if c.Key == key {
			return c.Limits
		}
	}
	return subscribers.Limits{}
}

// Moved tells that an admin has changed how a recipient is reached: limits are as they say now, what is paused as Paused says now,
// and what waits is tried at once. Whoever is reached no more is found out by that, too.
func (e *Engine) Moved(recipient string) {
	var keys []string
	e.mu.Lock()
	if r := e.recipients[recipient]; r != nil {
		for key, ep := range r.endpoints {
			ep.limit(e.limits(recipient, key), e.opt.Concurrency)
			keys = append(keys, key)
		}
	}
	e.mu.Unlock()
	for _, key := range keys {
		e.Pause(recipient, key, e.opt.Paused(recipient, key))
	}
	e.Resume(recipient)
}

// limit sets what an admin allows; concurrency is what goes for the others.
func (ep *endpoint) limit(limits subscribers.Limits, concurrency int) {
	ep.width = cmp.Or(limits.Concurrency, concurrency)
	ep.window, ep.steady = min(ep.window, ep.width), min(ep.steady, ep.width)
	switch per := rate.Limit(limits.Rate) / 60; {
	case limits.Rate == 0:
		ep.pace = nil
	case ep.pace == nil || ep.pace.Limit() != per:
		ep.pace = rate.NewLimiter(per, max(1, limits.Rate/60))
	}
}

// paced reports whether the endpoint's rate lets an attempt start now.
func (ep *endpoint) paced(now time.Time) bool { return ep.pace == nil || ep.pace.TokensAt(now) >= 1 }

// opens is when an attempt may start, as far as pauses and the rate go: not in the future if it may now, or if nobody
// knows when.
func (ep *endpoint) opens(now time.Time) time.Time {
	if ep.paused {
		return time.Time{}
	}
	at := ep.until
	if !ep.paced(now) {
		lacking := (1 - ep.pace.TokensAt(now)) / float64(ep.pace.Limit())
		at = later(at, now.Add(time.Duration(lacking*float64(time.Second))+time.Millisecond))
	}
	return at
}

// passOver opens the channel after one that is paused: nobody knows for how long that will be.
func (d *delivery) passOver(ch int) {
	if int(d.open) == ch+1 && int(d.open) < min(len(d.channels), 255) {
		d.open++
	}
}

// Pause stops attempts at an endpoint, or lets what has waited go on, in order. It may be called any number of times.
func (e *Engine) Pause(recipient, channel string, paused bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.recipients[recipient]
	if r == nil || r.endpoints[channel] == nil {
		return
	}
	ep := r.endpoints[channel]
	if ep.paused == paused || ep.pausing { // what is being stored is not known to others yet
		return
	}
	ep.paused = paused
	if !paused {
		e.reopen(ep)
		return
	}
	for _, l := range append([]*lane(nil), ep.waiting...) {
		e.advance(l) // by the next channel
	}
}

// reopen lets what waits for an endpoint that is paused no more go on. Whatever it suffered from before is over.
func (e *Engine) reopen(ep *endpoint) {
	ep.fails, ep.until, ep.poisoned = 0, time.Time{}, nil
	held := ep.held
	ep.held = nil
	e.release(ep)
	for _, d := range held {
		if !d.done {
			e.advance(d.lane)
		}
	}
}

// gone pauses an endpoint that asks not to be called again. The delivery waits like whatever comes after it, or takes the next
// channel.
func (e *Engine) gone(fl *flight, f *events.Failure) {
	d, ch, ep := fl.d, fl.ch, fl.ep
	known := ep.paused
	ep.paused = true
	e.muted(d)
	d.try(ch).attempts++
	e.retrying(d, ch, f, time.Time{})
	d.passOver(ch)
	if known {
		return
	}
	ep.pausing = true
	recipient, channel := d.lane.recipient.id, d.channels[ch]
	d.shard.attempts.Go(func() {
		err := e.persist(d.shard.ctx, "pause not stored yet", func(ctx context.Context) error { return e.opt.Gone(ctx, recipient, channel, fl.target) })
		e.mu.Lock()
		ep.pausing = false
		e.mu.Unlock()
		// If it was not stored the shard is stopping: whoever delivers next finds out again.
		e.Pause(recipient, channel, err == nil && e.opt.Paused(recipient, channel))
	})
}

// muted counts an alarm as unheard if all that its recipient has is paused: it waits until somebody resumes one, and nobody
// else is told of that. Called with the lock held, while the event is.
func (e *Engine) muted(d *delivery) {
	if d.done || d.event == nil || d.event.stored.Record.Event.Kind != events.Alarm {
		return
	}
	for _, key := range d.channels {
		if !e.endpoint(d.lane.recipient, key).paused {
			return
		}
	}
	e.unheard++
	d.alarm = alarmed // counted
	e.opt.Slog.Error("an alarm waits for its recipient, who is paused", "event", d.event.id(), "recipient", d.lane.recipient.id, "reason", string(events.ReasonPaused))
}

// report tells the delivery log of an attempt.
func (e *Engine) report(f *flight, ev *event, made made, failure *events.Failure, took time.Duration, reply *events.Reply) {
	if e.opt.Tried == nil || ev == nil {
		return
	}
	id, to, channel := ev.id(), f.d.lane.recipient.id, f.d.channels[f.ch]
	result := events.Delivered
	if failure != nil {
		result = string(failure.Reason)
	}
	e.opt.Tried(events.Attempt{At: time.Now().Add(-took), Recipient: to, Channel: channel, Type: ev.channelType(f.d.index, channel),
		Event: id, Delivery: f.id, Number: made.number, Result: result, Took: took, Next: made.next, Reply: reply})
}
