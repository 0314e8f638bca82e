package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"carehub/events"
)

// proof is how long a write of a partition's record that was acknowledged keeps the partition, counted by its owner from when it
// began to be sent and by others from when they saw it. It is half a lease, so that a record which is first looked at when its
// hub is missed can be taken when the lease ends.
func (t LeaseTimes) proof() time.Duration { return t.Lease / 2 }

// proveLoop writes the records of what is held anew while the beats are not taken, each as often as a beat would be sent. It waits
// for none of them: the ledger of one may be without a leader too.
func (l *Leases) proveLoop(ctx context.Context, write func(ctx context.Context, p int, h *holding)) {
	var writes sync.WaitGroup
	defer writes.Wait()
	next := time.NewTicker(l.times.Beat)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			for p, h := range l.unproved(time.Now()) {
				writes.Go(func() { write(ctx, p, h) })
			}
		}
	}
}

// unproved is what is held and has to be written anew.
func (l *Leases) unproved(now time.Time) map[int]*holding {
	l.mu.Lock()
	heard := now.Sub(l.renewed) < missed*l.times.Beat
	l.mu.Unlock()
	if heard {
		return nil
	}
	return l.holds(func(h *holding) bool { return !h.ended && now.Sub(h.proved) >= l.times.Beat/2 })
}

// prove leaves a record alone that is just being written, and is tried again with the next tick.
func (l *Leases) prove(ctx context.Context, p int, h *holding) {
	if !h.writing.TryLock() {
		return
	}
	defer h.writing.Unlock()
	l.mu.Lock()
	epoch := l.epoch
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.times.proof()-l.times.Margin) // later it is of no use
	defer cancel()
	if err := l.rewrite(ctx, p, h, epoch); errors.Is(err, events.ErrFenced) {
		l.log.Warn("another hub has taken a partition over", "partition", p)
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

// unchanged reports whether a partition's record that was just read, in a round that began at now, is free or this hub's own, or
// has not changed while its owner would have had to write it to keep it. It is taken or freed by compare-and-set on the sequence
// that was read, so that a later write is noticed.
func (l *Leases) unchanged(p int, hub string, seq uint64, now time.Time) bool {
	if hub == "" || hub == l.id {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.sighted[p]; !ok || known.seq != seq {
		l.sighted[p] = sighting{seq, time.Now()}
		return false
	}
	return now.Sub(l.sighted[p].seen) >= l.times.proof()
}

// watch looks at the records of hubs that are missed, so that they can be taken as soon as a lease has passed. It waits for none.
func (l *Leases) watch(ctx context.Context, looks *sync.WaitGroup, now time.Time) {
	for id, n := range l.hubs {
		if id == l.id || now.Sub(n.seen) < missed*l.times.Beat || !l.alive(n, now) {
			continue
		}
		for _, p := range n.beat.Holds {
			looks.Go(func() {
				bounded, cancel := context.WithTimeout(ctx, l.times.Beat)
				defer cancel()
				if hub, seq, err := l.ownerOf(bounded, p); err == nil {
					l.unchanged(p, hub, seq, now)
				}
			})
		}
	}
}
