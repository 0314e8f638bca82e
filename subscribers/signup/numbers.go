package signup

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// NoticeLog is the store's log of which event has which number in which subscription: records in one order for all hubs,
// each written only by who has seen all before it.
type NoticeLog interface {
	Note(ctx context.Context, value []byte, after uint64) (uint64, error)
	Notices(ctx context.Context, after uint64, ready func(last uint64), fn func(seq uint64, value []byte) error) error
	TrimNotice(ctx context.Context, seq uint64) error
}

// notice is one record of the log: the events that were numbered together.
type notice struct {
	V      int        `json:"v"`
	At     time.Time  `json:"at"`
	Events []numbered `json:"events"`
}

// numbered is an event with its number in each subscription that it concerns.
type numbered struct {
	ID      string            `json:"id"`
	Numbers map[string]uint64 `json:"n"`

	seq uint64 // of its notice
}

const noticeVersion = 1

// maxNotice is how many (event, subscription) pairs one record holds at the most, unless one event alone has more.
const maxNotice = 4096

// Numbers gives the events of each subscription their numbers: 1, 2, 3, … without a gap, whatever crashes and however many
// hubs share the store. A number is an event's for good. It follows the log of notices, and writes to it.
type Numbers struct {
	log   NoticeLog
	store Store
	clock func() time.Time
	// Exists, if set, says whether there still is such a subscription: the numbers of others need not be kept.
	Exists func(sub string) bool

	erased []placed // records of which something was erased, by their place in the log; read by Follow alone

	mu      sync.Mutex
	seq     uint64 // of the newest notice taken in
	last    map[string]uint64
	known   map[string]*numbered // by event
	ages    []age                // of the notices that are known, oldest first
	series  map[string]*series   // by subscription
	asked   map[string]*question // events that wait for their numbers
	queue   []*question          // the same, in the order they were asked for
	work    chan struct{}        // the queue is not empty
	changed chan struct{}        // closed and replaced with each notice taken in
}

// series is what is still known of the events of one subscription, of which the first has the number from.
type series struct {
	from   uint64
	events []*numbered
}

type age struct {
	seq uint64
	at  time.Time
}

// question is an event that wants its numbers.
type question struct {
	event string
	subs  []string
	done  chan struct{}
}

// NewNumbers returns Numbers that know nothing until Follow runs.
func NewNumbers(log NoticeLog, store Store, clock func() time.Time) *Numbers {
	return &Numbers{log: log, store: store, clock: clock, last: map[string]uint64{}, known: map[string]*numbered{}, series: map[string]*series{},
		asked: map[string]*question{}, work: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Follow keeps up with what all hubs have numbered, until ctx ends. ready is called when everything stored is known.
func (n *Numbers) Follow(ctx context.Context, ready func()) error {
	if err := n.loadBase(ctx); err != nil {
		return err
	}
	if err := n.loadErased(ctx); err != nil {
		return err
	}
	known := func(last uint64) {
		n.mu.Lock()
		n.takeErased(last)
		n.seq = max(n.seq, last)
		n.mu.Unlock()
		ready()
	}
	return n.log.Notices(ctx, 0, known, func(seq uint64, value []byte) error {
		rec, err := decodeNotice(seq, value)
		if err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.takeErased(seq)
		n.take(seq, rec)
		return nil
	})
}

func decodeNotice(seq uint64, value []byte) (rec notice, err error) {
	if err := json.Unmarshal(value, &rec); err != nil {
		return rec, fmt.Errorf("notice %d cannot be read: %w", seq, err)
	}
	if rec.V > noticeVersion {
		return rec, fmt.Errorf("notice %d is of a newer version, %d", seq, rec.V)
	}
	return rec, nil
}

// take takes in a notice, once. Called with the lock held.
func (n *Numbers) take(seq uint64, rec notice) {
	if seq <= n.seq {
		return
	}
	n.seq = seq
	n.ages = append(n.ages, age{seq, rec.At})
	for i := range rec.Events {
		e := &rec.Events[i]
		e.seq = seq
		if e.ID != "" {
			n.known[e.ID] = e
		}
		for sub, number := range e.Numbers {
			n.last[sub] = max(n.last[sub], number)
			s := n.series[sub]
			if s == nil {
				s = &series{from: number}
				n.series[sub] = s
			}
			s.events = append(s.events, e)
		}
		if q := n.asked[e.ID]; q != nil {
			delete(n.asked, e.ID)
			close(q.done)
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// Ask has an event numbered in these subscriptions, in the order of asking; done is closed when that is durable. It does
// not block.
func (n *Numbers) Ask(event string, subs []string) (done <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.asked[event]
	if q == nil {
		q = &question{event: event, subs: subs, done: make(chan struct{})}
		if n.known[event] != nil {
			close(q.done)
			return q.done
		}
		n.asked[event] = q
		n.queue = append(n.queue, q)
		select {
		case n.work <- struct{}{}:
		default:
		}
	}
	return q.done
}

// Number returns the number of an event in a subscription, waiting for it if need be. ok is false if the event does not
// concern the subscription.
func (n *Numbers) Number(ctx context.Context, event, sub string) (number uint64, ok bool, err error) {
	n.mu.Lock()
	q, e := n.asked[event], n.known[event]
	n.mu.Unlock()
	if e == nil && q != nil {
		select {
		case <-q.done:
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
		n.mu.Lock()
		e = n.known[event]
		n.mu.Unlock()
	}
	if e == nil {
		return 0, false, nil
	}
	number, ok = e.Numbers[sub]
	return number, ok, nil
}

// Last is the number of the newest event of a subscription; 0 if there is none.
func (n *Numbers) Last(sub string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[sub]
}

// Between returns the events of a subscription with the numbers from to to, limit at the most, the lowest first. Those that
// are too old to be known are left out.
func (n *Numbers) Between(sub string, from, to uint64, limit int) (events []string, first uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.series[sub]
	if s == nil || len(s.events) == 0 {
		return nil, 0
	}
	first = max(from, s.from)
	for number := first; number <= to && len(events) < limit && number-s.from < uint64(len(s.events)); number++ {
		events = append(events, s.events[number-s.from].ID)
	}
	return events, first
}

// Run numbers what is asked for, until ctx ends.
func (n *Numbers) Run(ctx context.Context) error {
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.work:
			n.answer(ctx)
		case <-tidy.C:
			n.tidy(ctx)
		}
	}
}

// noteDeadline is how long one write may take.
const noteDeadline = 5 * time.Second

// answer numbers all that is in the queue, as much as fits into a record at a time.
func (n *Numbers) answer(ctx context.Context) {
	for ctx.Err() == nil {
		rec, after, changed := n.next()
		if len(rec.Events) == 0 {
			return
		}
		seq, err := n.write(ctx, rec, after)
		if err == nil {
			n.mu.Lock()
			n.take(seq, rec)
			n.mu.Unlock()
			continue
		}
		// Somebody else was quicker, or nobody knows what became of it: what was written comes by Follow.
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (n *Numbers) write(ctx context.Context, rec notice, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, noteDeadline)
	defer cancel()
	value, err := json.Marshal(rec)
	if err != nil {
		return 0, err
	}
	return n.log.Note(ctx, value, after)
}

// next is the record to be written next, empty if nothing is asked for, the sequence it must follow, and the channel that
// is closed when another takes its place.
func (n *Numbers) next() (rec notice, after uint64, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = slices.DeleteFunc(n.queue, func(q *question) bool { return n.asked[q.event] != q }) // another hub has numbered it
	rec = notice{V: noticeVersion, At: n.clock().UTC().Truncate(time.Millisecond)}
	given, pairs := map[string]uint64{}, 0
	for _, q := range n.queue {
		if pairs += len(q.subs); pairs > maxNotice && len(rec.Events) > 0 {
			break
		}
		e := numbered{ID: q.event, Numbers: make(map[string]uint64, len(q.subs))}
		for _, sub := range q.subs {
			if given[sub] == 0 {
				given[sub] = n.last[sub]
			}
			given[sub]++
			e.Numbers[sub] = given[sub]
		}
		rec.Events = append(rec.Events, e)
	}
	return rec, n.seq, n.changed
}

// subscriptionsOf are the ids of the subscriptions that a plan names.
func subscriptionsOf(rec *events.Record) (ids []string) {
	for _, r := range rec.Plan.Recipients {
		if events.IsSubscription(r.ID) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Announce is for the engine: it has the event of a plan that names subscriptions numbered. done is nil if it names none.
func (n *Numbers) Announce(rec *events.Record) (done <-chan struct{}) {
	ids := subscriptionsOf(rec)
	if len(ids) == 0 {
		return nil
	}
	return n.Ask(rec.Event.ID, ids)
}
