package stream

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// window is how many entries of one Put may be on their way to the disk.
const window = 256

// Put stores entries in a partition's ledger, in their order, and returns when all are on disk. An entry without a value
// deletes its key. After an error nothing is known: any of the entries may be stored, a later one without an earlier one.
// So what must never be seen without another, such as the cursor, belongs in a Put after that other's has returned.
// Errors: Invalid, TooLarge, Unavailable; with leases also events.ErrFenced, after which nothing was stored.
func (s *Store) Put(ctx context.Context, p int, entries []events.Entry) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	for _, e := range entries {
		if err := checkKey(p, e.Key); err != nil {
			return err
		}
	}
	if s.leases != nil {
		return s.leases.put(ctx, p, entries)
	}
	s.still.RLock()
	defer s.still.RUnlock()
	if err := s.embedded.full(ledgerReserve); err != nil {
		return err
	}
	w := writer{store: s, p: p}
	for _, e := range entries {
		if err := w.put(ctx, e); err != nil {
			return err
		}
	}
	return w.flush(ctx, 0)
}

// writer has the acknowledgements of one Put that are still to come, oldest first.
type writer struct {
	store   *Store
	p       int
	pending []jetstream.PubAckFuture
}

func (w *writer) put(ctx context.Context, e events.Entry) error {
	if len(e.Value) == 0 {
		if err := w.flush(ctx, 0); err != nil {
			return err
		}
		return w.delete(ctx, e.Key)
	}
	future, err := w.store.publish(ctx, &nats.Msg{Subject: e.Key, Data: e.Value})
	if err != nil {
		return err
	}
	w.pending = append(w.pending, future)
	return w.flush(ctx, window-1)
}

// flush waits until no more than keep entries are on their way.
func (w *writer) flush(ctx context.Context, keep int) error {
	for len(w.pending) > keep {
		if _, err := w.store.await(ctx, w.pending[0]); err != nil {
			return err
		}
		w.pending = w.pending[1:]
	}
	return nil
}

// delete removes a key's message: one small synced write, and nothing is left behind.
func (w *writer) delete(ctx context.Context, key string) error {
	ledger, err := w.store.ledgerOf(w.p)
	if err != nil {
		return err
	}
	msg, err := ledger.GetLastMsgForSubject(ctx, key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return away(err)
	}
	if err := ledger.DeleteMsg(ctx, msg.Sequence); err != nil {
		return unwritten(err)
	}
	return nil
}

// Get returns the newest value of a key of a partition's ledger. It sees every Put that has returned.
func (s *Store) Get(ctx context.Context, p int, key string) ([]byte, bool, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if err := checkKey(p, key); err != nil {
		return nil, false, err
	}
	from, err := s.ledgerOf(p)
	if err != nil {
		return nil, false, err
	}
	msg, err := s.lastMsg(ctx, from, key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return msg.Data, len(msg.Data) > 0, nil
}

// List returns the newest values of all keys of a partition's ledger that begin with prefix, which ends with a dot, by
// key. It sees every Put that has returned. It reads about 20,000 keys a second.
func (s *Store) List(ctx context.Context, p int, prefix string) ([]events.Entry, error) {
	found := map[string][]byte{}
	from, err := s.ledgerOf(p)
	if err != nil {
		return nil, err
	}
	_, err = s.list(ctx, from, prefix, func(msg *jetstream.RawStreamMsg) bool {
		if len(msg.Data) > 0 {
			found[msg.Subject] = msg.Data
		} else { // its key was deleted
			s.leases.stumbled(p, msg.Sequence)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return sorted(found), nil
}

// Has reports whether a partition's ledger has any key that begins with prefix, which ends with a dot. It sees every Put
// that has returned, and reads no more than it must.
func (s *Store) Has(ctx context.Context, p int, prefix string) (has bool, err error) {
	from, err := s.ledgerOf(p)
	if err != nil {
		return false, err
	}
	_, err = s.list(ctx, from, prefix, func(msg *jetstream.RawStreamMsg) bool {
		if has = len(msg.Data) > 0; !has {
			s.leases.stumbled(p, msg.Sequence)
		}
		return !has
	})
	return has && err == nil, err
}

func sorted(found map[string][]byte) []events.Entry {
	var out []events.Entry
	for key, value := range found {
		out = append(out, events.Entry{Key: key, Value: value})
	}
	slices.SortFunc(out, func(a, b events.Entry) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// list calls fn with the newest message of every subject under prefix until it says no, and returns the sequence it has seen
// all up to.
// A subject written meanwhile may come again, newer. Messages are asked for one by one because such reads are answered
// by the stream's leader; a consumer may sit on a replica that is behind.
func (s *Store) list(ctx context.Context, from jetstream.Stream, prefix string, fn func(*jetstream.RawStreamMsg) (more bool)) (uint64, error) {
	if !strings.HasSuffix(prefix, ".") {
		return 0, invalid("A prefix ends with a dot.")
	}
	var seen uint64
	for {
		bounded, cancel := bound(ctx, patience)
		msg, err := s.message(bounded, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return from.GetMsg(ctx, seen+1, jetstream.WithGetMsgSubject(prefix+">"))
		})
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
		seen = msg.Sequence
		if !fn(msg) {
			return seen, nil
		}
	}
}
