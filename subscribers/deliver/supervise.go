package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// restAfter is how long a partition is left alone here after it was found to be another's.
const restAfter = time.Second

// supervise has the shards running that should be, as the store's layout and what this process owns change, until ctx
// ends and all have stopped. A shard that cannot go on makes everything fail.
func (e *Engine) supervise(ctx context.Context, fail context.CancelCauseFunc) {
	var tended sync.WaitGroup
	defer tended.Wait()
	defer e.arrange(nil)
	for ctx.Err() == nil {
		live, relaid := e.opt.Log.Layout()
		held, handed := e.owned(live)
		for _, s := range e.arrange(e.wanted(live, held)) {
			tended.Go(func() { e.tend(s, fail) })
		}
		e.disown(live, held)
		select {
		case <-ctx.Done():
		case <-relaid:
		case <-handed:
		case <-e.moved:
		}
	}
}

// owned returns the partitions that this process may deliver.
func (e *Engine) owned(live []events.Partition) (held []int, changed <-chan struct{}) {
	if e.opt.Owner != nil {
		return e.opt.Owner.Owned()
	}
	for _, p := range live {
		held = append(held, p.Number)
	}
	return held, nil
}

// wanted returns the partitions that should run here: those held whose predecessor holds nothing any more, or runs here
// too and has been read to its end, so that all of it stands in lanes before anything later does.
func (e *Engine) wanted(live []events.Partition, held []int) map[int]events.Partition {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.elsewhere = len(held) < len(live)
	alive, wanted := map[int]bool{}, map[int]events.Partition{}
	for _, p := range live {
		alive[p.Number] = true
		if !slices.Contains(held, p.Number) || time.Now().Before(e.resting[p.Number]) {
			continue
		}
		if alive[p.After] {
			_, stays := wanted[p.After]
			if before := e.shards[p.After]; !stays || before == nil || !before.atEnd || before.stage != running {
				continue
			}
		}
		wanted[p.Number] = p
	}
	return wanted
}

// arrange stops the shards that are not wanted, all at once so that none overtakes another, and returns new ones for the
// partitions without.
func (e *Engine) arrange(wanted map[int]events.Partition) (fresh []*shard) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p, s := range e.shards {
		if _, ok := wanted[p]; !ok {
			s.stop(!e.mayStart(p))
		}
	}
	for n, p := range wanted {
		s := e.shards[n]
		if s == nil {
			s = newShard(e, n)
			e.shards[n] = s
			fresh = append(fresh, s)
		}
		if p.Sealed && !s.sealed {
			s.sealed = true
			close(s.seal)
		}
	}
	return fresh
}

// disown tells the owner of partitions that came and went before they were started here.
func (e *Engine) disown(live []events.Partition, held []int) {
	for _, p := range live {
		e.mu.Lock()
		_, here := e.shards[p.Number]
		e.mu.Unlock()
		if e.opt.Owner != nil && !here && !slices.Contains(held, p.Number) {
			e.opt.Owner.Released(p.Number)
		}
	}
}

// mayStart reports whether an attempt of partition p may start now.
func (e *Engine) mayStart(p int) bool { return e.opt.Owner == nil || e.opt.Owner.MayStart(p) }

// stop has the shard end: at once if it was lost to another process, else with everything known written. Called with the
// lock held.
func (s *shard) stop(lost bool) {
	s.stage = max(s.stage, stopping)
	s.halt()
	if lost && s.e.opt.Owner != nil {
		s.kill()
	}
}

// tend runs a shard from its start to its end.
func (e *Engine) tend(s *shard, fail context.CancelCauseFunc) {
	err := s.run()
	e.drop(s)
	if e.opt.Owner != nil {
		e.opt.Owner.Released(s.p)
	}
	s.background.Wait() // nobody else has to
	switch {
	case errors.Is(err, events.ErrFenced):
		e.opt.Slog.Warn("a partition has been taken over by another process", "partition", s.p)
		e.rest(s.p)
	case err != nil:
		fail(fmt.Errorf("partition %d: %w", s.p, err))
	}
	signal(e.moved)
}

// rest keeps a partition that was found to be another's from being started again at once.
func (e *Engine) rest(p int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resting[p] = time.Now().Add(restAfter)
	time.AfterFunc(restAfter, func() { signal(e.moved) })
}

// run takes up what the ledger knows and delivers until the shard is to stop, then drains.
func (s *shard) run() error {
	defer s.kill()
	if err := s.start(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	s.background.Go(func() {
		if err := s.read(s.reading); err != nil {
			failed <- err
		}
	})
	s.background.Go(func() { s.sweepLoop(s.reading) })
	s.background.Go(func() { s.awaitEnd(s.reading) })
	flushed := make(chan error, 1)
	go func() { flushed <- s.flushLoop() }()
	var err error
	select {
	case <-s.reading.Done():
	case err = <-failed:
	case err = <-flushed: // it is another's
		flushed <- nil
	}
	s.e.mu.Lock()
	s.stop(errors.Is(err, events.ErrFenced))
	s.e.mu.Unlock()
	s.drain()
	close(s.quit)
	return errors.Join(err, <-flushed)
}

// start loads the shard, however long the store is away.
func (s *shard) start() error {
	for n := 1; ; n++ {
		err := s.load(s.reading)
		if s.reading.Err() != nil {
			return nil
		}
		if err == nil || events.KindOf(err) != events.Unavailable {
			return err
		}
		s.e.opt.Slog.Error("ledger not readable", "partition", s.p, "error", events.Unavailable, "attempt", n)
		select {
		case <-s.reading.Done():
		case <-time.After(min(backoff(n), time.Minute)):
		}
	}
}

// handOver is how long what is in flight may hold up the next owner of a partition: all its patients and recipients wait for that.
const handOver = 2 * promptFor

// drain waits for what is in flight, cutting it off after the grace. What was cut off the next owner repeats, as after a crash.
func (s *shard) drain() {
	grace := s.e.opt.Grace
	if s.e.opt.Owner != nil {
		grace = min(grace, handOver)
	}
	cut := time.AfterFunc(grace, s.cancel)
	s.attempts.Wait()
	cut.Stop()
	s.cancel()
}

// awaitEnd finds out when everything of a sealed partition has been read.
func (s *shard) awaitEnd(ctx context.Context) {
	select {
	case <-s.seal:
	case <-ctx.Done():
		return
	}
	var end uint64
	err := s.e.persist(ctx, "store not readable", func(ctx context.Context) (err error) {
		end, err = s.e.opt.Log.Last(ctx, s.p)
		return err
	})
	if err != nil {
		return
	}
	for !s.readTo(ctx, end) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
	s.e.mu.Lock()
	s.atEnd, s.end = true, end
	s.e.mu.Unlock()
	signal(s.kick)
	signal(s.e.moved)
}

// readTo reports whether every event up to end has been taken in. What is left may be none: erased, or not ours.
func (s *shard) readTo(ctx context.Context, end uint64) bool {
	s.e.mu.Lock()
	taken := s.taken
	s.e.mu.Unlock()
	for seq := end; seq > taken; seq-- {
		bounded, cancel := context.WithTimeout(ctx, s.e.opt.AttemptTimeout)
		_, is, err := s.e.opt.Log.At(bounded, s.p, seq)
		cancel()
		if is || err != nil {
			return false
		}
	}
	return true
}

// drop forgets all that a stopped shard had in memory, and lets the lanes go on with what others have in them.
func (e *Engine) drop(s *shard) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.shards, s.p)
	s.stage = stopped
	for len(s.idle) > 0 {
		s.forgetOldest()
	}
	ofShard := func(d *delivery) bool {
		d.done = d.done || d.shard == s // whoever comes across it elsewhere lets it be
		return d.shard == s
	}
	for _, r := range e.recipients {
		r.known = slices.DeleteFunc(r.known, func(t *terms) bool { return t.shard == s })
		for _, ep := range r.endpoints {
			ep.held = slices.DeleteFunc(ep.held, ofShard)
		}
		for patient, l := range r.lanes {
			had := len(l.queue)
			if l.queue = slices.DeleteFunc(l.queue, ofShard); len(l.queue) == had {
				continue
			}
			if len(l.queue) == 0 && !l.busy {
				delete(r.lanes, patient)
			}
			e.advance(l)
		}
	}
}

// pause keeps the lane for when the owner may start attempts again. Called with the lock held.
func (s *shard) pause(l *lane) {
	if len(s.paused) == 0 {
		time.AfterFunc(sweepEvery, s.resumePaused)
	}
	s.paused[l] = true
}

func (s *shard) resumePaused() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	lanes := s.paused
	s.paused = map[*lane]bool{}
	for l := range lanes {
		s.e.advance(l)
	}
}
