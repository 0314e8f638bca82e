package deliver

import (
	"slices"
	"time"

	"carehub/events"
)

// delivery is one event for one recipient, from the moment it is read until its outcome is final and written.
type delivery struct {
	shard    *shard
	seq      uint64
	index    int      // of the recipient in the plan
	channels []string // keys, as frozen
	recorded time.Time
	due      dues

	lane    *lane
	event   *event // nil once parked and settled: read back for the next attempt
	tries   []try  // per channel; nil until the first failure
	open    int    // how many of the channels may be used by now
	done    bool
	parked  bool // it stands in a park page, written or about to be
	alarmed bool // durably
	raised  bool // its alarm is under way
}

// try is how one channel of a delivery has gone.
type try struct {
	attempts int
	next     time.Time // not before
	refused  bool
}

func (d *delivery) try(ch int) *try {
	if d.tries == nil {
		d.tries = make([]try, len(d.channels))
	}
	return &d.tries[ch]
}

func (d *delivery) attempts() int {
	n := 0
	for _, t := range d.tries {
		n += t.attempts
	}
	return n
}

// hopeless reports whether every channel has refused for good.
func (d *delivery) hopeless() bool {
	if d.tries == nil {
		return len(d.channels) == 0
	}
	return !slices.ContainsFunc(d.tries, func(t try) bool { return !t.refused })
}

// lane is the queue of one patient's events for one recipient, in the order of acceptance, one attempt in flight.
type lane struct {
	recipient *recipient
	patient   string
	queue     []*delivery
	busy      bool
	since     time.Time   // of the attempt in flight
	blocked   []*endpoint // whose change it waits for
	wake      time.Time   // when the agenda looks at it again; zero if not at all
}

// recipient is everything in hand for one subscriber.
type recipient struct {
	id        string
	lanes     map[string]*lane
	endpoints map[string]*endpoint
	overdue   *cover // nil after every success
}

func (e *Engine) recipient(id string) *recipient {
	r := e.recipients[id]
	if r == nil {
		r = &recipient{id: id, lanes: map[string]*lane{}, endpoints: map[string]*endpoint{}}
		e.recipients[id] = r
	}
	return r
}

func (r *recipient) endpoint(key string, width int) *endpoint {
	ep := r.endpoints[key]
	if ep == nil {
		ep = &endpoint{width: width, window: width}
		r.endpoints[key] = ep
	}
	return ep
}

// enqueue puts d at the end of its lane. Called with the lock held, in the order of acceptance.
func (e *Engine) enqueue(d *delivery, recipient, patient string) {
	r := e.recipient(recipient)
	l := r.lanes[patient]
	if l == nil {
		l = &lane{recipient: r, patient: patient}
		r.lanes[patient] = l
	}
	d.lane = l
	l.queue = append(l.queue, d)
	d.shard.backlog(recipient).add(d)
	if len(l.queue) == 1 {
		e.advance(l)
	}
}

// pop takes a finished delivery out of its lane. The caller looks at what is next.
func (e *Engine) pop(d *delivery) {
	l := d.lane
	i := slices.Index(l.queue, d)
	if i < 0 {
		return
	}
	d.shard.backlog(l.recipient.id).finished()
	if i == 0 {
		l.queue[0] = nil
		l.queue = l.queue[1:]
	} else {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	if len(l.queue) == 0 && !l.busy {
		delete(l.recipient.lanes, l.patient)
	}
}

// advance starts the lane's next attempt if one may start now, else sees to it that the lane is looked at when it may.
// Called with the lock held; calling it once too often does no harm.
func (e *Engine) advance(l *lane) {
	if l.busy || len(l.queue) == 0 || l.queue[0].shard.stage >= stopping {
		return
	}
	d, now := l.queue[0], time.Now()
	if !e.mayStart(d.shard.p) {
		d.shard.pause(l)
		return
	}
	var earliest time.Time
	for ch := range min(d.open, len(d.channels)) {
		var t try
		if d.tries != nil {
			t = d.tries[ch]
		}
		if t.refused {
			continue
		}
		if t.next.After(now) {
			earliest = sooner(earliest, t.next)
			continue
		}
		ep := l.recipient.endpoint(d.channels[ch], e.opt.Concurrency)
		if ep.admits(now) {
			e.start(l, d, ch, ep)
			return
		}
		ep.block(l)
		e.wakeEndpoint(ep)
	}
	if !earliest.IsZero() {
		e.wakeLane(l, earliest)
	}
}

// release looks at the lanes that wait for ep, first come first served, until ep admits no more.
func (e *Engine) release(ep *endpoint) {
	now := time.Now()
	for len(ep.waiting) > 0 && ep.admits(now) {
		l := ep.waiting[0]
		ep.waiting = ep.waiting[1:]
		l.unblock(ep)
		e.advance(l)
	}
	if len(ep.waiting) > 0 {
		e.wakeEndpoint(ep)
	}
}

// stuck reports whether the lane's head is in trouble, and not just one of many that are being worked off.
func (l *lane) stuck(now time.Time, patience time.Duration) bool {
	if l.busy {
		return now.Sub(l.since) >= patience
	}
	if len(l.queue) > 0 && l.queue[0].tries != nil {
		return true
	}
	for _, ep := range l.blocked {
		if ep.troubled(now, patience) {
			return true
		}
	}
	return false
}

func (l *lane) unblock(ep *endpoint) {
	if i := slices.Index(l.blocked, ep); i >= 0 {
		l.blocked = slices.Delete(l.blocked, i, i+1)
	}
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// stateOf turns the type of the channel that took a message into what the carer reads.
func stateOf(channelType string) events.State {
	if channelType == "email" {
		return events.Sent
	}
	return events.Received
}
