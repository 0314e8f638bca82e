package deliver

import (
	"slices"
	"time"

	"carehub/events"
)

// Quiet hours. What is not urgent waits for their end, parked, and costs no attempt; none of its times runs meanwhile. Whether
// it is quiet is asked at each attempt, by the clock on the wall. An urgent event of the same patient takes along whatever waits
// before it in its lane: nothing overtakes, and it waits for nobody's morning.

// quiet are the quiet hours of a recipient, one for all deliveries that were frozen with the same.
type quiet struct {
	as    events.Quiet
	hours events.Hours
}

// quietHours returns them ready for use; nil where there are none. Hours that this machine cannot make sense of, whose zone it
// does not know, are none: better told at night than not at all. Called with the lock held.
func (e *Engine) quietHours(as *events.Quiet) *quiet {
	if as == nil {
		return nil
	}
	q, known := e.quiet[*as]
	if !known {
		if hours, err := as.Hours(); err == nil {
			q = &quiet{*as, hours}
		} else {
			e.opt.Slog.Error("quiet hours are not kept", "error", err.Error())
		}
		e.quiet[*as] = q
	}
	return q
}

// frozen is what a page says of them.
func (q *quiet) frozen() *events.Quiet {
	if q == nil {
		return nil
	}
	return &q.as
}

// after is when a time that d has to keep is over.
func (d *delivery) after(from time.Time, length time.Duration) time.Time {
	if d.quiet == nil {
		return from.Add(length)
	}
	return d.quiet.hours.After(from, length)
}

// age is how long d has waited to be told, but for quiet hours.
func (d *delivery) age(now time.Time) time.Duration {
	age := now.Sub(d.shard.e.began) - d.accepted
	if d.quiet == nil {
		return age
	}
	return d.quiet.hours.Awake(now.Add(-age), now)
}

// hushed is for how long d waits for the end of quiet hours; 0 if it does not. Called with the lock held.
func (e *Engine) hushed(d *delivery, now time.Time) time.Duration {
	if d.quiet == nil {
		return 0
	}
	left := d.quiet.hours.Left(now)
	if left > 0 && d.lane.pressing(d) {
		return 0
	}
	return left
}

// pressing reports whether d, or one that waits behind it, is told at any time.
func (l *lane) pressing(d *delivery) bool {
	i, _ := l.find(d.shard.p, d.seq, d.index)
	return slices.ContainsFunc(l.queue[min(i, len(l.queue)):], func(d *delivery) bool { return d.quiet == nil })
}

// wakes reports whether d, the last of l, does not let the first of it sleep.
func (d *delivery) wakes(l *lane) bool { return d.quiet == nil && l.queue[0].quiet != nil }

// lookAgain is the longest that a lane sleeps without a look at the clock on the wall, which somebody may have set.
const lookAgain = 5 * time.Minute

// rests reports whether l waits for the end of quiet hours, and sees to it that it is looked at then.
func (e *Engine) rests(l *lane, now time.Time) bool {
	d := l.queue[0]
	left := e.hushed(d, now)
	if left == 0 {
		return false
	}
	e.wakeLane(l, now.Add(min(left, lookAgain)))
	d.shard.shelve(d, now)
	return true
}

// shelve parks d until the end of quiet hours, and says so. Called with the lock held.
func (s *shard) shelve(d *delivery, now time.Time) {
	if d.event == nil || d.parked || d.done {
		return
	}
	if out := d.event.out[d.index]; out.State == "" || out.State == events.Waiting {
		out.State, out.At = events.Waiting, now.UTC().Truncate(time.Millisecond)
		out.Next = now.Add(d.quiet.hours.Left(now)).UTC().Truncate(time.Second)
		s.note(d.event, int(d.index), out)
	}
	s.park(d)
}

// aloud is when d may next be tried, for those who read of it: not in quiet hours.
func (e *Engine) aloud(d *delivery, at time.Time) time.Time {
	if d.quiet == nil || at.IsZero() || d.lane.pressing(d) {
		return at
	}
	return at.Add(d.quiet.hours.Left(at))
}

// waits reports whether d waits for the end of quiet hours and is not tried, and then says so. Called with the lock held.
func (e *Engine) waits(d *delivery, r *events.Receipt) bool {
	now := time.Now()
	left := e.hushed(d, now)
	if left == 0 || r.State.Final() || d.lane.busyWith(d) {
		return false
	}
	if r.State == events.Trying {
		r.State = events.Waiting
	}
	r.Next = now.Add(left).UTC().Truncate(time.Second)
	return true
}
