package stream

import (
	"context"
	"sync"
	"time"
)

// ID is what a hub's records name it by.
func (l *Leases) ID() string { return l.id }

// TakeFrom takes a partition as one who found a hub gone by its beat of that sequence. Leases that run must not be asked.
func (l *Leases) TakeFrom(ctx context.Context, p int, hub string, beat uint64) {
	l.hubs[hub] = &neighbour{seq: beat}
	l.take(ctx, p, time.Now())
	l.orphan(ctx, p, time.Now())
}

// Lapse is what happens when a beat gets through again that was late.
func (l *Leases) Lapse() {
	l.mu.Lock()
	l.renewed = time.Time{}
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
