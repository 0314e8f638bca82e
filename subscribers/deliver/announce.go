package deliver

import "time"

// announce tells of an event that has just been taken in. Until that is done the cursor does not pass the event. Called
// with the lock held.
func (s *shard) announce(ev *event) {
	for _, done := range s.e.opt.Announce(&ev.stored.Record) {
		if done != nil {
			s.waitFor(ev, done)
		}
	}
}

// waitFor keeps an event unsettled until done is closed. Called with the lock held.
func (s *shard) waitFor(ev *event, done <-chan struct{}) {
	select {
	case <-done:
		return
	default:
	}
	ev.unsettled++
	ev.users++
	s.attempts.Go(func() {
		select {
		case <-done:
		case <-s.ctx.Done():
			return // stopping: the next start reads the event again
		}
		s.e.mu.Lock()
		defer s.e.mu.Unlock()
		ev.users--
		if ev.unsettled--; ev.unsettled == 0 {
			s.press(ev)
		}
		s.evict(ev)
	})
}

// Resume has what waits for a recipient tried at once: whatever it failed for has been mended. How often it failed stays.
func (e *Engine) Resume(recipient string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.recipients[recipient]
	if r == nil {
		return
	}
	for _, ep := range r.endpoints {
		ep.fails, ep.until, ep.poisoned, ep.held = 0, time.Time{}, nil, nil
	}
	for _, l := range r.lanes {
		for _, d := range l.queue {
			for i := range d.tries() {
				d.tries()[i].next = time.Time{}
			}
		}
		e.advance(l)
	}
	for _, ep := range r.endpoints {
		e.release(ep)
	}
}
