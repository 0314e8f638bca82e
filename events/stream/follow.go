package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// follow calls fn with the messages of a stream after a sequence, in order and without a gap, through reconnects.
func (s *Store) follow(ctx context.Context, from jetstream.Stream, filter string, after uint64, fn func(*jetstream.RawStreamMsg) error) error {
	ctx, done, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	var failed error
	give := func(msg *jetstream.RawStreamMsg) bool {
		if msg.Sequence <= after {
			return true // read before this consumer was there
		}
		failed = fn(msg)
		after = msg.Sequence
		return failed == nil
	}
	for {
		err := s.consume(ctx, from, filter, after, give)
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
func (s *Store) consume(ctx context.Context, from jetstream.Stream, filter string, after uint64, fn func(*jetstream.RawStreamMsg) bool) error {
	consumer, err := s.consumerSoon(ctx, from, filter, after, fn)
	if err != nil || consumer == nil {
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
		if !fn(&jetstream.RawStreamMsg{Subject: msg.Subject(), Sequence: meta.Sequence.Stream, Header: nats.Header(msg.Headers()), Data: msg.Data(), Time: meta.Timestamp}) {
			return nil
		}
	}
}

var errMissed = errors.New("a message was lost on its way")

// consumerSoon makes a consumer, which only the leader of the whole cluster can give. If that has died together with the last
// consumer it takes seconds until there is another, and meanwhile the leader of the stream is asked for one message after another:
// not so often where there is none, for a hub has dozens of readers, and most of them read what seldom changes.
// It returns nil once fn says no.
func (s *Store) consumerSoon(ctx context.Context, from jetstream.Stream, filter string, after uint64, fn func(*jetstream.RawStreamMsg) bool) (jetstream.Consumer, error) {
	if s.embedded != nil {
		return s.consumer(ctx, from, filter, after)
	}
	var making sync.WaitGroup
	defer making.Wait()
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	made := make(chan answer[jetstream.Consumer], 1)
	start := after
	making.Go(func() {
		consumer, err := s.consumer(bounded, from, filter, start)
		made <- answer[jetstream.Consumer]{consumer, err}
	})
	wait := askEvery
	for {
		select {
		case a := <-made:
			return a.got, a.err
		case <-time.After(wait):
		}
		msg, err := s.nextMsg(ctx, from, filter, after)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			wait = min(2*max(wait, pauseFor), askEvery)
		case err != nil:
			wait = pauseFor
		case !fn(msg):
			return nil, nil
		default:
			after, wait = msg.Sequence, 0
		}
	}
}

// nextMsg asks once for the first message after a sequence.
func (s *Store) nextMsg(ctx context.Context, from jetstream.Stream, filter string, after uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	return from.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(filter))
}

// consumer makes a consumer that begins after a sequence. In this process it is an ordered one, which mends itself. On
// its own way to mend itself that one would wait ten seconds for what a lost leader never answers, so that elsewhere it is
// one that follow replaces. It is asked for once at a time: each question that is answered makes another consumer, and a cluster
// that has just chosen a leader has enough to do.
func (s *Store) consumer(ctx context.Context, from jetstream.Stream, filter string, after uint64) (jetstream.Consumer, error) {
	if s.embedded != nil {
		return from.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
			FilterSubjects:   []string{filter},
			DeliverPolicy:    jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:      after + 1,
			MaxResetAttempts: 1,
		})
	}
	var made jetstream.Consumer
	err := s.persevere(ctx, func(ctx context.Context) (err error) {
		made, err = from.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubject: filter,
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:   after + 1,
			AckPolicy:     jetstream.AckNonePolicy,
			MemoryStorage: true, Replicas: 1,
			InactiveThreshold: time.Minute, // then the server forgets it
		})
		if err != nil {
			return away(err)
		}
		return nil
	})
	return made, err
}
