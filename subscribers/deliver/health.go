package deliver

import (
	"maps"
	"slices"
	"time"
)

// Health is what the engine can say of itself.
type Health struct {
	Parked int           // deliveries waiting on disk
	Oldest time.Duration // age of the oldest delivery that is neither told nor given up
	Ledger error         // why outcomes cannot be written at the moment
	// Unheard counts alarms, since the start, that one of their recipients could not be given.
	Unheard int
	// Lost counts deliveries, since the start, whose events were gone from the store.
	Lost       int
	Partitions []Progress // being delivered
}

// Standing is how one recipient is served.
type Standing struct {
	Pending  int           // deliveries neither told nor given up
	Parked   int           // of these, and of those given up whose alarm is not stored yet, the ones waiting on disk
	Oldest   time.Duration // age of the oldest pending one
	InFlight int           // attempts
	Down     []string      // channels that have failed too often in a row or are paused, by key
}

// Progress is how far the telling of one partition's events has come.
type Progress struct {
	Partition int
	Read      uint64        // sequence of the newest event taken in
	Settled   uint64        // up to here every event is settled or parked, durably
	Unsettled int           // events taken in and above Settled
	Full      time.Duration // for how long no event could be taken in for want of room; 0 if one can
}

// Health reports how far behind the engine is. It takes time by the number of recipients who wait for anything, not by what
// they wait for, and takes the engine's lock for a thousand of them at a time.
func (e *Engine) Health() Health {
	now := time.Now()
	h := e.health(now)
	for s, ids := range e.waiting() {
		e.visit(ids, func(id string) {
			if b := s.backlogs[id]; b != nil {
				h.Oldest = max(h.Oldest, b.oldest(now))
			}
		})
	}
	return h
}

// health is all of it but the oldest.
func (e *Engine) health(now time.Time) Health {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := Health{Unheard: e.unheard, Lost: e.lost}
	for _, s := range e.shards {
		if s.failure != nil {
			h.Ledger = s.failure
		}
		h.Partitions = append(h.Partitions, s.progress(now))
		h.Parked += s.parked
	}
	return h
}

// Waits reports whether anybody is known here to wait for an event of a partition. False says nothing where another process
// delivers it, or before it has been read.
func (e *Engine) Waits(p int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.shards[p]
	return s != nil && (len(s.order) > 0 || len(s.backlogs) > 0)
}

// waiting returns the recipients who wait for anything of each shard.
func (e *Engine) waiting() map[*shard][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	waiting := map[*shard][]string{}
	for _, s := range e.shards {
		waiting[s] = slices.Collect(maps.Keys(s.backlogs))
	}
	return waiting
}

// Recipients reports on everybody who has been sent anything since the start, by id. It takes time by their number, not by
// what they wait for, and takes the engine's lock for a thousand of them at a time.
func (e *Engine) Recipients() map[string]Standing {
	now, all := time.Now(), map[string]Standing{}
	e.mu.Lock()
	ids := slices.Collect(maps.Keys(e.recipients))
	e.mu.Unlock()
	e.visit(ids, func(id string) { all[id] = e.recipients[id].standing() })
	for s, ids := range e.waiting() {
		e.visit(ids, func(id string) {
			b, r := s.backlogs[id], all[id]
			if b == nil {
				return
			}
			r.Pending += len(b.queue) - b.done
			r.Parked += b.parked
			r.Oldest = max(r.Oldest, b.oldest(now))
			all[id] = r
		})
	}
	return all
}

// visit calls fn for each id with the lock held, letting others have it in between.
func (e *Engine) visit(ids []string, fn func(id string)) {
	for some := range slices.Chunk(ids, 1000) {
		e.mu.Lock()
		for _, id := range some {
			fn(id)
		}
		e.mu.Unlock()
	}
}

// standing is how a recipient's endpoints are; r may be nil.
func (r *recipient) standing() (st Standing) {
	if r == nil {
		return st
	}
	for key, ep := range r.endpoints {
		st.InFlight += ep.inflight
		if ep.down() || ep.paused {
			st.Down = append(st.Down, key)
		}
	}
	return st
}

// standing is what a shard keeps so that its health can be told without looking at everything that waits.
type standing struct {
	parked   int                 // deliveries in pages
	backlogs map[string]*backlog // by recipient: those who wait for anything
	full     time.Time           // since when no event could be taken in; zero if one can
}

// backlog is what waits of one partition for one recipient, in the order of acceptance.
type backlog struct {
	queue  []*delivery
	done   int // of queue
	parked int // deliveries in pages
}

// queued takes note that somebody waits for d.
func (s *standing) queued(recipient string, d *delivery) {
	b := s.of(recipient)
	b.queue = append(b.queue, d)
}

// unqueued takes note that one of the recipient's is done.
func (s *standing) unqueued(recipient string) {
	s.of(recipient).finished()
	s.tidy(recipient)
}

// onDisk takes note that n more of the recipient's are parked.
func (s *standing) onDisk(recipient string, n int) {
	s.parked += n
	s.of(recipient).parked += n
	s.tidy(recipient)
}

func (s *standing) of(recipient string) *backlog {
	if s.backlogs == nil {
		s.backlogs = map[string]*backlog{}
	}
	b := s.backlogs[recipient]
	if b == nil {
		b = &backlog{}
		s.backlogs[recipient] = b
	}
	return b
}

func (s *standing) tidy(recipient string) {
	if b := s.backlogs[recipient]; len(b.queue) == 0 && b.parked == 0 {
		delete(s.backlogs, recipient)
	}
}

// finished takes note that one of the queue is done. The done ones before all others leave at once; those in between when
// they are the most of it, so that one message that nobody takes does not keep all that came after it in memory.
func (b *backlog) finished() {
	b.done++
	for len(b.queue) > 0 && b.queue[0].done {
		b.queue[0] = nil
		b.queue = b.queue[1:]
		b.done--
	}
	if b.done > 32 && 2*b.done > len(b.queue) {
		b.queue = slices.DeleteFunc(b.queue, func(d *delivery) bool { return d.done })
		b.done = 0
	}
}

// oldest is the age of what has waited longest.
func (b *backlog) oldest(now time.Time) time.Duration {
	if len(b.queue) == 0 {
		return 0
	}
	age := b.queue[0].age(now)
	if b.queue[0].quiet != nil { // of those behind it one that does not sleep may be older by that count
		if i := slices.IndexFunc(b.queue, func(d *delivery) bool { return d.quiet == nil && !d.done }); i > 0 {
			age = max(age, b.queue[i].age(now))
		}
	}
	return age
}

// noteRoom takes note whether an event could be taken in.
func (s *shard) noteRoom(full bool) {
	switch {
	case !full:
		s.full = time.Time{}
	case s.full.IsZero():
		s.full = time.Now()
	}
}

func (s *shard) progress(now time.Time) Progress {
	p := Progress{Partition: s.p, Read: max(s.newest, s.settled), Settled: s.settled, Unsettled: len(s.order)}
	if !s.full.IsZero() {
		p.Full = now.Sub(s.full)
	}
	return p
}

// channelType is the type of a recipient's channel; empty if the plan gives them none of that key.
func (ev *event) channelType(index int32, key string) string {
	for _, c := range ev.stored.Record.Plan.Recipients[index].Channels {
		if c.Key == key {
			return c.Type
		}
	}
	return ""
}
