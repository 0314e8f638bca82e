package deliver

import (
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
	Lost     int
	InFlight int // attempts

	Waiting    map[string]Waiting // by recipient: those who wait for anything
	Down       []Down             // endpoints
	Partitions []Progress         // being delivered
}

// Waiting is what one recipient waits for.
type Waiting struct {
	Pending int           // deliveries neither told nor given up
	Parked  int           // of these, and of those given up whose alarm is not stored yet, the ones waiting on disk
	Oldest  time.Duration // age of the oldest pending one
}

// Down is an endpoint that has failed too often in a row.
type Down struct{ Recipient, Channel string }

// Progress is how far the telling of one partition's events has come.
type Progress struct {
	Partition int
	Read      uint64        // sequence of the newest event taken in
	Settled   uint64        // up to here every event is settled or parked, durably
	Unsettled int           // events taken in and above Settled
	Full      time.Duration // for how long no event could be taken in for want of room; 0 if one can
}

// Health reports how far behind the engine is. It takes time by the number of recipients, not of what they wait for.
func (e *Engine) Health() Health {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	h := Health{Unheard: e.unheard, Lost: e.lost, Waiting: map[string]Waiting{}}
	for _, s := range e.shards {
		if s.failure != nil {
			h.Ledger = s.failure
		}
		h.Partitions = append(h.Partitions, s.progress(now))
		for id, b := range s.waiting {
			if len(b.queue) == 0 && b.parked == 0 {
				delete(s.waiting, id)
				continue
			}
			w := h.Waiting[id]
			w.Pending += len(b.queue) - b.done
			w.Parked += b.parked
			w.Oldest = max(w.Oldest, b.oldest(now))
			h.Waiting[id] = w
			h.Parked += b.parked
			h.Oldest = max(h.Oldest, w.Oldest)
		}
	}
	for _, r := range e.recipients {
		for key, ep := range r.endpoints {
			h.InFlight += ep.inflight
			if ep.down() {
				h.Down = append(h.Down, Down{r.id, key})
			}
		}
	}
	return h
}

// standing is what a shard keeps so that its health can be told without looking at everything that waits.
type standing struct {
	waiting map[string]*pending // by recipient
	full    time.Time           // since when no event could be taken in; zero if one can
}

// pending is what one recipient waits for of one partition, in the order of acceptance.
type pending struct {
	queue  []*delivery
	done   int // of queue
	parked int // deliveries in pages
}

func (s *standing) pending(recipient string) *pending {
	if s.waiting == nil {
		s.waiting = map[string]*pending{}
	}
	b := s.waiting[recipient]
	if b == nil {
		b = &pending{}
		s.waiting[recipient] = b
	}
	return b
}

func (b *pending) add(d *delivery) { b.queue = append(b.queue, d) }

// finished takes note that one of the queue is done. The done ones before all others leave at once; those in between when
// they are the most of it, so that one message that nobody takes does not keep all that came after it in memory.
func (b *pending) finished() {
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
func (b *pending) oldest(now time.Time) time.Duration {
	if len(b.queue) == 0 {
		return 0
	}
	return now.Sub(b.queue[0].recorded())
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
