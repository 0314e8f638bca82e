package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// The audit trail is a stream of its own, of which nothing is ever written again or removed by a hub.

const (
	auditSubject = "audit.chain"
	auditKey     = "hub.store.audit" // says that the stream has been made: one that is missing then is lost
)

func auditConfig(replicas int) jetstream.StreamConfig {
	return settings("AUDIT", replicas, "audit.>")
}

// AuditAppend writes the next link of the audit trail if the newest has the number given, 0 for none, and returns when it
// is on disk. Errors: Conflict if the newest is another, TooLarge, Unavailable: it may be written then.
func (s *Store) AuditAppend(ctx context.Context, after uint64, link []byte) (uint64, error) {
	return s.appendBehind(ctx, recordReserve, auditSubject, link, after)
}

// AuditLast returns the newest link of the audit trail and its number, 0 if there is none.
func (s *Store) AuditLast(ctx context.Context) (uint64, []byte, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	msg, err := s.lastMsg(ctx, s.audit, auditSubject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	}
	return msg.Sequence, msg.Data, nil
}

// AuditRead calls fn with the links of the audit trail behind a number, in order, until there are no more.
func (s *Store) AuditRead(ctx context.Context, after uint64, fn func(n uint64, link []byte) error) error {
	for {
		bounded, cancel := bound(ctx, patience)
		msg, err := s.message(bounded, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return s.audit.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(auditSubject))
		})
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("link behind %d: %w", after, err)
		}
		if err := fn(msg.Sequence, msg.Data); err != nil {
			return err
		}
		after = msg.Sequence
	}
}
