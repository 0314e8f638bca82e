package signup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// What the keeper sends at a time: to endpoints that are well, and to those that fail or hang, which hold up nobody else. One
// provider has three quarters of each at the most.
const (
	keptAtOnce    = 48
	keptOfFailing = 16
	lookEvery     = time.Second
)

// Keep looks after the Subscriptions that are this hub's to look after: it shakes hands, sends heartbeats, ends those whose
// time is up, and says goodbye to those that are off. It returns when ctx has ended and nothing is under way.
func (s *Service) Keep(ctx context.Context) error {
	k := keeper{Service: s, well: make(chan struct{}, keptAtOnce), failing: make(chan struct{}, keptOfFailing), of: map[share]int{}}
	defer k.work.Wait()
	for {
		all, changed := s.all()
		for _, sub := range all {
			k.look(ctx, sub)
		}
		s.lines.forget(func(id string) bool { return s.Get(id) != nil })
		var tick <-chan time.Time // nobody has to look where there is nothing
		if len(all) > 0 {
			tick = time.After(lookEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick:
		}
	}
}

type keeper struct {
	*Service
	work          sync.WaitGroup
	well, failing chan struct{} // what is under way

	mu sync.Mutex
	of map[share]int // how much of it is a provider's
}

// share is what one provider has of a room.
type share struct {
	owner string
	room  chan struct{}
}

// enter reports whether there is room for one thing more of a provider's, and takes it.
func (k *keeper) enter(s share) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of[s] >= cap(s.room)*3/4 {
		return false
	}
	select {
	case s.room <- struct{}{}:
		k.of[s]++
		return true
	default:
		return false
	}
}

func (k *keeper) leave(s share) {
	k.mu.Lock()
	defer k.mu.Unlock()
	<-s.room
	if k.of[s]--; k.of[s] == 0 {
		delete(k.of, s)
	}
}

// look has done for a Subscription what is due, unless something of it is under way already.
func (k *keeper) look(ctx context.Context, sub *Subscription) {
	if k.due(sub) == nil || !k.Mine(sub.ID) {
		return
	}
	l := k.lines.of(sub.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	room := share{sub.Owner, k.well}
	if l.fails > 0 {
		room.room = k.failing
	}
	if l.busy || k.Clock().Before(l.rest) || !k.enter(room) {
		return // with the next look
	}
	l.busy = true
	k.work.Go(func() {
		if now := k.Get(sub.ID); now != nil { // what was due may have been done since it was seen to be
			if do := k.due(now); do != nil {
				do(ctx, now, l)
			}
		}
		l.mu.Lock()
		l.busy = false
		l.mu.Unlock()
		k.leave(room)
	})
}

// due is what a Subscription needs now; nil if nothing. That of a provider that is not registered needs nothing: a heartbeat
// would say that all is well.
func (k *keeper) due(sub *Subscription) func(context.Context, *Subscription, *line) {
	if _, registered := k.Desk.Provider(sub.Owner); !registered {
		return nil
	}
	now := k.Clock()
	switch {
	case sub.Status == Off && sub.Farewell:
		return k.farewell
	case sub.Status == Off:
		return nil
	case sub.ended(now):
		return k.end
	case sub.Status == Requested:
		return k.handshake
	case sub.Status == Active && sub.Set.Heartbeat > 0 && k.beats(sub, now):
		return k.heartbeat
	}
	return nil
}

// beats reports whether a heartbeat is due. Where nobody knows when the last was, after a start, it is at some time of the
// first half of the period.
func (k *keeper) beats(sub *Subscription, now time.Time) bool {
	l := k.lines.of(sub.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.IsZero() {
		l.plan(now, sub.Set.Heartbeat/2)
	}
	return !now.Before(l.next)
}

// send posts a notification that is not of an event.
func (k *keeper) send(ctx context.Context, sub *Subscription, kind string) error {
	n := k.notification(sub, kind)
	n.ID = events.UUID("notification", sub.ID, kind, fmt.Sprint(sub.Version), n.At.Format(instantForm))
	body, err := n.Encode()
	if err != nil {
		return err
	}
	err = k.post(ctx, sub, n.ID, body, nil)
	result := "delivered"
	if failure, failed := errors.AsType[*events.Failure](err); failed {
		result = string(failure.Reason)
	}
	k.Log.Info("notification", "type", kind, "subscription", sub.ID, "for", sub.Owner, "result", result)
	return err
}

// handshakes is how often an endpoint is asked before its Subscription is in error.
const handshakes = 3

// handshake asks the endpoint whether it is there. Its answer makes the Subscription active; none, or a no, three times in
// a row puts it in error.
func (k *keeper) handshake(ctx context.Context, sub *Subscription, l *line) {
	err := k.send(ctx, sub, fhir.Handshake)
	if ctx.Err() != nil {
		return // stopping: the next start asks again
	}
	if failure, failed := errors.AsType[*events.Failure](err); failed {
		if l.lastChance(failure.Permanent, handshakes, k.Clock()) {
			k.fail(ctx, sub, failure.Reason)
		}
		return
	}
	if err == nil {
		err = k.step(ctx, sub, func(now *Subscription) { now.Status, now.Error = Active, "" })
	}
	if err != nil {
		k.failed("handshake", sub, err)
		return
	}
	k.observe(ctx, sub, l, nil)
}

func (k *keeper) heartbeat(ctx context.Context, sub *Subscription, l *line) {
	l.mu.Lock()
	l.plan(k.Clock(), sub.Set.Heartbeat) // of the next, whatever becomes of this one
	l.mu.Unlock()
	err := k.send(ctx, sub, fhir.Heartbeat)
	if ctx.Err() == nil {
		k.observe(ctx, sub, l, err)
	}
}

// end turns off a Subscription whose time is up.
func (k *keeper) end(ctx context.Context, sub *Subscription, _ *line) {
	err := k.step(ctx, sub, func(now *Subscription) { now.Status, now.Error, now.Farewell = Off, "", true })
	if err != nil {
		k.failed("end", sub, err)
	}
}

// farewells is how often an endpoint is told that its Subscription is off, until it takes that.
const farewells = 3

// farewell tells an endpoint that its Subscription is off (IHE DSUBm, ITI-112). Whether it was heard changes nothing.
func (k *keeper) farewell(ctx context.Context, sub *Subscription, l *line) {
	err := k.send(ctx, sub, fhir.Heartbeat)
	if ctx.Err() != nil {
		return
	}
	if err != nil && !l.lastChance(false, farewells, k.Clock()) {
		return
	}
	if err := k.step(ctx, sub, func(now *Subscription) { now.Farewell, now.Updated = false, sub.Updated }); err != nil {
		k.failed("deactivation notice", sub, err)
	}
}

// step changes a Subscription as it was seen; if it has changed since, it lets it be.
func (k *keeper) step(ctx context.Context, sub *Subscription, do func(*Subscription)) error {
	_, err := k.change(ctx, sub.ID, func(now *Subscription) error {
		if now.Version != sub.Version+1 {
			return errStale
		}
		now.Updated = k.now()
		do(now)
		return nil
	})
	if errors.Is(err, errStale) || events.KindOf(err) == events.NotFound {
		return nil
	}
	return err
}

func (k *keeper) failed(what string, sub *Subscription, err error) {
	k.Log.Error("a subscription could not be changed; trying again", "what", what, "subscription", sub.ID, "error", err.Error())
}

func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Millisecond) }
