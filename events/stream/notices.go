package stream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// The log of notices is one subject of a stream of its own.
const (
	noticeSubject = "note"
	noticesKey    = "hub.store.notices" // says that the stream has been made: one that is missing then is lost
)

func noticesConfig(replicas int) jetstream.StreamConfig {
	return settings("NOTICES", replicas, noticeSubject)
}

// Note adds a record to the log of notices if the newest there has the sequence after, 0 in an empty log, and returns its
// own. So whoever writes has seen everything before it. Errors: Conflict, TooLarge, Unavailable.
func (s *Store) Note(ctx context.Context, value []byte, after uint64) (uint64, error) {
	return s.appendBehind(ctx, ledgerReserve, noticeSubject, value, after)
}

// Notices calls fn with every record of the log of notices after a sequence, in order, then ready with the
// newest sequence of that time, whether or not its record is there still, and then fn with each new one as it is stored, until ctx ends, the store closes or fn fails; it returns the reason.
func (s *Store) Notices(ctx context.Context, after uint64, ready func(last uint64), fn func(seq uint64, value []byte) error) error {
	bounded, cancel := bound(ctx, patience)
	info, err := s.notices.Info(bounded)
	cancel()
	if err != nil {
		return away(err)
	}
	there, err := s.lastThere(ctx)
	if err != nil {
		return err
	}
	stored, waiting := info.State.LastSeq, true
	if there <= after {
		ready(stored)
		waiting = false
	}
	return s.follow(ctx, s.notices, noticeSubject, after, func(msg *jetstream.RawStreamMsg) error {
		if err := fn(msg.Sequence, msg.Data); err != nil {
			return err
		}
		if waiting && msg.Sequence >= there {
			waiting = false
			ready(stored)
		}
		return nil
	})
}

// lastThere is the sequence of the newest record of the log of notices that has not been removed; 0 if there is none.
func (s *Store) lastThere(ctx context.Context) (uint64, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	msg, err := s.lastMsg(ctx, s.notices, noticeSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// TrimNotice removes one record of the log of notices. Sequences go on as if it were there.
func (s *Store) TrimNotice(ctx context.Context, seq uint64) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	err := s.notices.DeleteMsg(ctx, seq)
	if err != nil && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // deleted already
		return away(err)
	}
	return nil
}
