package stream

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"carehub/events"
)

// looker is a connection for reads that go side by side. A server answers what is read directly in its loop of the connection, one
// after another, and each may have to load a block of eight megabytes.
type looker struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	streams sync.Map // by name
}

// views is how many connections read side by side, Store.reads included.
const views = 4

// connectLookers adds connections to a server in this process. One elsewhere is asked on a single one, which moves when its node dies.
func (s *Store) connectLookers(url string, options []nats.Option) error {
	for s.embedded != nil && len(s.lookers) < views-1 {
		conn, err := nats.Connect(url, options...)
		if err != nil {
			return away(err)
		}
		js, err := jetstream.New(conn)
		if err != nil {
			conn.Close()
			return err
		}
		s.lookers = append(s.lookers, &looker{conn: conn, js: js})
	}
	return nil
}

func (s *Store) closeLookers() {
	for _, l := range s.lookers {
		l.conn.Close()
	}
}

// stream returns the looker's own view of a stream.
func (l *looker) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if known, ok := l.streams.Load(name); ok {
		return known.(jetstream.Stream), nil
	}
	found, err := l.js.Stream(ctx, name)
	if err != nil {
		return nil, away(fmt.Errorf("stream %s: %w", name, err))
	}
	l.streams.Store(name, found)
	return found, nil
}

// abreast does n things with a stream side by side, on as many connections as there are: the i-th of k does i, i+k and so on.
func (s *Store) abreast(ctx context.Context, from jetstream.Stream, n int, do func(ctx context.Context, from jetstream.Stream, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	at := min(1+len(s.lookers), n)
	for first := range at {
		group.Go(func() (err error) {
			view := from
			if first > 0 {
				if view, err = s.lookers[first-1].stream(ctx, from.CachedInfo().Config.Name); err != nil {
					return err
				}
			}
			for i := first; i < n && err == nil; i += at {
				err = do(ctx, view, i)
			}
			return err
		})
	}
	return group.Wait()
}

// eventsAbreast reads n events of a stream side by side, and returns those that are there, in order.
func (s *Store) eventsAbreast(ctx context.Context, from jetstream.Stream, n int,
	read func(ctx context.Context, from jetstream.Stream, i int) (events.Stored, bool, error),
) ([]events.Stored, error) {
	all := make([]events.Stored, n) // of sequence 0: there is none
	err := s.abreast(ctx, from, n, func(ctx context.Context, from jetstream.Stream, i int) error {
		st, ok, err := read(ctx, from, i)
		if ok {
			all[i] = st
		}
		return err
	})
	return slices.DeleteFunc(all, func(st events.Stored) bool { return st.Seq == 0 }), err
}
