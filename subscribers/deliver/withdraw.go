package deliver

import (
	"context"
	"errors"
	"time"

	"carehub/events"
)

// Taking back what has not gone. An event that was logged by mistake is withdrawn from whoever has not been told of it, and those
// who have been, or may have been, are named, so that a correction goes to them and to nobody else. It is safe over crashes
// because it can be asked again: what was withdrawn without an attempt says so in the ledger, and is not named.

// Withdrawal is what became of one row of an event's plan.
type Withdrawal int

// What becomes of a row.
const (
	Untold   Withdrawal = iota // nothing has gone there, and nothing will
	ToldOf                     // it was told, or may have been
	UnderWay                   // likewise, and an attempt is in flight, or is to be made: ask again to have it withdrawn then
)

// Withdraw takes an event back from those who have not been told of it, and returns what became of each row of its plan once
// that is durable. What an earlier process may have begun to send is known to nobody until this process has tried, and is
// left to be told. Errors are those of Reverse; of an event that is gone no row is named.
func (e *Engine) Withdraw(ctx context.Context, at events.Place) ([]Withdrawal, error) {
	s, err := e.delivering(at.Partition)
	if err != nil {
		return nil, err
	}
	ev, err := s.recall(ctx, at.Seq)
	if errors.Is(err, errGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.forgo(ev)
	rows := make([]Withdrawal, len(ev.stored.Record.Plan.Recipients))
	e.mu.Lock()
	switch {
	case s.stage != running:
		err = ErrElsewhere
	case s.drained():
		err = ErrDrained
	case at.Seq > s.taken:
		err = ErrNotYet
	default:
		ev.withdrawn = true
		for i := range rows {
			rows[i] = s.withdraw(ev, i)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return rows, s.awaitWritten(ctx, ev)
}

// Withdrawals says the same of an event of which nothing is under way any more, by its outcomes.
func Withdrawals(outcomes []events.Outcome) []Withdrawal {
	rows := make([]Withdrawal, len(outcomes))
	for i, out := range outcomes {
		rows[i] = withdrawn(out)
	}
	return rows
}

// withdrawn says of a final outcome whether the recipient may know of the event. Of whoever could not be told a person was asked to
// phone them.
func withdrawn(out events.Outcome) Withdrawal {
	if out.State == events.Spared || out.State == events.Withdrawn && out.Attempts == 0 && !out.Alarmed {
		return Untold
	}
	return ToldOf
}

// withdraw takes one row back, if it can be. Called with the lock held.
func (s *shard) withdraw(ev *event, i int) Withdrawal {
	out := ev.out[i]
	d := s.waiting(ev, i)
	switch {
	case out.State == events.Spared: // nobody has to be told any more if others do not answer
		s.note(ev, i, events.Outcome{State: events.Withdrawn, At: s.now()})
		return Untold
	case out.State.Final():
		return withdrawn(out)
	case d == nil, d.lane.busyWith(d), d.attempts() == 0 && ev.stored.Seq <= s.boot:
		return UnderWay
	}
	out.State, out.At, out.Next, out.Reason = events.Withdrawn, s.now(), time.Time{}, ""
	out.Attempts, out.Alarmed = max(out.Attempts, d.attempts()), out.Alarmed || d.alarm != unalarmed
	s.conclude(d, ev, i, out)
	return withdrawn(out)
}

func (s *shard) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// atRest reports whether an outcome needs nobody any more: told, not to be told, or ended badly with a person knowing.
func atRest(out events.Outcome) bool {
	return out.State.Told() || out.State == events.Withdrawn || out.State.Final() && out.Alarmed
}
