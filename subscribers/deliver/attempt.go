package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// start makes the next attempt of d, the head of l, by its channel ch. Called with the lock held.
func (e *Engine) start(l *lane, d *delivery, ch int, ep *endpoint) {
	l.busy, l.since = true, time.Now()
	ep.started = append(ep.started, l.since)
	ep.inflight++
	if ep.pace != nil {
		ep.pace.AllowN(l.since, 1)
	}
	ctx, cut := context.WithTimeout(d.shard.ctx, e.opt.AttemptTimeout)
	f := &flight{d: d, ch: ch, ep: ep, class: classOf(d, ch, ep), round: ep.rounds, since: l.since, cut: cut}
	e.budget.depart(f)
	d.shard.attempts.Go(func() { e.attempt(ctx, f) })
	ep.readAhead(l)
}

// landed notes that f has come to an end. Called with the lock held.
func (e *Engine) landed(f *flight) {
	f.d.lane.busy = false
	f.ep.inflight--
	f.ep.ended(f.since)
	f.cut()
	e.budget.land(f)
}

// attempt sends d once and sorts out what came of it.
func (e *Engine) attempt(ctx context.Context, f *flight) {
	d := f.d
	ev, err := d.shard.body(ctx, d)
	if errors.Is(err, errGone) {
		e.lose(f)
		return
	}
	if err != nil {
		e.finish(f, nil, &events.Failure{Reason: events.ReasonInternal, Err: err}, 0, nil)
		return
	}
	if !e.mayStart(d.shard.p) { // reading the event took its time
		e.finish(f, ev, errNotYet, 0, nil)
		return
	}
	began := time.Now()
	state, number := e.trying(ev, d, f.ch)
	if state.Final() {
		e.finish(f, ev, errSettled, 0, nil) // delivered before a crash, and only the ledger knew
		return
	}
	var reply *events.Reply
	err = e.send(ctx, ev, f, number, func(r events.Reply) { reply = &r })
	e.finish(f, ev, err, time.Since(began), reply)
}

// lose drops a delivery whose event is gone from the store. Whoever is behind it is not held up; it stays parked until a
// person has been told.
func (e *Engine) lose(f *flight) {
	d := f.d
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost++
	e.opt.Slog.Error("an event is gone from the store; its delivery is dropped", "recipient", d.lane.recipient.id,
		"partition", d.shard.p, "seq", d.seq)
	d.done = true
	e.landed(f)
	e.pop(d)
	e.release(f.ep)
	e.advance(d.lane)
	e.spend(time.Now())
	d.shard.attempts.Go(func() {
		if e.persist(d.shard.ctx, "alarm not stored yet", func(ctx context.Context) error { return e.alarmLost(ctx, d) }) != nil {
			return // stopping: the next start finds it parked
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if d.parked {
			d.shard.unpark(d)
		}
	})
}

// alarmLost has a person told that nobody knows any more what d was to say. Where it stood is all there is to name it by.
func (e *Engine) alarmLost(ctx context.Context, d *delivery) error {
	return e.opt.Alarm(ctx, events.About{Event: fmt.Sprintf("%d/%d", d.shard.p, d.seq), Recipient: d.lane.recipient.id,
		Reason: events.ReasonLost}, events.Stored{Partition: d.shard.p, Seq: d.seq})
}

var (
	errSettled = errors.New("already settled") // the ledger already holds a final outcome
	errNotYet  = errors.New("not sent")        // the partition may not be ours for much longer
)

// trying shows the carer that somebody is being told, and returns the state of d and the number of this attempt. Those
// of an earlier process count, as far as it could write them down.
func (e *Engine) trying(ev *event, d *delivery, ch int) (events.State, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := &ev.out[d.index]
	if unknown := out.Attempts - d.attempts(); unknown > 0 {
		d.history().before += unknown
	}
	if out.State == "" || out.State == events.Waiting {
		out.Next = time.Time{}
		out.State, out.Channel, out.At = events.Trying, d.channels[ch], time.Now().UTC().Truncate(time.Millisecond)
		e.notify(ev)
	}
	return out.State, d.attempts() + 1
}

// send looks up the endpoint as it is now and hands it the message as it was frozen. A channel that panics fails this
// delivery, not the hub.
func (e *Engine) send(ctx context.Context, ev *event, f *flight, number int, answered func(events.Reply)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &events.Failure{Reason: events.ReasonInternal, Body: true, Err: fmt.Errorf("panic: %T", p)}
		}
	}()
	rec := &ev.stored.Record
	to := &rec.Plan.Recipients[f.d.index]
	f.id = events.DeliveryID(rec.Event.ID, to.ID)
	sub, err := e.entitled(ctx, rec, to.ID)
	if err != nil {
		return err
	}
	key := f.d.channels[f.ch]
	for _, c := range sub.Channels {
		if c.Key == key {
			m, err := e.message(ev, to, to.Channels[f.ch], number)
			if err != nil {
				return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
			}
			leg := events.Leg{Place: ev.stored.Place(), Index: int(f.d.index), Channel: f.ch}
			m.Return = func() string { return e.opt.Return(leg, rec.Event.ID, to.ID) }
			if e.opt.Tried != nil {
				m.Answered = answered
			}
			f.target = subscribers.Target(c.Endpoint)
			return c.Endpoint.Send(ctx, m)
		}
	}
	return &events.Failure{Reason: events.ReasonRevoked, Permanent: true}
}

// entitled returns a recipient as registered now, if they may be told of an event. Nobody is refused by what another
// process knows better.
func (e *Engine) entitled(ctx context.Context, rec *events.Record, id string) (subscribers.Subscriber, error) {
	for renewed := false; ; renewed = true {
		sub, ok := e.opt.Lookup(id)
		if ok && e.opt.Allowed(rec, id) {
			return sub, nil
		}
		if renewed {
			return sub, &events.Failure{Reason: events.ReasonRevoked, Permanent: true}
		}
		if err := e.opt.Renew(ctx, id); err != nil {
			return sub, &events.Failure{Reason: events.ReasonInternal, Err: err}
		}
	}
}

// message builds what the recipient gets: a pure function of what is stored, so that every attempt sends the same bytes.
func (e *Engine) message(ev *event, to *events.Recipient, by events.Channel, number int) (events.Delivery, error) {
	rec := &ev.stored.Record
	body, err := ev.address(to)
	if err != nil {
		return events.Delivery{}, fmt.Errorf("address the message: %w", err)
	}
	return events.Delivery{
		ID: events.DeliveryID(rec.Event.ID, to.ID), Event: rec.Event.ID, Ref: ev.ref,
		Kind: rec.Event.Kind, Urgent: rec.Plan.Urgency == events.Urgent, Test: rec.Event.Test,
		Notice:    rec.Plan.About != nil && rec.Plan.About.Notice(),
		Recipient: to.ID, Channel: by.Key, Name: to.Name, Language: to.Language, Content: by.Content, Recorded: rec.Event.Recorded,
		Attempt: number, Message: body, Hub: rec.Plan.Hub,
		Link:      func() string { return e.opt.Link(rec.Event.ID, to.ID) },
		Documents: mayHave(rec.Event.Documents, to), Open: e.opt.Document,
	}, nil
}

// mayHave are those of an event's documents that a recipient may have.
func mayHave(all []events.Document, to *events.Recipient) (some []events.Document) {
	for _, d := range all {
		if to.MayHave(d) {
			some = append(some, d)
		}
	}
	return some
}

// address is the event's message as this recipient gets it. Where to write their name is looked up once for all of them,
// and so is the reference.
func (ev *event) address(to *events.Recipient) ([]byte, error) {
	rec := &ev.stored.Record
	ev.opening.Do(func() {
		ev.ref = events.Ref(rec.Event.ID)
		ev.envelope, ev.unfit = fhir.Open(ev.stored.Message, rec.Event.ID)
	})
	if ev.unfit != nil {
		return nil, ev.unfit
	}
	return ev.envelope.To(fhir.Destination{Recipient: to.ID, Name: to.Name, Endpoint: rec.Plan.Hub + "/id/subscriber/" + to.ID})
}

// finish takes in what an attempt came to, and says so when the lock is free again.
func (e *Engine) finish(f *flight, ev *event, err error, took time.Duration, reply *events.Reply) {
	failure := asFailure(err)
	if made := e.conclude(f, ev, err, failure); made.number > 0 {
		e.logAttempt(f, ev, made, failure, took)
		e.report(f, ev, made, failure, took, reply)
	}
}

// made is what the log says of an attempt that was made.
type made struct {
	number int // 0 if nothing was sent
	state  events.State
	next   time.Time // of the next attempt, where one is planned
}

func (e *Engine) conclude(f *flight, ev *event, err error, failure *events.Failure) (m made) {
	d, ch, ep := f.d, f.ch, f.ep
	e.mu.Lock()
	defer e.mu.Unlock()
	e.landed(f)
	tried := true
	switch {
	case errors.Is(err, errSettled):
		e.resettle(d)
		tried = false
	case errors.Is(err, errNotYet), d.shard.ctx.Err() != nil && err != nil: // or cut off: whoever delivers it next repeats it
		tried = false
	case err == nil:
		e.delivered(d, ch, ep)
	case failure.Pause && e.opt.Gone != nil && ev != nil:
		e.gone(f, failure)
	case failure.Permanent:
		e.refused(d, ch, failure)
	default:
		e.failed(d, ch, ep, f.round, ev, failure)
	}
	if tried {
		m.number = d.attempts()
	}
	if ev != nil && ev.withdrawn && tried && !d.done {
		d.shard.withdraw(ev, int(d.index))
	}
	if tried && ev != nil {
		m.state, m.next = ev.out[d.index].State, ev.out[d.index].Next
	}
	e.release(ep) // others first: a lane with much to send must not starve the rest
	e.advance(d.lane)
	e.spend(time.Now())
	return m
}

func asFailure(err error) *events.Failure {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*events.Failure](err); ok {
		return f
	}
	return &events.Failure{Reason: events.ReasonInternal, Err: err}
}

// delivered ends d: somebody has taken the message.
func (e *Engine) delivered(d *delivery, ch int, ep *endpoint) {
	d.try(ch).attempts++
	d.lane.recipient.overdue = nil
	held := ep.succeeded()
	to := &d.event.stored.Record.Plan.Recipients[d.index]
	e.end(d, events.Outcome{State: stateOf(to.Channels[ch].Type), Channel: d.channels[ch]})
	d.shard.settle(d)
	for _, h := range held {
		if h.done {
			continue
		}
		if i := slices.Index(h.channels, d.channels[ch]); i >= 0 {
			h.try(i).next = time.Time{}
		}
		e.advance(h.lane)
	}
}

// refused strikes a channel out, and opens the next one at once. A recipient with no channel left is a matter for a person.
func (e *Engine) refused(d *delivery, ch int, f *events.Failure) {
	t := d.try(ch)
	t.attempts++
	t.refused = true
	if d.hopeless() {
		e.abandon(d, events.Refused, f.Reason, time.Now())
		return
	}
	if ch+1 < len(d.channels) {
		e.openTo(d, max(int(d.open), ch+2))
	}
	e.retrying(d, ch, f, time.Time{})
}

// failed plans the next attempt.
func (e *Engine) failed(d *delivery, ch int, ep *endpoint, round int, ev *event, f *events.Failure) {
	t := d.try(ch)
	t.attempts++
	if ev == nil || f.Reason == events.ReasonInternal { // our own fault says nothing of the endpoint
		t.next = time.Now().Add(backoff(t.attempts))
	} else {
		t.next = ep.failed(d, round, t.attempts, f, time.Now())
	}
	if ev != nil {
		e.retrying(d, ch, f, e.aloud(d, later(t.next, ep.until)))
	}
}

func (e *Engine) retrying(d *delivery, ch int, f *events.Failure, next time.Time) {
	if d.event == nil {
		return
	}
	out := events.Outcome{State: events.Retrying, Channel: d.channels[ch], At: time.Now().UTC().Truncate(time.Millisecond), Attempts: d.attempts(),
		Reason: f.Reason, Next: next.UTC(), Alarmed: d.event.out[d.index].Alarmed, Alarm: d.event.out[d.index].Alarm, Struck: d.event.out[d.index].Struck}
	if next.IsZero() {
		out.Next = time.Time{}
	}
	d.shard.note(d.event, int(d.index), out)
	d.shard.park(d)
}

// abandon ends d without success. It is settled only once a person has been told.
func (e *Engine) abandon(d *delivery, state events.State, reason events.Reason, now time.Time) {
	out := events.Outcome{State: state, Reason: reason}
	if d.event.out[d.index].Channel != "" {
		out.Channel = d.event.out[d.index].Channel
	} else if len(d.channels) > 0 {
		out.Channel = d.channels[0]
	}
	e.end(d, out)
	if d.event.stored.Record.Event.Kind == events.Alarm {
		e.unheard++
		e.opt.Slog.Error("an alarm did not reach its recipient", "event", d.event.id(), "recipient", d.lane.recipient.id, "reason", string(reason))
	}
	if len(d.channels) > 0 {
		d.shard.park(d) // the alarm may take its time; nobody else waits for it
	}
	e.raise(d, reason)
}

// end writes a final outcome and takes d out of its lane.
func (e *Engine) end(d *delivery, out events.Outcome) {
	out.At, out.Attempts = time.Now().UTC().Truncate(time.Millisecond), d.attempts()
	out.Alarmed = out.State.Told() && d.event.out[d.index].Alarmed // that it was overdue says nothing of its end
	out.Struck = d.event.out[d.index].Struck
	if out.Alarmed {
		out.Alarm = d.event.out[d.index].Alarm
	}
	d.done = true
	d.shard.note(d.event, int(d.index), out)
	e.pop(d)
	e.opt.Ended(d.event.channelType(d.index, out.Channel), out.State, d.age(time.Now()))
}

// resettle ends d with the outcome that the ledger already holds.
func (e *Engine) resettle(d *delivery) {
	out := d.event.out[d.index]
	d.done = true
	e.pop(d)
	if atRest(out) {
		d.shard.settle(d)
		return
	}
	e.raise(d, out.Reason)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// logAttempt writes one wide line per attempt: ids and fixed words, never content.
func (e *Engine) logAttempt(fl *flight, ev *event, made made, f *events.Failure, took time.Duration) {
	d, ch := fl.d, fl.ch
	if ev == nil {
		e.opt.Slog.Error("event not readable", "recipient", d.lane.recipient.id, "partition", d.shard.p, "seq", d.seq, "reason", string(f.Reason))
		return
	}
	result := "delivered"
	if f != nil {
		result = string(f.Reason)
	}
	rec, by := &ev.stored.Record, ev.channelType(d.index, d.channels[ch])
	e.opt.Attempted(by, result, took)
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("event", rec.Event.ID), slog.String("kind", string(rec.Event.Kind)), slog.String("recipient", d.lane.recipient.id),
		slog.String("delivery", fl.id), slog.Int("partition", d.shard.p), slog.Uint64("seq", d.seq),
		slog.String("channel", d.channels[ch]), slog.String("type", by), slog.Int("attempt", made.number),
		slog.String("state", string(made.state)), slog.Int64("ms", took.Milliseconds()),
		slog.Int64("age_ms", time.Since(d.recorded()).Milliseconds()),
	}
	if f != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("reason", string(f.Reason)), slog.Bool("permanent", f.Permanent), slog.Int("status", f.Status))
		if f.Err != nil {
			attrs = append(attrs, slog.String("detail", f.Err.Error()))
		}
	}
	e.opt.Slog.LogAttrs(context.Background(), level, "attempt", attrs...)
}
