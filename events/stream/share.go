package stream

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// neighbour is a hub as this one sees it.
type neighbour struct {
	seq    uint64    // of its newest beat
	seen   time.Time // when that was new here
	stored time.Time // when the server stored it, by the server's clock
	beat   beat
}

// forgetAfter is how long the beat of a hub that is gone stays in the store.
const forgetAfter = time.Minute

// shareLoop takes and gives partitions after each beat, until end, which it calls when it is leaving and holds none.
func (l *Leases) shareLoop(ctx context.Context, leave <-chan struct{}, end context.CancelFunc) {
	var beside sync.WaitGroup
	defer beside.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-leave:
			leave = nil
			l.mu.Lock()
			l.leaving = true
			l.mu.Unlock()
		case <-l.look:
		}
		l.winBack(ctx, &beside)
		l.freeAll(ctx)
		l.mu.Lock()
		left := l.leaving && len(l.held) == 0
		leaving := l.leaving
		l.mu.Unlock()
		if left {
			end()
			return
		}
		if now := time.Now(); !leaving && l.observe(ctx, now) {
			l.watch(ctx, &beside, now)
			l.share(ctx, now)
		}
	}
}

// winBack takes again what was held before this hub was late, all side by side: the ledger of one may be without a leader
// still when that of another has one. It waits for none of them, so that others are taken and freed meanwhile; each is won under
// its own lock, which taking and freeing respect.
func (l *Leases) winBack(ctx context.Context, wins *sync.WaitGroup) {
	l.mu.Lock()
	epoch := l.epoch
	l.mu.Unlock()
	for p, h := range l.holds(func(h *holding) bool { return h.epoch != epoch && !h.ended }) {
		wins.Go(func() {
			if err := l.win(ctx, p, h, epoch); err != nil {
				l.log.Warn("a partition was not won back", "partition", p, "error", err.Error())
				time.AfterFunc(l.times.Beat/2, l.soon)
			}
		})
	}
}

// freeAll frees what the engine has stopped delivering.
func (l *Leases) freeAll(ctx context.Context) {
	ended := l.holds(func(h *holding) bool { return h.ended })
	sideBySide(slices.Collect(maps.Keys(ended)), func(p int) {
		if err := l.free(ctx, p, ended[p]); err != nil {
			l.log.Warn("a partition was not released", "partition", p, "error", err.Error())
		}
	})
}

func (l *Leases) holds(which func(*holding) bool) map[int]*holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	some := map[int]*holding{}
	for p, h := range l.held {
		if which(h) {
			some[p] = h
		}
	}
	return some
}

// observe reads all beats, and reports whether anything may be concluded from them: only by a hub that is itself heard
// of, so that it is not cut off with an old copy of the store.
func (l *Leases) observe(ctx context.Context, now time.Time) bool {
	l.mu.Lock()
	late := l.late(now)
	l.mu.Unlock()
	found := map[string]bool{}
	bounded, cancel := context.WithTimeout(ctx, l.times.Lease/2)
	defer cancel()
	_, err := l.store.list(bounded, l.store.hub, beatPrefix, func(msg *jetstream.RawStreamMsg) bool {
		var b beat
		if json.Unmarshal(msg.Data, &b) == nil {
			id := msg.Subject[len(beatPrefix):]
			found[id] = true
			l.saw(id, &neighbour{seq: msg.Sequence, stored: msg.Time, beat: b})
		}
		return true
	})
	if err != nil || late {
		return false
	}
	if l.wasAway() { // the store, and for everybody
		for _, n := range l.hubs {
			n.seen = time.Now()
		}
	}
	l.forget(ctx, found, now)
	return true
}

// wasAway reports whether the store may have been away since it was last asked.
func (l *Leases) wasAway() (away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	away, l.gap = l.gap, false
	return away
}

func (l *Leases) saw(id string, n *neighbour) {
	if known := l.hubs[id]; known == nil || known.seq != n.seq {
		n.seen = time.Now()
		l.hubs[id] = n
	}
}

// forget drops hubs that have taken their beats away when they left, and the beats of those that are long gone.
func (l *Leases) forget(ctx context.Context, found map[string]bool, now time.Time) {
	for id, n := range l.hubs {
		old := now.Sub(n.seen) >= forgetAfter
		switch {
		case !found[id] && (n.seq > 0 || old):
			delete(l.hubs, id)
		case old && id != l.id:
			bounded, cancel := context.WithTimeout(ctx, l.times.Lease/2)
			_ = l.store.hub.DeleteMsg(bounded, n.seq) // another hub may have been quicker
			cancel()
		}
	}
}

// takeable reports whether a partition of this hub may be taken. One that was never heard of is given the lease from now.
func (l *Leases) takeable(hub string, now time.Time) bool {
	if hub == "" || hub == l.id {
		return true
	}
	l.mu.Lock() // of several partitions it is asked side by side
	defer l.mu.Unlock()
	n := l.hubs[hub]
	if n == nil {
		l.hubs[hub] = &neighbour{seen: now}
		return false
	}
	return !l.alive(n, now)
}

func (l *Leases) alive(n *neighbour, now time.Time) bool { return now.Sub(n.seen) < l.times.Lease }

// counts reports whether a hub is one of those that the work is shared among: it is alive, and its beat is about as new as
// ours. A hub that has just started would else wait for all who died before.
func (l *Leases) counts(n *neighbour, now time.Time) bool {
	mine := l.hubs[l.id]
	return n.seq > 0 && l.alive(n, now) && (mine == nil || mine.stored.Sub(n.stored) < l.times.Lease)
}

// share works towards an equal part for each hub. Partitions that follow one another go together, because only who has
// read the earlier one to its end may begin with the later one.
func (l *Leases) share(ctx context.Context, now time.Time) {
	chains := l.chains()
	claimed := l.claimed(now)
	mine, free := []int{}, []int{}
	for first := range chains {
		switch _, held := l.heldNow(first); {
		case held:
			mine = append(mine, first)
		case !claimed[first]:
			free = append(free, first)
		}
	}
	part := l.part(len(chains), now)
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	for len(mine) < part && len(free) > 0 {
		n := min(part-len(mine), len(free))
		mine = append(mine, l.takeAll(ctx, free[:n], now)...)
		free = free[n:]
	}
	var others, rest []int
	for _, first := range free {
		others = append(others, chains[first]...)
	}
	sideBySide(others, func(p int) { l.orphan(ctx, p, now) })
	slices.Sort(mine)
	for i, first := range mine {
		if i >= part {
			l.give(chains[first])
			continue
		}
		for _, p := range chains[first][1:] {
			if _, held := l.heldNow(p); !held && !claimed[p] {
				rest = append(rest, p)
			}
		}
	}
	l.takeAll(ctx, rest, now)
	l.giveStrays(chains)
}

// chains returns the live partitions by the first of those that follow one another.
func (l *Leases) chains() map[int][]int {
	live, _ := l.store.Layout()
	firstOf, chains := map[int]int{}, map[int][]int{}
	for _, p := range live {
		first, follows := firstOf[p.After]
		if !follows {
			first = p.Number
		}
		firstOf[p.Number] = first
		chains[first] = append(chains[first], p.Number)
	}
	return chains
}

// claimed returns the partitions that hubs which are alive say they hold.
func (l *Leases) claimed(now time.Time) map[int]bool {
	claimed := map[int]bool{}
	for id, n := range l.hubs {
		for _, p := range n.beat.Holds {
			if id != l.id && l.counts(n, now) {
				claimed[p] = true
			}
		}
	}
	return claimed
}

// part is how many of n chains are this hub's: an equal part, and of what is left over one for each of the first hubs.
func (l *Leases) part(n int, now time.Time) int {
	hubs := []string{l.id}
	for id, h := range l.hubs {
		if id != l.id && !h.beat.Leaving && l.counts(h, now) {
			hubs = append(hubs, id)
		}
	}
	slices.Sort(hubs)
	part := n / len(hubs)
	if slices.Index(hubs, l.id) < n%len(hubs) {
		part++
	}
	return part
}

// heldNow returns a hold that is not being given away.
func (l *Leases) heldNow(p int) (*holding, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[p]
	return h, h != nil && !h.given
}

// give has the engine stop delivering partitions; when it has, they are freed.
func (l *Leases) give(partitions []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range partitions {
		if h := l.held[p]; h != nil {
			h.given = true
		}
	}
	l.wake()
}

// giveStrays gives away partitions whose predecessors are another hub's, and forgets those that are no more.
func (l *Leases) giveStrays(chains map[int][]int) {
	live := map[int]bool{}
	for first, chain := range chains {
		_, held := l.heldNow(first)
		for _, p := range chain {
			live[p] = true
			if h, stray := l.heldNow(p); h != nil && stray && !held {
				l.give([]int{p})
			}
		}
	}
	for p, h := range l.holds(func(*holding) bool { return true }) {
		if !live[p] {
			l.lose(p, h)
		}
	}
}
