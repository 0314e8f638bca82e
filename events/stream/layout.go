package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// layout is the partitions of a store at one time. It never changes: another takes its place.
type layout struct {
	format         format
	revision       uint64                   // of the format's record
	events, ledger map[int]jetstream.Stream // by partition; those in the archive are missing once their streams are gone
	tails          map[int]*tail            // by partition; nil for an external server
	replaced       chan struct{}            // closed when another has taken its place
}

// Layout returns the partitions that are live, older generations first, and a channel that is closed when that changes.
func (s *Store) Layout() ([]events.Partition, <-chan struct{}) {
	l := s.layout.Load()
	return l.format.live(), l.replaced
}

// Partitions is the number of partitions that take new events.
func (s *Store) Partitions() int { return s.layout.Load().format.Partitions }

// eventsOf returns the stream of a partition's events.
func (s *Store) eventsOf(p int) (jetstream.Stream, error) { return streamOf(s.layout.Load().events, p) }

// ledgerOf returns the stream of a partition's ledger.
func (s *Store) ledgerOf(p int) (jetstream.Stream, error) { return streamOf(s.layout.Load().ledger, p) }

func streamOf(streams map[int]jetstream.Stream, p int) (jetstream.Stream, error) {
	if found, ok := streams[p]; ok {
		return found, nil
	}
	return nil, &events.Error{Kind: events.NotFound, Message: fmt.Sprintf("Partition %d is not among the store's streams.", p)}
}

// adopt makes f the layout. Streams of the newest generation are made where they are missing, if create says so.
func (s *Store) adopt(ctx context.Context, f format, revision uint64, create bool) error {
	next := &layout{format: f, revision: revision, replaced: make(chan struct{}),
		events: map[int]jetstream.Stream{}, ledger: map[int]jetstream.Stream{}}
	for i, g := range f.Generations {
		if err := s.standGeneration(ctx, g, next, create && i == len(f.Generations)-1); err != nil {
			return err
		}
	}
	last := s.layout.Load()
	next.tails = s.tailsOf(next, last)
	s.layout.Store(next)
	if last != nil {
		close(last.replaced)
	}
	return nil
}

// tailsOf returns the tails of a layout's partitions. Those that the last layout had go on.
func (s *Store) tailsOf(next, last *layout) map[int]*tail {
	tails := map[int]*tail{}
	for p := range next.events {
		if last != nil {
			tails[p] = last.tails[p]
		}
		if tails[p] == nil && s.embedded != nil {
			tails[p] = &tail{events: map[uint64]*events.Stored{}}
		}
	}
	return tails
}

func (s *Store) standGeneration(ctx context.Context, g generation, into *layout, create bool) error {
	for p := g.First; p < g.First+g.Partitions; p++ {
		for _, kind := range []struct {
			config jetstream.StreamConfig
			into   map[int]jetstream.Stream
		}{{eventsConfig(p, s.replicas), into.events}, {ledgerConfig(p, s.replicas, s.embedded != nil), into.ledger}} {
			found, err := s.stand(ctx, kind.config, create)
			if errors.Is(err, jetstream.ErrStreamNotFound) && slices.Contains(g.Archived, p) {
				continue
			}
			if err != nil {
				return err
			}
			kind.into[p] = found
		}
	}
	return nil
}

// Grow begins a new generation of partitions, as many as before or a multiple of it, and seals the one that was the
// newest: all its events stay where they are, and every later one goes to the new generation. Publish waits meanwhile. It
// may be called again after any error or crash. Errors: Invalid, Unavailable, Conflict when somebody else was quicker.
func (s *Store) Grow(ctx context.Context, partitions int) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	now := s.layout.Load()
	if partitions == 0 {
		partitions = now.format.Partitions
	}
	if err := now.format.checkGrowth(partitions); err != nil {
		return err
	}
	next := now.format.grown(partitions)
	if err := s.standGeneration(ctx, next.newest(), &layout{events: map[int]jetstream.Stream{}, ledger: map[int]jetstream.Stream{}}, true); err != nil {
		return err
	}
	if s.embedded != nil { // the streams' names must last before anything depends on them
		if err := syncDirectories(s.embedded.dir); err != nil {
			return away(err)
		}
	}
	if err := s.seal(ctx, now); err != nil {
		return err
	}
	return s.record(ctx, now, next)
}

// seal fences the newest generation: from here on its streams refuse every event, whoever sends it, however late.
func (s *Store) seal(ctx context.Context, l *layout) error {
	g := l.format.newest()
	for p := g.First; p < g.First+g.Partitions; p++ {
		config := eventsConfig(p, s.replicas)
		have, err := s.js.Stream(ctx, config.Name)
		if err != nil {
			return away(err)
		}
		sealed := have.CachedInfo().Config
		sealed.Sealed, sealed.DenyDelete, sealed.DenyPurge = true, true, true
		if _, err := s.js.UpdateStream(ctx, sealed); err != nil {
			return away(err)
		}
	}
	return nil
}

// record stores next as the format that follows now, and adopts it.
func (s *Store) record(ctx context.Context, now *layout, next format) error {
	value, err := next.encode()
	if err != nil {
		return err
	}
	revision, err := s.HubPut(ctx, formatKey, value, now.revision)
	if err != nil {
		return err
	}
	return s.adopt(ctx, next, revision, false)
}

// Fill is how many messages the newest generation holds, and when the first of them was written; zero if there is none.
func (s *Store) Fill(ctx context.Context) (messages uint64, since time.Time, err error) {
	l := s.layout.Load()
	g := l.format.newest()
	for p := g.First; p < g.First+g.Partitions; p++ {
		info, err := l.events[p].Info(ctx)
		if err != nil {
			return 0, time.Time{}, away(err)
		}
		state := info.State
		messages += state.Msgs
		if state.Msgs > 0 && (since.IsZero() || state.FirstTime.Before(since)) {
			since = state.FirstTime
		}
	}
	return messages, since, nil
}

// Retire takes a sealed partition out of the layout: all its events are in the archive. Its streams stay, and are still
// looked into by whoever has begun to, until Clear.
func (s *Store) Retire(ctx context.Context, p int) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	now := s.layout.Load()
	if err := now.format.checkRetirement(p); err != nil {
		return err
	}
	return s.record(ctx, now, now.format.archived(p))
}

// Retired lists the retired partitions. Streams of theirs may still be there.
func (s *Store) Retired() []int { return s.layout.Load().format.retired() }

// Clear deletes the streams of retired partitions. Between Retire and Clear the caller lets pass what a look-up may take.
func (s *Store) Clear(ctx context.Context, retired []int) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	now := s.layout.Load()
	gone := now.format.cleared(retired)
	for _, p := range gone {
		if err := s.drop(ctx, eventsConfig(p, 0).Name, ledgerConfig(p, 0, s.embedded != nil).Name); err != nil {
			return err
		}
	}
	next := now.format.trimmed(func(p int) bool { return now.events[p] != nil && !slices.Contains(gone, p) })
	if len(next.Generations) == len(now.format.Generations) {
		return s.adopt(ctx, next, now.revision, false)
	}
	return s.record(ctx, now, next)
}

func (s *Store) drop(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := s.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return away(err)
		}
	}
	return nil
}

// followLayout keeps up with the generations that other processes make.
func (s *Store) followLayout(ctx context.Context) {
	_ = s.HubWatch(ctx, formatKey[:len(formatKey)-len("format")], func() {}, func(key string, value []byte) {
		if key == formatKey {
			s.refresh(ctx)
		}
	})
}

// refresh adopts the format that is stored, if it is not the one in use.
func (s *Store) refresh(ctx context.Context) {
	s.growing.Lock()
	defer s.growing.Unlock()
	f, revision, err := s.readFormat(ctx, 0)
	if err == nil && revision > s.layout.Load().revision {
		err = s.adopt(ctx, f, revision, false)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the store's layout cannot be read", "err", err)
	}
}
