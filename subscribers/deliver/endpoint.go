package deliver

import (
	"math/rand/v2"
	"slices"
	"time"

	"carehub/events"
)

// An endpoint counts as down after this many failures in a row. Failures that are about a message, not about the
// endpoint, count once for each lane: one poison message never takes down a recipient.
const downAfter = 3

// endpoint is the health of one channel of one recipient. While it is down one attempt at a time probes it, each with the
// head of another lane; the first success opens it again, gently.
type endpoint struct {
	width    int // attempts in flight at the most
	window   int // attempts in flight at the moment allowed: 1 after a failure, one more with each success
	inflight int
	started  []time.Time // of each attempt in flight
	fails    int         // in a row
	until    time.Time   // while down: no attempt before
	poisoned []*lane     // lanes whose heads failed for their own sake since the last success
	waiting  []*lane     // lanes with something to send, in the order they came
	wake     time.Time   // when the agenda looks at it again; zero if not at all
	held     []*delivery // failed while the endpoint was in doubt; tried again when it opens
}

func (ep *endpoint) down() bool { return ep.fails >= downAfter }

// admits reports whether an attempt may start now.
func (ep *endpoint) admits(now time.Time) bool {
	if ep.down() {
		return ep.inflight == 0 && !ep.until.After(now)
	}
	return ep.inflight < ep.window && !ep.until.After(now)
}

// troubled reports whether those who wait for the endpoint wait for something to mend.
func (ep *endpoint) troubled(now time.Time, patience time.Duration) bool {
	return ep.fails > 0 || len(ep.started) > 0 && now.Sub(ep.started[0]) >= patience
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
	ep.window = min(ep.width, ep.window+1)
	return held
}

// failed notes a failure and returns when the delivery itself may be tried again.
func (ep *endpoint) failed(d *delivery, attempts int, f *events.Failure, now time.Time) time.Time {
	ep.window = 1
	next := now.Add(max(backoff(attempts), f.RetryAfter))
	if f.Body {
		if slices.Contains(ep.poisoned, d.lane) {
			return next
		}
		ep.poisoned = append(ep.poisoned, d.lane)
	} else {
		ep.held = append(ep.held, d)
	}
	ep.fails++
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
