package stream

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many partitions are taken or freed side by side.
const atOnce = 16

// sideBySide does something for each of some partitions and waits for all: a ledger without a leader holds up no other's turn.
// What is done for one rests on that one's record alone, so their order means nothing.
func sideBySide(partitions []int, do func(p int)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, p := range partitions {
		group.Go(func() error { do(p); return nil })
	}
	_ = group.Wait() // nobody fails
}

// orphan frees a partition of a hub that is gone for those who have few: one that has just started, perhaps in its place, has
// not looked on for long enough to know. And it frees what is this hub's by its record alone: it was written without this hub
// hearing of it, and nobody else may take it while this hub is alive.
func (l *Leases) orphan(ctx context.Context, p int, now time.Time) {
	l.mu.Lock()
	holds := l.held[p] != nil // it is being given away
	l.mu.Unlock()
	hub, seq, err := l.ownerOf(ctx, p)
	if err == nil && hub != "" && !holds && l.mayTake(p, hub, seq, now) {
		_, err = l.change(ctx, p, "", seq)
	}
	if err != nil && !refused(err) {
		l.log.Warn("a partition of a hub that is gone could not be freed", "partition", p, "error", err.Error())
	}
}

// takeAll takes partitions side by side and returns those that it got.
func (l *Leases) takeAll(ctx context.Context, partitions []int, now time.Time) (taken []int) {
	sideBySide(partitions, func(p int) { l.take(ctx, p, now) })
	for _, p := range partitions {
		if _, held := l.heldNow(p); held {
			taken = append(taken, p)
		}
	}
	return taken
}

// take makes a partition this hub's if it is free or its hub is gone.
func (l *Leases) take(ctx context.Context, p int, now time.Time) {
	l.mu.Lock()
	epoch, holds := l.epoch, l.held[p] != nil // it is being given away, and is taken once it is free
	l.mu.Unlock()
	if holds {
		return
	}
	hub, seq, err := l.ownerOf(ctx, p)
	if err == nil && !l.mayTake(p, hub, seq, now) {
		return
	}
	began := time.Now()
	if err == nil {
		seq, err = l.own(ctx, p, seq)
	}
	if err != nil {
		if refused(err) { // somebody was quicker, which is rare: where it goes on, nobody delivers the partition
			l.log.Info("a partition was not taken: its record is another by now", "partition", p, "owner", hub, "seq", seq)
		} else {
			l.log.Warn("a partition could not be taken over", "partition", p, "error", err.Error())
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[p] = &holding{epoch: epoch, seq: seq, proved: began}
	l.wake()
	l.log.Info("partition taken", "partition", p)
}

// mayTake reports whether a partition whose record was just read is free, or its hub gone. Both clocks begin with the first look.
func (l *Leases) mayTake(p int, hub string, seq uint64, now time.Time) bool {
	silent, unchanged := l.takeable(hub, now), l.unchanged(p, hub, seq, now)
	return silent && unchanged
}
