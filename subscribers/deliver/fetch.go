package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"carehub/events"
)

// What is parked is read back from the store for its next attempt: once for all who ask at the same time, and where many wait
// before its turn comes. A store elsewhere takes its time, and an endpoint's few attempts in flight are not to wait for that.

// fetch is an event that is being read back.
type fetch struct {
	done    chan struct{} // closed when it has come, or will not
	waiting []*delivery   // to be tied to it
	ev      *event
	err     error
	cut     bool // whoever began it had no time left
}

// body returns d's event, reading it back from the store if d was parked.
func (s *shard) body(ctx context.Context, d *delivery) (*event, error) {
	for {
		ev, f, mine := s.seek(d)
		if ev != nil {
			return ev, nil
		}
		if mine {
			s.readBack(ctx, f, d.seq)
		}
		select {
		case <-f.done:
			if !f.cut || ctx.Err() != nil {
				return f.ev, f.err
			}
		case <-ctx.Done():
			return s.forsake(f, d, context.Cause(ctx))
		}
	}
}

// seek ties d to its event, at once or when it has been read back, which may be for the caller to do.
func (s *shard) seek(d *delivery) (ev *event, f *fetch, mine bool) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if d.event != nil {
		return d.event, nil, false
	}
	if ev = s.events[d.seq]; ev != nil {
		return s.hold(d, ev), nil, false
	}
	if f = s.fetches[d.seq]; f == nil {
		f, mine = s.fetch(d.seq), true
	}
	f.waiting = append(f.waiting, d)
	return nil, f, mine
}

// forsake waits no more, unless what was waited for has just come.
func (s *shard) forsake(f *fetch, d *delivery, why error) (*event, error) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if f.ev != nil {
		return f.ev, nil
	}
	if i := slices.Index(f.waiting, d); i >= 0 { // once: an alarm about d may wait for the same event as its attempt
		f.waiting = slices.Delete(f.waiting, i, i+1)
	}
	return nil, why
}

// fetch notes that an event is being read back. Called with the lock held.
func (s *shard) fetch(seq uint64) *fetch {
	f := &fetch{done: make(chan struct{})}
	s.fetches[seq] = f
	return f
}

// readBack ends a fetch.
func (s *shard) readBack(ctx context.Context, f *fetch, seq uint64) {
	defer close(f.done)
	st, sh, err := s.stored(ctx, seq)
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	delete(s.fetches, seq)
	if err != nil {
		f.err, f.cut = err, ctx.Err() != nil
		return
	}
	known := s.events[seq] != nil
	f.ev = s.remember(st, sh)
	for _, d := range f.waiting {
		s.hold(d, f.ev)
	}
	if len(f.waiting) == 0 && !known {
		f.ev.early = true
		s.early++
	}
	s.evict(f.ev)
}

// stored reads an event and its sheet, which the caller gives back.
func (s *shard) stored(ctx context.Context, seq uint64) (events.Stored, *sheet, error) {
	st, ok, err := s.e.opt.Log.At(ctx, s.p, seq)
	if broken, ok := errors.AsType[*events.Error](err); ok && broken.Kind == events.Internal {
		err = fmt.Errorf("%w: %w", errGone, err)
	}
	if err == nil && !ok {
		err = fmt.Errorf("%w: %d of partition %d", errGone, seq, s.p)
	}
	if err != nil {
		return st, nil, err
	}
	sh, err := s.sheet(ctx, seq, len(st.Record.Plan.Recipients))
	return st, sh, err
}

// errGone says that the store no longer has an event that somebody waits for, or cannot read it any more.
var errGone = errors.New("event is gone from the store")

// readAhead begins to read back what will be sent to an endpoint when as many as it takes at a time have been. Called with the
// lock held, when an attempt of the lane's head has just started.
func (ep *endpoint) readAhead(l *lane) {
	d := ep.upcoming(l)
	if d == nil || ep.fails > 0 || !d.parked || d.done || d.event != nil {
		return
	}
	s := d.shard
	if s.stage >= stopping || s.events[d.seq] != nil || s.fetches[d.seq] != nil || !s.mayReadAhead() {
		return
	}
	f := s.fetch(d.seq)
	s.attempts.Go(func() {
		ctx, cancel := context.WithTimeout(s.reading, s.e.opt.AttemptTimeout)
		defer cancel()
		s.readBack(ctx, f, d.seq)
	})
}

// mayReadAhead reports whether what is read ahead would still be in memory when its turn comes. Where events have many recipients
// there are few in memory, and each is read for many anyway.
func (s *shard) mayReadAhead() bool {
	return s.early+len(s.fetches) < idleEvents/2 && s.idlers < idleRecipients*3/4
}

// upcoming returns what has its turn a windowful of attempts after the head of l, or the last that waits if that is sooner.
func (ep *endpoint) upcoming(l *lane) *delivery {
	n := min(len(ep.waiting), ep.window)
	switch {
	case n < ep.window && len(l.queue) > 1:
		return l.queue[1] // the lane comes behind those who wait
	case n > 0 && len(ep.waiting[n-1].queue) > 0:
		return ep.waiting[n-1].queue[0]
	}
	return nil
}

// Events that nobody needs stay in memory a while, for whoever comes back for them: the other recipients of an event, each of
// ten thousand dead ones of another, and what was read ahead. Few, where they have many recipients, and not for long: they are
// about people, one of whom may be erased meanwhile.
const (
	idleEvents     = 64
	idleRecipients = 1024
	idleLeast      = 8
	idleFor        = time.Minute
)

// hold ties d to its event, so that the event stays in memory.
func (s *shard) hold(d *delivery, ev *event) *event {
	if d.event == nil {
		d.event = ev
		ev.users++
		s.needed(ev)
	}
	return d.event
}

// needed notes that what was read ahead was needed, or never will be.
func (s *shard) needed(ev *event) {
	if ev.early {
		ev.early = false
		s.early--
	}
}

// letGo is the reverse of hold.
func (s *shard) letGo(d *delivery) {
	if ev := d.event; ev != nil {
		d.event = nil
		ev.users--
		s.evict(ev)
	}
}

// evict lets go of an event that nobody needs in memory any more, and forgets the oldest of such.
func (s *shard) evict(ev *event) {
	if ev.users > 0 || !ev.idle.IsZero() || s.events[ev.stored.Seq] != ev {
		return
	}
	if len(s.idle) == 0 {
		time.AfterFunc(idleFor, s.lapse)
	}
	ev.idle = time.Now()
	s.idle = append(s.idle, ev)
	s.idlers += len(ev.out)
	for len(s.idle) > idleEvents || len(s.idle) > idleLeast && s.idlers > idleRecipients {
		s.forgetOldest()
	}
}

// lapse forgets the events that have been here for long, and comes back for the others.
func (s *shard) lapse() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	for len(s.idle) > 0 {
		if left := time.Until(s.idle[0].idle.Add(idleFor)); left > 0 {
			time.AfterFunc(left, s.lapse)
			return
		}
		s.forgetOldest()
	}
}

func (s *shard) forgetOldest() {
	oldest := s.idle[0]
	s.idle[0] = nil
	s.idle = s.idle[1:]
	s.idlers -= len(oldest.out)
	oldest.idle = time.Time{}
	if oldest.users == 0 {
		s.needed(oldest)
		delete(s.events, oldest.stored.Seq)
		s.dropSheet(oldest.sheet)
	}
}
