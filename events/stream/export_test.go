package stream

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ID is what a hub's records name it by.
func (l *Leases) ID() string { return l.id }

// Record is the sequence of a partition's record.
func (l *Leases) Record(ctx context.Context, p int) (uint64, error) {
	_, seq, err := l.ownerOf(ctx, p)
	return seq, err
}

// TakeFrom takes a partition as one who found a hub gone, and its record of that sequence unchanged. Leases that run must not be asked.
func (l *Leases) TakeFrom(ctx context.Context, p int, hub string, seq uint64) {
	l.hubs[hub] = &neighbour{}
	l.sighted[p] = sighting{seq: seq}
	l.take(ctx, p, time.Now())
	l.orphan(ctx, p, time.Now())
}

// Lapse is what happens when a beat gets through again after nothing was taken for a lease.
func (l *Leases) Lapse() {
	l.mu.Lock()
	l.renewed = time.Time{}
	for _, h := range l.held {
		h.proved = time.Time{}
	}
	l.mu.Unlock()
	l.renew(time.Now())
}

// Write holds up all batches of a partition until done.
func (l *Leases) Write(p int) (done func()) {
	l.mu.Lock()
	h := l.held[p]
	l.mu.Unlock()
	h.writing.Lock()
	return h.writing.Unlock
}

// WinBack begins to win back what was held before the last lapse.
func (l *Leases) WinBack(ctx context.Context) (wait func()) {
	var wins sync.WaitGroup
	l.winBack(ctx, &wins)
	return wins.Wait
}

// Follow follows the events of a partition in a stream that gives no consumer before it may.
func (s *Store) Follow(ctx context.Context, p int, may <-chan struct{}, fn func(seq uint64) error) error {
	from, err := s.eventsOf(p)
	if err != nil {
		return err
	}
	return s.follow(ctx, reluctant{from, may}, ">", 0, func(msg *jetstream.RawStreamMsg) error { return fn(msg.Sequence) })
}

type reluctant struct {
	jetstream.Stream
	may <-chan struct{}
}

func (r reluctant) CreateConsumer(ctx context.Context, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	select {
	case <-r.may:
		return r.Stream.CreateConsumer(ctx, c)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
