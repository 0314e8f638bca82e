package deliver

import (
	"context"
	"errors"
	"slices"
	"time"

	"carehub/events"
)

// dues are the times a delivery must keep, counted from when the event was accepted; frozen in its plan.
type dues struct {
	Fallback time.Duration `json:"f,omitempty"` // the next channel may be used as well, and again for the one after it
	Alarm    time.Duration `json:"a,omitempty"` // a person is told that this recipient has not been
	GiveUp   time.Duration `json:"g,omitempty"` // no more attempts
}

// acceptedAt is when an event was accepted, on the engine's own clock, which no change of the wall clock moves. One from the
// future, for the clock has been set back since, counts as accepted now: a person must not hear of it later for that.
func (e *Engine) acceptedAt(recorded time.Time) time.Duration {
	now := time.Now()
	return now.Sub(e.began) - max(0, now.Sub(recorded))
}

// recorded is the reverse, as the wall clock has it.
func (d *delivery) recorded() time.Time { return d.shard.e.began.Add(d.accepted) }

// nextDue returns the soonest time that d has to keep.
func (d *delivery) nextDue() time.Time {
	var at time.Time
	accepted := d.recorded()
	if int(d.open) < len(d.channels) && d.due.Fallback > 0 {
		at = d.after(accepted, d.due.Fallback*time.Duration(d.open))
	}
	if d.alarm == unalarmed && d.due.Alarm > 0 {
		at = sooner(at, d.after(accepted, d.due.Alarm))
	}
	if d.due.GiveUp > 0 {
		at = sooner(at, d.after(accepted, d.due.GiveUp))
	}
	return at
}

// duties is a lane as the agenda has it for the times that its parked deliveries must keep: one entry for all of them.
type duties lane

// remind sees to it that d, which is parked, keeps its times.
func (e *Engine) remind(d *delivery) { e.remindAt(d.lane, d.nextDue()) }

func (e *Engine) remindAt(l *lane, at time.Time) {
	if at.IsZero() {
		return
	}
	due := max(at.Sub(e.began), 1)
	if l.due == 0 || due < l.due {
		l.due = due
		e.schedule(e.began.Add(due), (*duties)(l))
	}
}

// perDelivery is how much time lies between two looks at a lane, for each delivery in it, so that looking takes little of it.
const perDelivery = 10 * time.Microsecond

// keepAll does what is due for the deliveries of a lane, and puts it back on the agenda.
func (e *Engine) keepAll(l *lane, now time.Time) {
	l.due = 0
	var next time.Time
	for _, d := range l.queue {
		if d.parked && !d.done {
			if at := e.keep(d, now); !at.IsZero() {
				next = sooner(next, at)
			}
		}
	}
	if !next.IsZero() {
		e.remindAt(l, later(next, now.Add(perDelivery*time.Duration(len(l.queue)))))
	}
}

// keep does what is due for d and returns when something is again; zero if nothing is.
func (e *Engine) keep(d *delivery, now time.Time) time.Time {
	if d.shard.stage >= stopping {
		return time.Time{}
	}
	age := d.age(now)
	passed := func(after time.Duration) bool { return after > 0 && age >= after }
	if passed(d.due.GiveUp) && !d.lane.busyWith(d) && d.failing() {
		e.giveUp(d)
		return time.Time{}
	}
	for int(d.open) < len(d.channels) && passed(d.due.Fallback*time.Duration(d.open)) {
		e.openTo(d, int(d.open)+1)
	}
	if d.alarm == unalarmed && passed(d.due.Alarm) {
		d.alarm = raising
		e.raise(d, events.ReasonOverdue)
	}
	at := d.nextDue()
	if !at.IsZero() && !at.After(now) { // too old, but in flight or never had its chance
		at = now.Add(time.Minute)
	}
	return at
}

// failing reports whether d itself has failed, or has had no chance because its endpoints are down or paused. What only waits behind
// another of its lane is not given up.
func (d *delivery) failing() bool {
	if d.attempts() > 0 {
		return true
	}
	for _, key := range d.channels[:min(int(d.open), len(d.channels))] {
		if ep := d.lane.recipient.endpoints[key]; ep == nil || !ep.down() && !ep.paused {
			return false
		}
	}
	return true
}

// openTo lets d, and with it all that waits before it in its lane, use the first n of its channels: whoever is behind
// cannot overtake, so those ahead must get out of the way.
func (e *Engine) openTo(d *delivery, n int) {
	opened := uint8(min(n, 255)) // #nosec G115 -- bounded
	i, _ := d.lane.find(d.shard.p, d.seq, d.index)
	for _, ahead := range slices.Backward(d.lane.queue[:i]) {
		if ahead.open >= opened {
			break // and so are all before it
		}
		ahead.open = max(ahead.open, min(opened, uint8(min(len(ahead.channels), 255)))) // #nosec G115 -- bounded
	}
	d.open = max(d.open, opened)
	e.advance(d.lane)
}

func (l *lane) busyWith(d *delivery) bool { return l.busy && l.queue[0] == d }

// coverFor is how long one overdue alarm speaks for whatever else its recipient waits for: a dead system with a thousand
// messages waiting is one trouble, not a thousand. What has ended badly is covered by nothing: no retry will mend it, and
// each needs a phone call of its own.
const coverFor = time.Hour

// cover is one trouble with one recipient: when its alarm was last stored, and who waits for that.
type cover struct {
	told    time.Time
	alarm   string // its id
	raising bool
	waiting []*delivery
}

// raise has the alarm recipients told that d's recipient has not been. When that is durable, alarmRaised(d) follows.
func (e *Engine) raise(d *delivery, reason events.Reason) {
	r, c := d.lane.recipient, &cover{}
	if reason == events.ReasonOverdue && !d.lane.ofAlarms() {
		if r.overdue == nil {
			r.overdue = c
		}
		c = r.overdue
	}
	c.waiting = append(c.waiting, d)
	if c.raising {
		return
	}
	c.raising = true
	d.shard.attempts.Go(func() { e.sound(c, d, reason) })
}

// sound stores the alarm, however long that takes, and settles all that waited for it.
func (e *Engine) sound(c *cover, d *delivery, reason events.Reason) {
	err := e.persist(d.shard.ctx, "alarm not stored yet", func(ctx context.Context) error { return e.alarm(ctx, c, d, reason) })
	e.mu.Lock()
	defer e.mu.Unlock()
	waiting := c.waiting
	c.raising, c.waiting = false, nil
	for _, w := range waiting {
		switch {
		case w.shard.stage == stopped:
		case err == nil:
			e.alarmRaised(w, c.alarm)
		case w.shard.stage < stopping: // d's shard stops, and raises it again when it starts; this one is another's
			e.raise(w, reason)
		}
	}
}

// alarm stores one alarm unless a recent one covers it.
func (e *Engine) alarm(ctx context.Context, c *cover, d *delivery, reason events.Reason) error {
	e.mu.Lock()
	covered := time.Since(c.told) < coverFor
	waiting := slices.Clone(c.waiting[:min(len(c.waiting), 100)])
	e.mu.Unlock()
	if covered {
		return nil
	}
	var ev *event
	var err error
	for _, d = range waiting { // the first that can be read speaks for all
		if ev, err = d.shard.body(ctx, d); err == nil {
			break
		}
	}
	if errors.Is(err, errGone) {
		return e.alarmLost(ctx, d)
	}
	if err != nil {
		return err
	}
	if ev.stored.Record.Event.Kind == events.Alarm { // which raises none
		e.unheardSoFar(d, ev, reason)
		return nil
	}
	about := events.About{Event: ev.stored.Record.Event.ID, Recipient: d.lane.recipient.id, Reason: reason}
	e.mu.Lock()
	about.Channel = ev.out[d.index].Channel
	e.mu.Unlock()
	if err := e.opt.Alarm(ctx, about, ev.stored); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.alarm = events.AlarmID(about.OfProvider(&ev.stored.Record.Plan))
	if !ev.stored.Record.Event.Test { // news of a test covers nothing real
		c.told = time.Now()
	}
	return nil
}

// ofAlarms reports whether alarms are what stands in a lane.
func (l *lane) ofAlarms() bool { return events.PatientOf(l.patient) == events.HubPatient }

// unheardSoFar counts an alarm that is late, once, if nobody who is named for alarms has been told of it.
func (e *Engine) unheardSoFar(d *delivery, ev *event, reason events.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if reason == events.ReasonOverdue && d.index == 0 && !ev.stored.Record.Plan.Heard(ev.out) {
		e.unheard++
		e.opt.Slog.Error("nobody has been told of an alarm yet", "event", ev.id(), "recipient", d.lane.recipient.id, "reason", string(reason))
	}
}

// persist repeats do until it works or ctx ends.
func (e *Engine) persist(ctx context.Context, what string, do func(context.Context) error) error {
	for n := 1; ; n++ {
		bounded, cancel := context.WithTimeout(ctx, e.opt.AttemptTimeout)
		err := do(bounded)
		cancel()
		if err == nil || ctx.Err() != nil { // stopping is no failure
			return err
		}
		e.opt.Slog.Error(what, "error", events.KindOf(err), "attempt", n)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(backoff(n), time.Minute)):
		}
	}
}

// alarmRaised notes that an alarm about d is stored. A delivery that was only waiting for that is settled by it.
func (e *Engine) alarmRaised(d *delivery, alarm string) {
	d.alarm = alarmed
	ev := d.event
	if ev == nil {
		if d.parked && !d.done {
			d.shard.park(d)
		}
		return
	}
	out := ev.out[d.index]
	if out.State.Told() || out.State == events.Withdrawn {
		d.shard.letGo(d)
		return
	}
	out.Alarmed, out.Alarm = true, alarm
	d.shard.note(ev, int(d.index), out)
	if d.done {
		d.shard.settle(d)
	} else if d.parked {
		d.shard.park(d) // the page learns of the alarm
	}
}

// giveUp ends a delivery that has been tried for days.
func (e *Engine) giveUp(d *delivery) {
	if e.ending[d] {
		return
	}
	e.ending[d] = true
	d.shard.attempts.Go(func() {
		err := e.persist(d.shard.ctx, "event not readable", func(ctx context.Context) error { _, err := d.shard.body(ctx, d); return err })
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.ending, d)
		switch {
		case err != nil || d.done:
		case d.event == nil || d.lane.busyWith(d):
			e.remindAt(d.lane, time.Now().Add(time.Minute))
		case d.event.out[d.index].State.Final(): // before a crash, and only the ledger knew
			e.resettle(d)
			e.advance(d.lane)
		default:
			e.abandon(d, events.Failed, events.ReasonGaveUp, time.Now())
			e.advance(d.lane)
		}
	})
}
