package deliver

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// entry is something to look at when its time comes. Entries are never removed; one that is out of date does nothing.
type entry struct {
	at   time.Duration // on the engine's clock
	what any           // a *lane, *duties, *endpoint or *budget
}

// agenda is a heap of entries, the soonest first.
type agenda []entry

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = entry{}
	*a = old[:len(old)-1]
	return last
}

func (e *Engine) schedule(at time.Time, what any) {
	n := entry{at.Sub(e.began), what}
	heap.Push(&e.agenda, n)
	if e.agenda[0] == n {
		signal(e.rewind)
	}
}

func (e *Engine) wakeLane(l *lane, at time.Time) {
	if l.wake.IsZero() || at.Before(l.wake) {
		l.wake = at
		e.schedule(at, l)
	}
}

// wakeEndpoint sees to it that the endpoint's waiting lanes are looked at when it may be used again. If it may now, an attempt
// is in flight, and its end looks at them.
func (e *Engine) wakeEndpoint(ep *endpoint) {
	now := time.Now()
	if at := ep.opens(now); at.After(now) && (ep.wake.IsZero() || at.Before(ep.wake)) {
		ep.wake = at
		e.schedule(at, ep)
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
		if wait := e.agenda[0].at - now.Sub(e.began); wait > 0 {
			return wait
		}
		e.see(heap.Pop(&e.agenda).(entry), now)
	}
	return time.Hour
}

// see looks at an entry whose time has come.
func (e *Engine) see(n entry, now time.Time) {
	switch what := n.what.(type) {
	case *lane:
		if !what.wake.IsZero() && what.wake.Sub(e.began) == n.at {
			what.wake = time.Time{}
			e.advance(what)
		}
	case *endpoint:
		if what.wake.Sub(e.began) == n.at {
			what.wake = time.Time{}
		}
		e.release(what)
	case *budget:
		if what.wake.Sub(e.began) == n.at {
			what.wake = time.Time{}
			e.spend(now)
		}
	case *duties:
		if what.due == n.at {
			e.keepAll((*lane)(what), now)
		}
	}
}

// tidyEvery is how often the agenda forgets lanes in which nobody waits any more. They would stay until their time comes.
const tidyEvery = 10 * time.Minute

func (e *Engine) tidy(now time.Time) {
	if now.Sub(e.tidied) < tidyEvery {
		return
	}
	e.tidied = now
	e.agenda = slices.Clip(slices.DeleteFunc(e.agenda, func(n entry) bool {
		l, is := n.what.(*duties)
		if is && l.due == n.at && len(l.queue) == 0 {
			l.due = 0
		}
		return is && l.due != n.at
	}))
	heap.Init(&e.agenda)
}

// signal puts a token in a channel of capacity one, if it is empty.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
