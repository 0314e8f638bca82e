package signup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"carehub/events"
)

// A Subscription is in error once nothing has got through to its endpoint for so long, and so often.
const (
	errorAfter    = time.Hour
	errorFailures = 3
)

// restAfter is between two tries of a handshake.
const restAfter = 3 * time.Second

// lines is what this process knows of how the endpoints do. Nothing of it is stored: after a start each begins afresh.
type lines struct {
	mu   sync.Mutex
	byID map[string]*line
}

// line is how one endpoint does.
type line struct {
	mu      sync.Mutex
	next    time.Time // when the next heartbeat is due; zero: not planned yet
	failing time.Time // since when nothing has got through; zero: it is well
	fails   int       // since then
	busy    bool      // something of the keeper's is under way
	rest    time.Time // nothing of the keeper's before

	turn  chan struct{} // held while a notification of several events is under way
	batch *batch        // that forms meanwhile
}

func (l *lines) of(id string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.byID[id]
	if one == nil {
		one = &line{turn: make(chan struct{}, 1)}
		l.byID[id] = one
	}
	return one
}

func (l *lines) forget(keep func(id string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.byID {
		if !keep(id) {
			delete(l.byID, id)
		}
	}
}

// observe takes note of how an attempt at an endpoint has ended. When that is the last of too many, or for good, the
// Subscription is in error; a person hears of it first.
func (s *Service) observe(ctx context.Context, sub *Subscription, l *line, err error) {
	failure, failed := errors.AsType[*events.Failure](err)
	l.mu.Lock()
	now := s.Clock()
	if !failed {
		l.failing, l.fails = time.Time{}, 0
		l.plan(now, sub.Set.Heartbeat)
		l.mu.Unlock()
		return
	}
	if l.failing.IsZero() {
		l.failing = now
	}
	l.fails++
	hopeless := failure.Permanent || l.fails >= errorFailures && now.Sub(l.failing) >= errorAfter
	l.mu.Unlock()
	if hopeless {
		s.fail(context.WithoutCancel(ctx), sub, failure.Reason)
	}
}

// lastChance takes note of a failure and reports whether it was one too many, or for good. The next one begins anew then.
func (l *line) lastChance(permanent bool, most int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails++; l.fails < most && !permanent {
		l.rest = now.Add(restAfter)
		return false
	}
	l.failing, l.fails = time.Time{}, 0
	return true
}

// plan sets when the next heartbeat is due: a period after the last notification, less up to a tenth so that those that
// began together do not stay together. Called with the lock held.
func (l *line) plan(now time.Time, period time.Duration) {
	if period > 0 {
		l.next = now.Add(period - time.Duration(rand.Int64N(int64(period/10)))) // #nosec G404 -- jitter is no secret
	}
}

// fail puts a Subscription in error, unless it has changed since. The alarm comes first: it must not be lost. A handshake
// that fails is its subscriber's to see, who has just asked for it.
func (s *Service) fail(ctx context.Context, sub *Subscription, reason events.Reason) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	about := events.About{Event: fmt.Sprintf("%s/%d", sub.ID, sub.Version), Recipient: sub.ID, Channel: ChannelType, Reason: events.ReasonSuspended}
	var err error
	if sub.Status == Active {
		err = s.Alarm(ctx, about)
	}
	if err == nil {
		_, err = s.change(ctx, sub.ID, func(now *Subscription) error {
			if now.Version != sub.Version+1 || now.Status == Errored || now.Status == Off {
				return errStale
			}
			now.Status, now.Error, now.Updated = Errored, reason, s.now()
			return nil
		})
	}
	if err != nil && !errors.Is(err, errStale) {
		s.Log.Error("a subscription's error could not be stored; trying again with its next failure", "subscription", sub.ID, "error", err.Error())
		return
	}
	s.Log.Warn("a subscription is in error", "subscription", sub.ID, "for", sub.Owner, "reason", string(reason))
}
