package deliver

import (
	"context"
	"errors"
	"time"

	"carehub/events"
)

// A person's answer, and what happens when there is none, are asked of the engine from outside: it knows of no times for
// answers. Like a reversal, both may be asked again and again until they are done.

// Acknowledge writes down what a person has answered for one recipient of an event, by the index of its row, and returns once
// that is durable. It counts as told from then on, also where it was still being tried. The first answer is kept where the
// same is given again. Errors are those of Reverse.
func (e *Engine) Acknowledge(ctx context.Context, at events.Place, index int, ack events.Ack) error {
	return e.amend(ctx, at, index, func(s *shard, ev *event) error {
		d, out := s.waiting(ev, index), ev.out[index]
		if d != nil && d.lane.busyWith(d) {
			return ErrNotYet // the attempt's own outcome is about to be written
		}
		out.State, out.Ack = events.Acknowledged, &ack
		if ack.Answer == events.NotForUs {
			out.State = events.Declined
		}
		out.At, out.Next = ack.At.UTC().Truncate(time.Millisecond), time.Time{}
		s.conclude(d, ev, index, out)
		return nil
	})
}

// Unanswered writes down that nobody at a recipient has answered in time. Whoever has answered, or was never told, is left as
// they are.
func (e *Engine) Unanswered(ctx context.Context, at events.Place, index int) error {
	return e.amend(ctx, at, index, func(s *shard, ev *event) error {
		out := ev.out[index]
		if out.State != events.Sent && out.State != events.Received {
			return nil
		}
		out.State = events.Unacknowledged
		s.note(ev, index, out)
		s.press(ev)
		return nil
	})
}

// TellStep has a row told that was spared so far, and returns once that is durable. Its times count from now.
func (e *Engine) TellStep(ctx context.Context, at events.Place, index int) error {
	return e.amend(ctx, at, index, func(s *shard, ev *event) error {
		if ev.out[index].State != events.Spared {
			return nil
		}
		to := &ev.stored.Record.Plan.Recipients[index]
		out := events.Outcome{State: events.Trying, At: time.Now().UTC().Truncate(time.Millisecond)}
		if len(to.Channels) == 0 { // a person has to phone them, who hears of it by an alarm of their own
			out.State, out.Reason, out.Alarmed = events.Refused, events.ReasonNoChannel, true
			s.note(ev, index, out)
			s.press(ev)
			return nil
		}
		s.goOn(s.revived(ev, to, index), ev, index, out)
		s.press(ev)
		return nil
	})
}

// amend changes what is known of one row of an event, and returns once that is durable.
func (e *Engine) amend(ctx context.Context, at events.Place, index int, change func(*shard, *event) error) error {
	s, err := e.delivering(at.Partition)
	if err != nil {
		return err
	}
	ev, err := s.recall(ctx, at.Seq)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.forgo(ev)
	if index < 0 || index >= len(ev.stored.Record.Plan.Recipients) {
		return nil // made for another event
	}
	e.mu.Lock()
	switch {
	case s.stage != running:
		err = ErrElsewhere
	case s.drained():
		err = ErrDrained
	case at.Seq > s.taken: // it is being read again, and its recipients have yet to be looked at
		err = ErrNotYet
	default:
		err = change(s, ev)
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return s.awaitWritten(ctx, ev)
}

// conclude ends a row, wherever its delivery is. Called with the lock held.
func (s *shard) conclude(d *delivery, ev *event, index int, out events.Outcome) {
	s.note(ev, index, out)
	if d != nil && !d.done {
		d.done = true
		s.hold(d, ev)
		s.e.pop(d)
		s.settle(d)
		s.e.advance(d.lane)
	}
	s.press(ev)
}

// spare settles a row that is told only if others do not answer. Called with the lock held.
func (s *shard) spare(d *delivery, ev *event) {
	d.done = true
	ev.unsettled--
	if ev.out[d.index].State == "" {
		s.note(ev, int(d.index), events.Outcome{State: events.Spared, At: ev.stored.Record.Event.Recorded})
	}
	s.letGo(d)
}

// Changed wakes whoever watches an event, of which something has changed that the engine does not know of.
func (e *Engine) Changed(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.watchers[event] {
		signal(w.changed)
	}
}
