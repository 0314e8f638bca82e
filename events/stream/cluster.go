package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// What a cluster asks for that a server in this process does not: to find out soon that a node is silent, and to try again
// while it elects another leader, which takes some seconds.
const (
	tryFor      = 2 * time.Second  // one try: what was sent to a leader that is no more is never answered
	askEvery    = tryFor / 4       // a question is asked once more beside those not answered yet: while nobody leads, nobody answers
	reachFor    = 2 * time.Second  // that no node can be reached before a caller hears of it
	electionFor = 10 * time.Second // the most that nats-server takes to choose a leader, all going well
	pingEvery   = 2 * time.Second  // twice unanswered, the connection moves to another node
	heartbeats  = 2 * time.Second  // of a reader's consumer; twice missing, it is replaced
)

// checkServer refuses a server that could not take the largest event.
func checkServer(c *nats.Conn) error {
	if most := c.MaxPayload(); most < maxStored {
		return fmt.Errorf("the NATS server takes messages of %d bytes; carehub needs at least %d: set max_payload to 2MB", most, maxStored)
	}
	return nil
}

// electing reports whether an error may be that of a cluster which is choosing a leader: no answer, or that one.
func electing(err error) bool {
	return hasCode(err, jetstream.JSErrCodeStreamWrongLastSequenceConstant, codeNotAvailable) || events.KindOf(err) == events.Unavailable && !answered(err)
}

const (
	codeNotAvailable jetstream.ErrorCode = 10008 // JSClusterNotAvailErr
	codeNoPeers      jetstream.ErrorCode = 10005 // JSClusterNoPeersErr
)

// persevere repeats do, which must do no harm when repeated, while a cluster elects a leader, within ctx.
func (s *Store) persevere(ctx context.Context, do func(context.Context) error) error {
	if s.embedded != nil {
		return do(ctx)
	}
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, tryFor)
		err := do(try)
		cancel()
		gone := s.life.Err() != nil || !s.writes.IsConnected() && time.Since(began) > reachFor
		if !electing(err) || gone || pause(ctx) != nil {
			return err
		}
	}
}

// askLeader is persevere for a question, which does no harm when it is under way several times: as soon as there is a leader again
// it has one to answer.
func askLeader[T any](ctx context.Context, s *Store, question func(context.Context) (T, error)) (T, error) {
	if s.embedded != nil {
		return question(ctx)
	}
	asking, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	answers := make(chan answer[T], 1)
	once := func() {
		try, cancel := context.WithTimeout(asking, tryFor)
		defer cancel()
		got, err := question(try)
		select {
		case answers <- answer[T]{got, err}:
		case <-asking.Done():
		}
	}
	again := time.NewTimer(0)
	defer again.Stop()
	last := answer[T]{err: away(context.DeadlineExceeded)}
	for began := time.Now(); ; {
		select {
		case <-again.C:
			asked.Go(once)
			again.Reset(askEvery)
		case last = <-answers:
			gone := s.life.Err() != nil || !s.writes.IsConnected() && time.Since(began) > reachFor
			if !electing(last.err) || gone {
				return last.got, last.err
			}
			again.Reset(pauseFor)
		case <-ctx.Done():
			return last.got, last.err
		}
	}
}

// answer is what came of a question.
type answer[T any] struct {
	got T
	err error
}

// lastMsg reads the newest message of a subject from the stream's leader. Errors: jetstream.ErrMsgNotFound, Unavailable.
func (s *Store) lastMsg(ctx context.Context, from jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
	return s.message(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return from.GetLastMsgForSubject(ctx, subject)
	})
}

// message reads one message, again and again while it cannot be read.
func (s *Store) message(ctx context.Context, read func(context.Context) (*jetstream.RawStreamMsg, error)) (*jetstream.RawStreamMsg, error) {
	return askLeader(ctx, s, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		msg, err := read(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, away(err)
		}
		return msg, err
	})
}

// prepareSoon is prepare, again and again while the cluster is not complete yet, or other hubs make the same streams.
func (s *Store) prepareSoon(ctx context.Context, o Options) error {
	for {
		err := s.prepare(ctx, o)
		early := events.KindOf(err) == events.Conflict || hasCode(err, codeNotAvailable, codeNoPeers) || events.KindOf(err) == events.Unavailable
		if err == nil || s.embedded != nil || !early || pause(ctx) != nil {
			return err
		}
	}
}
