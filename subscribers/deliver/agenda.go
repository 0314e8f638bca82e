package deliver

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// entry is something to look at when its time comes: exactly one of the three is set. Entries are never removed; one that
// is out of date does nothing.
type entry struct {
	at       time.Time
	lane     *lane
	endpoint *endpoint
	delivery *delivery
}

// agenda is a heap of entries, the soonest first.
type agenda []entry

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = entry{}
	*a = old[:len(old)-1]
	return last
}

func (e *Engine) schedule(n entry) {
	heap.Push(&e.agenda, n)
	if e.agenda[0] == n {
		signal(e.rewind)
	}
}

func (e *Engine) wakeLane(l *lane, at time.Time) {
	if l.wake.IsZero() || at.Before(l.wake) {
		l.wake = at
		e.schedule(entry{at: at, lane: l})
	}
}

// wakeEndpoint sees to it that the endpoint's waiting lanes are looked at when its pause ends. Without a pause an attempt
// is in flight, and its end looks at them.
func (e *Engine) wakeEndpoint(ep *endpoint) {
	if ep.until.After(time.Now()) && !ep.wake.Equal(ep.until) {
		ep.wake = ep.until
		e.schedule(entry{at: ep.until, endpoint: ep})
	}
}

// clock looks at the agenda's entries as their times come.
func (e *Engine) clock(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.keepTime())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-e.rewind:
		}
	}
}

// keepTime handles what is due and returns how long nothing else is.
func (e *Engine) keepTime() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tidy(time.Now())
	for len(e.agenda) > 0 {
		now := time.Now()
		if wait := e.agenda[0].at.Sub(now); wait > 0 {
			return wait
		}
		switch n := heap.Pop(&e.agenda).(entry); {
		case n.lane != nil:
			if n.lane.wake.Equal(n.at) {
				n.lane.wake = time.Time{}
				e.advance(n.lane)
			}
		case n.endpoint != nil:
			if n.endpoint.wake.Equal(n.at) {
				n.endpoint.wake = time.Time{}
			}
			e.release(n.endpoint)
		case !n.delivery.done:
			e.keep(n.delivery, now)
		}
	}
	return time.Hour
}

// tidyEvery is how often the agenda forgets deliveries that are done. They would stay until they were to be given up.
const tidyEvery = 10 * time.Minute

func (e *Engine) tidy(now time.Time) {
	if now.Sub(e.tidied) < tidyEvery {
		return
	}
	e.tidied = now
	e.forget(func(n entry) bool { return n.delivery != nil && n.delivery.done })
}

func (e *Engine) forget(what func(entry) bool) {
	e.agenda = slices.DeleteFunc(e.agenda, what)
	heap.Init(&e.agenda)
}

// signal puts a token in a channel of capacity one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
