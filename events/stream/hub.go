package stream

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// HubPut stores a record of the hub's own, such as hub.token.<hash>, if its newest revision is still the one given; 0 is
// for a key that has no value. It returns the new revision. Errors: Conflict, Invalid, TooLarge, Unavailable.
func (s *Store) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := checkHub(key, value); err != nil {
		return 0, err
	}
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if revision == 0 {
		_, last, ok, err := s.hubGet(ctx, key)
		if err != nil {
			return 0, err
		}
		if ok {
			return 0, conflict()
		}
		revision = last
	}
	return s.hubPut(ctx, key, value, jetstream.WithExpectLastSequencePerSubject(revision))
}

// HubDelete takes a key's value away, whatever its revision. Its mark stays, so that who watches learns of it, however
// long they were away.
func (s *Store) HubDelete(ctx context.Context, key string) error {
	if err := checkHub(key, []byte{0}); err != nil {
		return err
	}
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	_, err := s.hubPut(ctx, key, nil)
	return err
}

func (s *Store) hubPut(ctx context.Context, key string, value []byte, options ...jetstream.PublishOpt) (uint64, error) {
	s.still.RLock()
	defer s.still.RUnlock()
	if err := s.embedded.full(ledgerReserve); err != nil {
		return 0, err
	}
	return s.write(ctx, key, value, options...)
}

func checkHub(key string, value []byte) error {
	if !strings.HasPrefix(key, "hub.") || len(value) == 0 {
		return invalid("A record of the hub has a key under hub. and a value.")
	}
	return nil
}

func conflict() error {
	return &events.Error{Kind: events.Conflict, Message: "Somebody else has changed this meanwhile."}
}

// HubGet returns the newest value of a key and its revision.
func (s *Store) HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	value, revision, ok, err = s.hubGet(ctx, key)
	if !ok {
		return nil, 0, false, err
	}
	return value, revision, ok, err
}

// hubGet is HubGet, except that it gives the revision of a deleted key too.
func (s *Store) hubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error) {
	msg, err := s.lastMsg(ctx, s.hub, key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, err
	}
	return msg.Data, msg.Sequence, len(msg.Data) > 0, nil
}

// HubList calls fn with every key that begins with prefix, which ends with a dot, its value and its revision.
func (s *Store) HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error {
	_, err := s.list(ctx, s.hub, prefix, func(msg *jetstream.RawStreamMsg) bool {
		if len(msg.Data) > 0 {
			fn(msg.Subject, msg.Data, msg.Sequence)
		}
		return true
	})
	return err
}

// HubErase takes a record away, at the revision given, and leaves no mark: for keys that nobody watches. One that has
// changed, or is not there any more, is left as it is.
func (s *Store) HubErase(ctx context.Context, key string, revision uint64) error {
	if err := checkHub(key, []byte{0}); err != nil {
		return err
	}
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	_, now, ok, err := s.hubGet(ctx, key)
	if err != nil || !ok || now != revision {
		return err
	}
	s.still.RLock()
	defer s.still.RUnlock()
	if err := s.hub.DeleteMsg(ctx, revision); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return unwritten(err)
	}
	return nil
}

// HubWatch calls fn with every key that begins with prefix, which ends with a dot, and its value, then ready, and then
// fn with each change as it comes; a deleted key has no value. It returns when ctx ends or the store closes, and before
// ready also when the store cannot be read.
func (s *Store) HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error {
	seen, err := s.list(ctx, s.hub, prefix, func(msg *jetstream.RawStreamMsg) bool {
		if len(msg.Data) > 0 {
			fn(msg.Subject, msg.Data)
		}
		return true
	})
	if err != nil {
		return err
	}
	ready()
	return s.follow(ctx, s.hub, prefix+">", seen, func(msg *jetstream.RawStreamMsg) error {
		fn(msg.Subject, msg.Data)
		return nil
	})
}
