package stream

import (
	"context"
	"sync"
	"time"
)

// proof is how long a write of a partition's record that was acknowledged keeps the partition, counted by its owner from when it
// began to be sent and by others from when they saw it. It is shorter than a lease, for a record is looked at only once its hub
// is missed, and perhaps not before its ledger has a leader again.
func (t LeaseTimes) proof() time.Duration { return t.Lease / 2 }

// proveLoop writes the records of what is held anew while the beats are not taken, each as often as a beat would be sent.
func (l *Leases) proveLoop(ctx context.Context) {
	var wins sync.WaitGroup
	defer wins.Wait()
	next := time.NewTicker(l.times.Beat)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-next.C:
			l.prove(ctx, &wins, now)
		}
	}
}

// prove waits for none of the records: the ledger of one may be without a leader too.
func (l *Leases) prove(ctx context.Context, wins *sync.WaitGroup, now time.Time) {
	l.mu.Lock()
	epoch, heard := l.epoch, now.Sub(l.renewed) < missed*l.times.Beat
	l.mu.Unlock()
	if heard {
		return
	}
	unproved := func(h *holding) bool { return !h.ended && now.Sub(h.proved) >= l.times.Beat }
	for p, h := range l.holds(unproved) {
		wins.Go(func() { _ = l.win(ctx, p, h, epoch) }) // else tried again with the next
	}
}

// missed is how many beats fail to come before the records are looked to.
const missed = 2

// lastProof is when this hub last sent a write to any ledger that was acknowledged.
func (l *Leases) lastProof() (last time.Time) {
	for _, h := range l.holds(func(*holding) bool { return true }) {
		l.mu.Lock()
		if h.proved.After(last) {
			last = h.proved
		}
		l.mu.Unlock()
	}
	return last
}

// sighting is the record of a partition as another hub saw it.
type sighting struct {
	seq  uint64
	seen time.Time // when that was new here
}

// unchanged reports whether a partition's record that was just read is free, or has not changed while its owner would have had to
// write it to keep it. It is taken or freed by compare-and-set on the sequence that was read, so that a later write is noticed.
func (l *Leases) unchanged(p int, hub string, seq uint64) bool {
	if hub == "" || hub == l.id {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.sighted[p]; !ok || known.seq != seq {
		l.sighted[p] = sighting{seq, time.Now()}
		return false
	}
	return time.Since(l.sighted[p].seen) >= l.times.proof()
}

// watch looks at the records of hubs that are missed, so that they can be taken as soon as a lease has passed.
func (l *Leases) watch(ctx context.Context, now time.Time) {
	var doubtful []int
	for id, n := range l.hubs {
		if id != l.id && now.Sub(n.seen) >= missed*l.times.Beat && l.alive(n, now) {
			doubtful = append(doubtful, n.beat.Holds...)
		}
	}
	sideBySide(doubtful, func(p int) {
		if hub, seq, err := l.ownerOf(ctx, p); err == nil {
			l.unchanged(p, hub, seq)
		}
	})
}
