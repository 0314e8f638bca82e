package answers

import (
	"slices"
	"time"

	"carehub/events"
)

// forever is longer than anybody waits for an answer.
const forever = 1000 * time.Hour

// outcome is what is to be done about an event that waits for answers.
type outcome struct {
	open       bool          // it still waits
	wait       time.Duration // until there may be something to do
	unanswered []int         // rows where nobody has answered in time
	tell       []int         // steps that are due
	alarm      []int         // rows for which everybody was tried
	steps      map[int]time.Duration
}

// outlook says what is due now. asked is when a step was told; age how long ago something was. The time of a recipient counts
// from when they were told or, where they have not been, from when the event was accepted, or their step began.
func outlook(rec *events.Record, receipts []events.Receipt, asked func(int) (time.Time, bool), age func(time.Time) time.Duration) outcome {
	o := outcome{wait: forever, steps: map[int]time.Duration{}}
	answered := slices.ContainsFunc(receipts, func(r events.Receipt) bool { return r.State == events.Acknowledged })
	for index, to := range rec.Plan.Recipients {
		if to.Acknowledge == nil || to.Acknowledge.Any && answered {
			continue
		}
		o.chain(rec, index, to.Acknowledge, receipts, asked, age)
	}
	return o
}

// chain goes through a recipient and the steps after them, up to the first that still has time, or has answered.
func (o *outcome) chain(rec *events.Record, of int, ask *events.Acknowledge, receipts []events.Receipt, asked func(int) (time.Time, bool), age func(time.Time) time.Duration) {
	late := []int{}
	since := func(r events.Receipt, at time.Time) time.Duration { return waking(r.Quiet, at, age(at)) }
	began := since(receipts[of], rec.Event.Recorded)
	for k, index := range append([]int{of}, ask.Steps...) {
		r := receipts[index]
		if r.State == events.Acknowledged {
			return
		}
		if k > 0 && r.State == events.Spared {
			o.due(index)
			o.later(late, ask.Within)
			return
		}
		if at, ok := asked(index); ok && k > 0 {
			began = since(r, at)
		}
		told := r.State == events.Sent || r.State == events.Received || r.State == events.Unacknowledged
		if told {
			began = min(began, since(r, r.At))
		}
		hopeless := r.State.Final() && !told
		if left := ask.Within - began; left > 0 && !hopeless {
			left = sleeping(r.Quiet, rec.Event.Recorded.Add(age(rec.Event.Recorded)), left)
			o.open, o.wait = true, min(o.wait, left)
			o.later(late, left)
			return
		}
		if told && r.State != events.Unacknowledged && !slices.Contains(o.unanswered, index) {
			o.unanswered = append(o.unanswered, index)
		}
		late = append(late, index)
	}
	o.alarm = append(o.alarm, of)
}

// waking is how much of the time since a moment was outside of somebody's quiet hours: in these nobody has to answer.
func waking(q *events.Quiet, since time.Time, age time.Duration) time.Duration {
	if hours, ok := hoursOf(q); ok {
		return hours.Awake(since, since.Add(age))
	}
	return age
}

// sleeping is how long it takes until so much time outside of their quiet hours has passed.
func sleeping(q *events.Quiet, now time.Time, left time.Duration) time.Duration {
	if hours, ok := hoursOf(q); ok {
		return hours.After(now, left).Sub(now)
	}
	return left
}

func hoursOf(q *events.Quiet) (events.Hours, bool) {
	if q == nil {
		return events.Hours{}, false
	}
	hours, err := q.Hours()
	return hours, err == nil // the engine keeps none that it cannot make sense of either
}

// due has a step told, once.
func (o *outcome) due(index int) {
	o.open = true
	if !slices.Contains(o.tell, index) {
		o.tell = append(o.tell, index)
	}
}

// late reports whether somebody has not answered in time, or will not: a step comes after them, or there is none left.
func (o *outcome) late() bool { return len(o.steps) > 0 || len(o.alarm) > 0 }

// later says of those whose time is over when the next step is.
func (o *outcome) later(late []int, in time.Duration) {
	for _, index := range late {
		o.steps[index] = in
	}
}
