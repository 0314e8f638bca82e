package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// The delivery log is what may be lost: a stream of its own that is not synced, where the oldest makes way for the new. It
// is not part of a backup.
const (
	logMessages   = 512     // of one endpoint
	logAll        = 100_000 // of all endpoints
	logAge        = 30 * 24 * time.Hour
	maxLogMessage = 64 << 10 // bytes
)

func attemptsConfig(replicas int) jetstream.StreamConfig {
	c := settings("ATTEMPTS", replicas, "att.*.*")
	c.Discard, c.DenyPurge = jetstream.DiscardOld, false
	c.MaxMsgsPerSubject, c.MaxMsgs, c.MaxAge, c.MaxMsgSize = logMessages, logAll, logAge, maxLogMessage
	if replicas <= 1 { // else Raft needs what it is told on disk
		c.PersistMode = jetstream.AsyncPersistMode
	}
	return c
}

// standAttempts returns the stream, however it is set up: no promise rests on it.
func (s *Store) standAttempts(ctx context.Context, replicas int) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	want := attemptsConfig(replicas)
	have, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if have, err = s.js.CreateStream(ctx, want); err != nil {
			return nil, unmade(ctx, want.Name, err)
		}
	}
	if err != nil {
		return nil, away(err)
	}
	return have, nil
}

// AppendAttempts writes messages of at most 64 KiB to the delivery log, each under its events.AttemptSubject. A crash may
// lose what was written in the last moments.
func (s *Store) AppendAttempts(ctx context.Context, messages []events.Entry) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if err := s.embedded.full(recordReserve); err != nil {
		return err
	}
	pending := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		future, err := s.publish(ctx, &nats.Msg{Subject: m.Key, Data: m.Value})
		if err != nil {
			return err
		}
		pending = append(pending, future)
	}
	return s.awaitAll(ctx, pending)
}

// ReadAttempts calls fn with each message of an events.AttemptSubject, the oldest first, until fn fails.
func (s *Store) ReadAttempts(ctx context.Context, subject string, fn func(message []byte) error) error {
	for seen := uint64(0); ; {
		bounded, cancel := bound(ctx, patience)
		msg, err := s.message(bounded, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return s.attempts.GetMsg(ctx, seen+1, jetstream.WithGetMsgSubject(subject))
		})
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			seen, err = msg.Sequence, fn(msg.Data)
		}
		if err != nil {
			return err
		}
	}
}
