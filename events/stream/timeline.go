package stream

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Timeline returns the newest events of a patient, newest first, at most limit of them and only those before a place, in
// the order of acceptance; the zero Place is after everything.
func (s *Store) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	l := s.layout.Load()
	var found []events.Stored
	for _, p := range l.format.chain(patient) {
		if l.events[p] == nil || !before.IsZero() && p > before.Partition {
			continue
		}
		end := uint64(0) // after everything
		if p == before.Partition {
			end = before.Seq
		}
		some, err := s.newest(ctx, l, p, patient, end, limit-len(found))
		if found = append(found, some...); err != nil || len(found) >= limit {
			return found, err
		}
	}
	return found, nil
}

// newest returns the newest events of a patient in a partition, those before a sequence unless that is 0.
func (s *Store) newest(ctx context.Context, l *layout, p int, patient string, end uint64, limit int) ([]events.Stored, error) {
	subject := events.CareSubject(p, patient, "*", "*")
	info, err := l.events[p].Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return nil, away(err)
	}
	if len(info.State.Subjects) > 2*limit {
		return s.backwards(ctx, l, p, subject, end, limit)
	}
	subjects := slices.Collect(maps.Keys(info.State.Subjects))
	read, err := s.eventsAbreast(ctx, l.events[p], len(subjects), func(ctx context.Context, from jetstream.Stream, i int) (events.Stored, bool, error) {
		return s.lastIn(ctx, from, p, subjects[i])
	})
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(read, func(st events.Stored) bool { return end > 0 && st.Seq >= end })
	slices.SortFunc(found, func(x, y events.Stored) int { return cmp.Compare(y.Seq, x.Seq) })
	return found[:min(limit, len(found))], nil
}

// backwards is newest where there are many. JetStream reads by subject only forwards, and reads in vain all that lies
// between; so it looks into windows before the end, each four times as large as the one after it.
func (s *Store) backwards(ctx context.Context, l *layout, p int, subject string, end uint64, limit int) ([]events.Stored, error) {
	last, err := l.events[p].GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, away(err)
	}
	if end == 0 || end > last.Sequence {
		end = last.Sequence + 1
	}
	var found []events.Stored
	window := uint64(4 * limit) // #nosec G115 -- a small positive count
	for ; end > 1 && len(found) < limit; window *= 4 {
		begin := max(end, window+1) - window
		some, err := s.window(ctx, l.events[p], p, subject, begin, end)
		if err != nil {
			return nil, err
		}
		slices.Reverse(some)
		found, end = append(found, some...), begin
	}
	return found[:min(limit, len(found))], nil
}

// window is between, a large one read in parts side by side: each part reads in vain once, what comes after it.
func (s *Store) window(ctx context.Context, from jetstream.Stream, p int, subject string, begin, end uint64) ([]events.Stored, error) {
	const large = 1024
	n := 1
	if end-begin >= large {
		n += len(s.lookers)
	}
	parts, size := make([][]events.Stored, n), (end-begin+uint64(n)-1)/uint64(n) // #nosec G115 -- a small positive count
	err := s.abreast(ctx, from, n, func(ctx context.Context, from jetstream.Stream, i int) (err error) {
		start := begin + uint64(i)*size // #nosec G115 -- an index
		parts[i], err = s.between(ctx, from, p, subject, start, min(start+size, end))
		return err
	})
	return slices.Concat(parts...), err
}

// between returns the events of a subject from one sequence up to before another.
func (s *Store) between(ctx context.Context, from jetstream.Stream, p int, subject string, begin, end uint64) ([]events.Stored, error) {
	var found []events.Stored
	for begin < end {
		msg, err := from.GetMsg(ctx, begin, jetstream.WithGetMsgSubject(subject))
		if err == nil && msg.Sequence >= end || errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		stored, ok, err := s.stored(ctx, p, msg, err)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, stored)
		}
		begin = msg.Sequence + 1
	}
	return found, nil
}
