package stream

import (
	"context"
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
