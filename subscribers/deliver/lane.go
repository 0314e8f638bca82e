package deliver

import (
	"cmp"
	"slices"
	"time"

	"carehub/events"
)

// delivery is one event for one recipient, from the moment it is read until its outcome is final and written. There may
// be hundreds of thousands of them, parked: what many have in common they share, what few have is apart, and the rest is
// kept small, 56 bytes.
type delivery struct {
	*terms
	seq      uint64
	accepted time.Duration // when, on the engine's clock

	lane   *lane
	event  *event   // nil once parked and settled: read back for the next attempt
	past   *history // nil until the first attempt
	index  int32    // of the recipient in the plan
	open   uint8    // how many of the channels may be used by now
	done   bool
	parked bool // it stands in a park page, written or about to be
	alarm  alarm
}

// alarm is how far telling a person that a delivery is overdue or has failed has come.
type alarm uint8

const (
	unalarmed alarm = iota
	raising         // under way
	alarmed         // durably
)

// alarmSo is the state of an alarm of which the ledger knows, or does not.
func alarmSo(durably bool) alarm {
	if durably {
		return alarmed
	}
	return unalarmed
}

// history is how the attempts of a delivery have gone.
type history struct {
	before int    // attempts of an earlier process, as far as the ledger knows
	tries  []try  // per channel; nil until the first end of an attempt
	only   [1]try // that of the only channel, as most have: it needs no memory of its own
}

// terms are what the deliveries of one partition to one recipient have in common.
type terms struct {
	shard    *shard
	channels []string // keys, as frozen
	due      dues
	quiet    *quiet // nil: they are told at any time
	of       *recipient
	room     []delivery // for the next ones
}

// terms returns those with these channels, kept for the next who asks.
func (s *shard) terms(r *recipient, channels []string, due dues, q *quiet) *terms {
	for _, t := range r.known {
		if t.shard == s && t.due == due && t.quiet == q && slices.Equal(t.channels, channels) {
			return t
		}
	}
	t := &terms{shard: s, channels: slices.Clone(channels), due: due, quiet: q, of: r}
	r.known = append(r.known[max(0, len(r.known)-63):], t)
	return t
}

// Deliveries on the same terms share pieces of memory, the larger the more of them wait: those of one recipient mostly wait, and
// go, together, while one that stays keeps the others' memory. A page of memory of its own is not half empty once those of
// recipients who are well are gone.
const (
	fewTogether  = 8
	mostTogether = 146 // fill a page, 8 KiB
)

// together is how many the next piece is for.
func (t *terms) together() int {
	waiting := 0
	if b := t.shard.backlogs[t.of.id]; b != nil {
		waiting = len(b.queue)
	}
	if waiting < fewTogether {
		return 1 + waiting
	}
	return min(max(fewTogether, waiting/8), mostTogether)
}

// delivery returns a new one.
func (t *terms) delivery(seq uint64, index int, accepted time.Duration, alarmedSo bool) *delivery {
	if len(t.room) == 0 {
		t.room = make([]delivery, t.together())
	}
	d := &t.room[0]
	t.room = t.room[1:]
	*d = delivery{terms: t, seq: seq, index: small(index), accepted: accepted, open: 1, alarm: alarmSo(alarmedSo)}
	return d
}

// try is how one channel of a delivery has gone.
type try struct {
	attempts int
	next     time.Time // not before
	refused  bool
	struck   bool // refused after it had been taken; a page keeps it
}

func (d *delivery) history() *history {
	if d.past == nil {
		d.past = &history{}
	}
	return d.past
}

// tries is nil until the first end of an attempt.
func (d *delivery) tries() []try {
	if d.past == nil {
		return nil
	}
	return d.past.tries
}

func (d *delivery) try(ch int) *try {
	h := d.history()
	if h.tries == nil && len(d.channels) == 1 {
		h.tries = h.only[:]
	} else if h.tries == nil {
		h.tries = make([]try, len(d.channels))
	}
	return &h.tries[ch]
}

func (d *delivery) attempts() (n int) {
	if d.past != nil {
		n = d.past.before
	}
	for _, t := range d.tries() {
		n += t.attempts
	}
	return n
}

// hopeless reports whether every channel has refused for good.
func (d *delivery) hopeless() bool {
	if d.tries() == nil {
		return len(d.channels) == 0
	}
	return !slices.ContainsFunc(d.tries(), func(t try) bool { return !t.refused })
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

	due time.Duration // on the engine's clock, when the agenda looks at what its deliveries must keep; 0 if not at all
}

// recipient is everything in hand for one subscriber.
type recipient struct {
	id        string
	known     []*terms // of its latest deliveries
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

func (r *recipient) lane(patient string) *lane {
	l := r.lanes[patient]
	if l == nil {
		l = &lane{recipient: r, patient: patient}
		r.lanes[patient] = l
	}
	return l
}

// enqueue puts d at the end of its lane. Called with the lock held, in the order of acceptance.
func (e *Engine) enqueue(d *delivery, recipient, patient string) {
	l := e.recipient(recipient).lane(patient)
	d.lane = l
	if n := len(l.queue); n >= 64 && n == cap(l.queue) { // many wait: as much room again would be for nothing
		l.queue = append(make([]*delivery, 0, n+n/8), l.queue...)
	}
	l.queue = append(l.queue, d)
	d.shard.queued(recipient, d)
	if len(l.queue) == 1 || d.wakes(l) {
		e.advance(l)
	}
}

// pop takes a finished delivery out of its lane. The caller looks at what is next.
func (e *Engine) pop(d *delivery) {
	l := d.lane
	i, found := l.find(d.shard.p, d.seq, d.index)
	if !found || l.queue[i] != d { // one of the same place may have come after it
		return
	}
	d.shard.unqueued(l.recipient.id)
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

// find returns where a delivery stands, or would stand, in the lane: in the order of acceptance. A later generation of
// partitions has higher numbers.
func (l *lane) find(p int, seq uint64, index int32) (int, bool) {
	from := 0
	if l.astray() {
		if l.queue[0].compare(p, seq, index) == 0 {
			return 0, true
		}
		from = 1
	}
	i, found := slices.BinarySearchFunc(l.queue[from:], seq, func(d *delivery, seq uint64) int { return d.compare(p, seq, index) })
	return from + i, found
}

// compare says whether d stands before or behind another place.
func (d *delivery) compare(p int, seq uint64, index int32) int {
	return cmp.Or(cmp.Compare(d.shard.p, p), cmp.Compare(d.seq, seq), cmp.Compare(d.index, index))
}

// byLane orders the deliveries of one lane.
func byLane(a, b *delivery) int { return a.compare(b.shard.p, b.seq, b.index) }

// small is an index of a plan's recipients as deliveries keep it.
func small(index int) int32 { return int32(index) } // #nosec G115 -- plans are smaller by far

// byPlace orders the deliveries of one partition.
func byPlace(a, b *delivery) int {
	return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.index, b.index))
}

// advance starts the lane's next attempt if one may start now, else sees to it that the lane is looked at when it may.
// Called with the lock held; calling it once too often does no harm.
func (e *Engine) advance(l *lane) {
	if l.busy || len(l.queue) == 0 || l.queue[0].shard.stage >= stopping {
		return
	}
	l.straighten()
	d, now := l.queue[0], time.Now()
	if !e.mayStart(d.shard.p) {
		d.shard.pause(l)
		return
	}
	if d.quiet != nil && e.rests(l, now) {
		return
	}
	var earliest time.Time
	tries := d.tries()
	for ch := 0; ch < min(int(d.open), len(d.channels)); ch++ {
		var t try
		if tries != nil {
			t = tries[ch]
		}
		if t.refused {
			continue
		}
		ep := e.endpoint(l.recipient, d.channels[ch])
		if ep.paused {
			d.passOver(ch)
		}
		if t.next.After(now) {
			earliest = sooner(earliest, t.next)
			continue
		}
		if ep.admits(now) {
			c := classOf(d, ch, ep)
			if e.budget.admits(c, now) {
				e.start(l, d, ch, ep)
				return
			}
			e.budget.await(c, ep)
			e.wakeBudget(now)
		}
		ep.block(l)
		e.wakeEndpoint(ep)
	}
	if !earliest.IsZero() {
		e.wakeLane(l, earliest)
	}
}

// release looks at the lanes that wait for ep, first come first served, until ep admits no more, or the budget. A lane
// with something to try again must not hold up those behind it who have something new, so a few are looked at.
func (e *Engine) release(ep *endpoint) {
	now := time.Now()
	for refused := 0; len(ep.waiting) > 0 && ep.admits(now) && refused < ep.width; {
		l := ep.waiting[0]
		ep.waiting = ep.waiting[1:]
		l.unblock(ep)
		if e.advance(l); slices.Contains(l.blocked, ep) {
			refused++
		}
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
	if len(l.queue) > 0 && l.queue[0].tries() != nil {
		return true
	}
	for _, ep := range l.blocked {
		if ep.troubled(now, patience) {
			return true
		}
	}
	return false
}

// dammed reports whether d, which has just joined the lane, waits for something that has been broken for a while.
func (l *lane) dammed(d *delivery, now time.Time) bool {
	if l.queue[0] != d && (l.busy && now.Sub(l.since) >= parkAfter || l.queue[0].tries() != nil) {
		return true
	}
	return slices.ContainsFunc(l.blocked, func(ep *endpoint) bool { return ep.down() || ep.paused || ep.hanging(now, parkAfter) })
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
	switch channelType {
	case "email", "sms", "push": // handed over, and nothing known beyond
		return events.Sent
	}
	return events.Received
}
