package deliver

import (
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"carehub/events"
)

// An endpoint counts as down after this many failures in a row. Failures that are about a message, not about the
// endpoint, count once for each lane: one poison message never takes down a recipient.
const downAfter = 3

// endpoint is the health of one channel of one recipient. While it is down one attempt at a time probes it, each with the
// head of another lane; the first success opens it again, gently.
type endpoint struct {
	width    int // attempts in flight at the most
	window   int // attempts in flight at the moment allowed
	steady   int // half of what was too much the last time: up to here the window grows with each success, then with a windowful
	grown    int // successes since the window has grown
	inflight int
	started  []time.Time   // of each attempt in flight
	fails    int           // in a row; what was in flight together fails together
	rounds   int           // of attempts in flight together that a failure has ended
	until    time.Time     // while down: no attempt before
	poisoned []*lane       // lanes whose heads failed for their own sake since the last success
	waiting  []*lane       // lanes with something to send, in the order they came
	wake     time.Time     // when the agenda looks at it again; zero if not at all
	queued   [classes]bool // it waits for room in the budget
	pace     *rate.Limiter // nil: as fast as it takes them
	paused   bool          // nothing is sent to it for now
	pausing  bool          // that is being stored
	held     []*delivery   // failed while the endpoint was in doubt; tried again when it opens
}

func (ep *endpoint) down() bool { return ep.fails >= downAfter }

// admits reports whether an attempt may start now.
func (ep *endpoint) admits(now time.Time) bool {
	if ep.paused || !ep.paced(now) {
		return false
	}
	if ep.down() {
		return ep.inflight == 0 && !ep.until.After(now)
	}
	return ep.inflight < ep.window && !ep.until.After(now)
}

// troubled reports whether those who wait for the endpoint wait for something to mend.
func (ep *endpoint) troubled(now time.Time, patience time.Duration) bool {
	return ep.fails > 0 || ep.paused || !ep.paced(now) || ep.hanging(now, patience)
}

// hanging reports whether an attempt has been under way for so long.
func (ep *endpoint) hanging(now time.Time, patience time.Duration) bool {
	return len(ep.started) > 0 && now.Sub(ep.started[0]) >= patience
}

func (ep *endpoint) ended(since time.Time) {
	if i := slices.IndexFunc(ep.started, since.Equal); i >= 0 {
		ep.started = slices.Delete(ep.started, i, i+1)
	}
}

// block queues the lane until the endpoint changes.
func (ep *endpoint) block(l *lane) {
	if slices.Contains(l.blocked, ep) {
		return
	}
	l.blocked = append(l.blocked, ep)
	ep.waiting = append(ep.waiting, l)
}

// succeeded notes an accepted message and returns the deliveries that need not sit out their own backoff any more.
func (ep *endpoint) succeeded() []*delivery {
	held := ep.held
	ep.fails, ep.until, ep.poisoned, ep.held = 0, time.Time{}, nil, nil
	ep.grow()
	return held
}

// grow widens the window as TCP does (RFC 5681): quickly where it was well before, slowly beyond.
func (ep *endpoint) grow() {
	if ep.grown++; ep.window < ep.steady || ep.grown >= ep.window {
		ep.window, ep.grown = min(ep.width, ep.window+1), 0
	}
}

// shrink is for a failure: one at a time from now on.
func (ep *endpoint) shrink() {
	if ep.window > 1 {
		ep.steady = ep.window / 2
	}
	ep.window, ep.grown = 1, 0
}

// failed notes a failure of an attempt begun in a round, and returns when the delivery itself may be tried again.
func (ep *endpoint) failed(d *delivery, round, attempts int, f *events.Failure, now time.Time) time.Time {
	ep.shrink()
	next := now.Add(max(backoff(attempts), f.RetryAfter))
	if f.Body {
		if slices.Contains(ep.poisoned, d.lane) {
			return next
		}
		ep.poisoned = append(ep.poisoned, d.lane)
	} else {
		ep.held = append(ep.held, d)
	}
	if round == ep.rounds {
		ep.fails++
		ep.rounds++
	}
	switch {
	case ep.down():
		ep.until = now.Add(max(f.RetryAfter, backoff(ep.fails-downAfter+1)))
	case f.RetryAfter > 0:
		ep.until = now.Add(f.RetryAfter)
	}
	return next
}

// Backoff between attempts: it doubles from a second to a quarter of an hour, less up to a quarter at random so that
// recipients which failed together do not come back together.
const (
	firstBackoff = time.Second
	maxBackoff   = 15 * time.Minute
)

func backoff(attempts int) time.Duration {
	d := maxBackoff
	if attempts < 11 {
		d = min(maxBackoff, firstBackoff<<max(attempts-1, 0))
	}
	return d - time.Duration(rand.Int64N(int64(d/4))) // #nosec G404 -- jitter is no secret
}
