package deliver

import (
	"container/list"
	"context"
	"time"

	"golang.org/x/time/rate"
)

// class says which allowance an attempt is taken from.
type class int

const (
	fresh   class = iota // of what has just been accepted, at an endpoint in good standing
	resumed              // of what was parked, at an endpoint in good standing again
	again                // of what has failed before, or whose endpoint has
	classes
)

// An attempt that has not ended within promptFor is slow, and gives its place to others.
const promptFor = time.Second

// retriesPerSecond is how many attempts of class again may start in a second, at all endpoints together, once as many
// have started at once: when the hub's own line was cut, everybody comes back.
const retriesPerSecond = 200

// budget bounds the attempts in flight to all endpoints together, and with them goroutines, connections and memory,
// without anybody waiting for those who hang. Each class has an allowance of its own: nothing new waits for what is tried
// again. Slow attempts, of all classes, have another; when there are more than that, the one that has been in flight for
// longest is cut off, and counts as timed out. Guarded by the engine's lock.
type budget struct {
	limit    [classes]int
	slowest  int // how many slow ones
	most     int // in all, those included that have been cut off and have yet to end
	flights  [classes]list.List
	slow     list.List // both with the oldest first
	queue    [classes][]*endpoint
	retries  *rate.Limiter
	wake     time.Time // when the agenda looks at the queues again; zero if not at all
	inflight int
}

// newBudget shares out a number of attempts in flight.
func newBudget(inflight int) *budget {
	share := func(parts int) int { return max(1, inflight*parts/8) }
	return &budget{limit: [classes]int{fresh: share(4), resumed: share(1), again: share(1)}, slowest: share(2),
		most: max(4, inflight), retries: rate.NewLimiter(retriesPerSecond, retriesPerSecond)}
}

// flight is one attempt under way.
type flight struct {
	d      *delivery
	ch     int    // the channel of d
	id     string // of d, as its receiver knows it; empty before it is sent
	ep     *endpoint
	class  class
	round  int // of ep
	since  time.Time
	target string             // of the endpoint that it was sent to
	cut    context.CancelFunc // ends it, as its deadline would
	place  *list.Element      // in its class's flights or in slow; nil once cut off
	slow   bool
}

// classOf says what an attempt of d by ch at ep is.
func classOf(d *delivery, ch int, ep *endpoint) class {
	switch {
	case ep.fails > 0, d.tries() != nil && d.try(ch).attempts > 0:
		return again
	case d.parked:
		return resumed
	}
	return fresh
}

// admits reports whether an attempt may start now.
func (b *budget) admits(c class, now time.Time) bool {
	b.demote(c, now)
	return b.inflight < b.most && b.flights[c].Len() < b.limit[c] && (c != again || b.retries.TokensAt(now) >= 1)
}

// demote makes room for others where attempts take long.
func (b *budget) demote(c class, now time.Time) {
	for b.flights[c].Len() >= b.limit[c] {
		f := b.flights[c].Front().Value.(*flight)
		if now.Sub(f.since) < promptFor {
			return
		}
		b.flights[c].Remove(f.place)
		f.place, f.slow = b.slow.PushBack(f), true
		if b.slow.Len() > b.slowest {
			b.cutOff()
		}
	}
}

// cutOff ends the slow attempt that is the least likely to succeed: at an endpoint that has failed before, or else the oldest.
func (b *budget) cutOff() {
	worst := b.slow.Front()
	for p := b.slow.Front(); p != nil; p = p.Next() {
		if p.Value.(*flight).ep.fails > 0 {
			worst = p
			break
		}
	}
	f := b.slow.Remove(worst).(*flight)
	f.place = nil
	f.cut()
}

// depart takes a place that admits has granted.
func (b *budget) depart(f *flight) {
	if f.class == again {
		b.retries.AllowN(f.since, 1)
	}
	f.place = b.flights[f.class].PushBack(f)
	b.inflight++
}

// land gives the place back.
func (b *budget) land(f *flight) {
	b.inflight--
	switch {
	case f.place == nil:
	case f.slow:
		b.slow.Remove(f.place)
	default:
		b.flights[f.class].Remove(f.place)
	}
}

// await queues an endpoint until there is room.
func (b *budget) await(c class, ep *endpoint) {
	if !ep.queued[c] {
		ep.queued[c] = true
		b.queue[c] = append(b.queue[c], ep)
	}
}

// next is when there may be room for those who wait, if nothing lands before; zero if nobody waits.
func (b *budget) next(now time.Time) (at time.Time) {
	for c := range classes {
		switch {
		case len(b.queue[c]) == 0:
		case b.flights[c].Len() >= b.limit[c]:
			oldest := b.flights[c].Front().Value.(*flight)
			at = sooner(at, later(now.Add(time.Millisecond), oldest.since.Add(promptFor)))
		case c == again && b.retries.TokensAt(now) < 1:
			at = sooner(at, now.Add(time.Second/retriesPerSecond))
		default: // something that was cut off has yet to end
			at = sooner(at, now.Add(promptFor))
		}
	}
	return at
}

// spend lets endpoints that wait for room in the budget go on, first come first served, as long as there is some.
func (e *Engine) spend(now time.Time) {
	b := e.budget
	for c := range classes {
		for len(b.queue[c]) > 0 && b.admits(c, now) {
			ep := b.queue[c][0]
			b.queue[c] = b.queue[c][1:]
			ep.queued[c] = false
			e.release(ep)
		}
	}
	e.wakeBudget(now)
}

func (e *Engine) wakeBudget(now time.Time) {
	if at := e.budget.next(now); !at.IsZero() && (e.budget.wake.IsZero() || at.Before(e.budget.wake)) {
		e.budget.wake = at
		e.schedule(at, e.budget)
	}
}
