package signup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// batch is what will be told in one notification. Whoever begins it sends it, once the one before has ended; whoever comes
// until then joins. All have the same end.
type batch struct {
	ids    []string // of the deliveries
	events []fhir.Notified
	done   chan struct{}
	err    error
}

// errUntold is the end of a batch whose sending has panicked: whoever has joined must not take it for told.
var errUntold = &events.Failure{Reason: events.ReasonInternal, Err: errors.New("the notification was not sent")}

func (b *batch) add(id string, told fhir.Notified) {
	b.ids, b.events = append(b.ids, id), append(b.events, told)
}

// together tells of an event together with those that come while the notification before is under way, most at a time.
func (l *line) together(ctx context.Context, most int, id string, told fhir.Notified, tell func(context.Context, string, []fhir.Notified) error) (err error) {
	b, first := l.join(most, id, told)
	if !first {
		select {
		case <-b.done:
			return b.err
		case <-ctx.Done():
			return subscribers.NetworkFailure(ctx.Err())
		}
	}
	defer close(b.done)
	b.err = errUntold
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		err = subscribers.NetworkFailure(ctx.Err())
	}
	l.leave(b)
	if err == nil {
		err = tell(ctx, b.id(), b.events)
	}
	b.err = err
	return err
}

// join adds an event to the batch that forms, or begins one.
func (l *line) join(most int, id string, told fhir.Notified) (b *batch, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first = l.batch == nil || len(l.batch.ids) >= most; first {
		l.batch = &batch{done: make(chan struct{})}
	}
	l.batch.add(id, told)
	return l.batch, first
}

// leave lets nobody else join.
func (l *line) leave(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batch == b {
		l.batch = nil
	}
	slices.SortFunc(b.events, func(a, b fhir.Notified) int { return cmp.Compare(a.Number, b.Number) })
}

// id is that of its deliveries together: of the only one, as if it were sent alone.
func (b *batch) id() string {
	if len(b.ids) == 1 {
		return b.ids[0]
	}
	return events.Hash([]byte(strings.Join(slices.Sorted(slices.Values(b.ids)), " ")))
}
