package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// Read calls fn with every event of a partition after a sequence, in order, and then with each new one as it is stored,
// one at a time, until ctx ends, the store closes or fn fails; it returns the reason. While the store is away it waits,
// and goes on after the last event that fn was given. Of an event that cannot be read any more fn is given as much as its
// subject says, with a record of version 0, so that a person can be told; one of a newer program ends the reading.
func (s *Store) Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error {
	ctx, done, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	tail := s.layout.Load().tails[p]
	for {
		after, err = s.readStored(ctx, p, after, tail, fn)
		if errors.Is(err, errCaughtUp) {
			after, err = tail.read(ctx, after, fn)
		}
		if err != nil {
			return err
		}
	}
}

// errCaughtUp says that a reader has come to what the tail has at hand.
var errCaughtUp = errors.New("caught up")

// readStored reads from the store, at the most until the tail can take over.
func (s *Store) readStored(ctx context.Context, p int, after uint64, tail *tail, fn func(events.Stored) error) (uint64, error) {
	filter := events.CareSubject(p, "*", "*", "*")
	from, err := s.eventsOf(p)
	if err != nil {
		return after, err
	}
	err = s.follow(ctx, from, filter, after, func(msg *jetstream.RawStreamMsg) error {
		seq := msg.Sequence
		after = seq
		stored, err := s.unpackWaiting(ctx, p, msg)
		if errors.Is(err, errForeign) {
			s.log.Warn("a message among the events was not written by carehub", "partition", p, "seq", seq)
			return nil
		}
		if broken, ok := errors.AsType[*events.Error](err); ok && broken.Kind == events.Internal && !errors.Is(err, errNewer) {
			s.log.Error("a stored event cannot be read", "partition", p, "seq", seq)
			stored, err = remains(p, seq, msg.Subject), nil
		}
		if err == nil {
			err = fn(stored)
		}
		if err == nil && tail.follows(seq) {
			err = errCaughtUp
		}
		return err
	})
	return after, err
}

// remains is what the subject says of an event.
func remains(p int, seq uint64, subject string) events.Stored {
	patient, id, kind, _ := events.ParseCare(subject)
	return events.Stored{Partition: p, Seq: seq, Record: events.Record{Event: events.Event{ID: id, Patient: patient, Kind: kind}}}
}

// unpackWaiting reads an event, and for as long as the store is away tries again to fetch the rest of its plan.
func (s *Store) unpackWaiting(ctx context.Context, p int, msg *jetstream.RawStreamMsg) (events.Stored, error) {
	for {
		stored, err := unpack(p, msg.Sequence, msg.Header, msg.Data, func(subject string) ([]byte, error) {
			bounded, cancel := bound(ctx, patience)
			defer cancel()
			return s.chunk(bounded, p)(subject)
		})
		if events.KindOf(err) != events.Unavailable {
			return stored, err
		}
		if err := pause(ctx); err != nil {
			return stored, err
		}
	}
}

// pauseFor is how long pause waits.
const pauseFor = 100 * time.Millisecond

// pause waits a little before the next try.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pauseFor):
		return nil
	}
}
