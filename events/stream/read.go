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
	err = s.follow(ctx, from, filter, after, func(msg jetstream.Msg, seq uint64) error {
		after = seq
		stored, err := s.unpackWaiting(ctx, p, seq, msg)
		if errors.Is(err, errForeign) {
			s.log.Warn("a message among the events was not written by carehub", "partition", p, "seq", seq)
			return nil
		}
		if broken, ok := errors.AsType[*events.Error](err); ok && broken.Kind == events.Internal && !errors.Is(err, errNewer) {
			s.log.Error("a stored event cannot be read", "partition", p, "seq", seq)
			stored, err = remains(p, seq, msg.Subject()), nil
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
func (s *Store) unpackWaiting(ctx context.Context, p int, seq uint64, msg jetstream.Msg) (events.Stored, error) {
	for {
		stored, err := unpack(p, seq, msg.Headers(), msg.Data(), func(subject string) ([]byte, error) {
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

// follow calls fn with the messages of a stream after a sequence, in order and without a gap, through reconnects.
func (s *Store) follow(ctx context.Context, from jetstream.Stream, filter string, after uint64, fn func(jetstream.Msg, uint64) error) error {
	ctx, done, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	var failed error
	for {
		err := s.consume(ctx, from, filter, after, func(msg jetstream.Msg, seq uint64) bool {
			failed = fn(msg, seq)
			after = seq
			return failed == nil
		})
		if failed != nil {
			return failed
		}
		if ctx.Err() == nil {
			s.log.Warn("reading the store was interrupted", "filter", filter, "after", after, "err", err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// consume reads with a consumer of its own until fn says no or the consumer fails, which a message that is missing counts
// as. A consumer that idles costs two small messages a minute, on an external server in ten seconds.
func (s *Store) consume(ctx context.Context, from jetstream.Stream, filter string, after uint64, fn func(jetstream.Msg, uint64) bool) error {
	consumer, err := s.consumer(ctx, from, filter, after)
	if err != nil {
		return err
	}
	expiry, heartbeat := time.Minute, 30*time.Second
	if s.embedded == nil {
		expiry, heartbeat = 5*heartbeats, heartbeats
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(128), jetstream.PullExpiry(expiry), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for n := uint64(1); ; n++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if s.embedded == nil && meta.Sequence.Consumer != n {
			return errMissed
		}
		if !fn(msg, meta.Sequence.Stream) {
			return nil
		}
	}
}

var errMissed = errors.New("a message was lost on its way")

// consumer makes a consumer that begins after a sequence. In this process it is an ordered one, which mends itself. On
// its own way to mend itself that one would wait ten seconds for what a lost leader never answers, so that elsewhere it is
// one that follow replaces.
func (s *Store) consumer(ctx context.Context, from jetstream.Stream, filter string, after uint64) (jetstream.Consumer, error) {
	if s.embedded != nil {
		return from.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
			FilterSubjects:   []string{filter},
			DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:      after + 1,
			MaxResetAttempts: 1,
		})
	}
	return askLeader(ctx, s, func(ctx context.Context) (jetstream.Consumer, error) {
		made, err := from.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubject: filter,
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:   after + 1,
			AckPolicy:     jetstream.AckNonePolicy,
			MemoryStorage: true, Replicas: 1,
			InactiveThreshold: time.Minute, // then the server forgets it
		})
		if err != nil {
			return nil, away(err)
		}
		return made, nil
	})
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
