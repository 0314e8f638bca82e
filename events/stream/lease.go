package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// LeaseTimes are how long a partition stays with a hub that is not heard of. No two clocks are compared: each hub goes by
// its own monotonic one.
type LeaseTimes struct {
	Beat   time.Duration // between two signs of life; 500 ms unless set
	Lease  time.Duration // a hub not heard of for this long has lost everything; 3 s unless set
	Margin time.Duration // a hub starts nothing so long before it loses everything itself; 600 ms unless set
}

func (t *LeaseTimes) defaults() {
	if t.Beat == 0 {
		t.Beat = 500 * time.Millisecond
	}
	if t.Lease == 0 {
		t.Lease = 3 * time.Second
	}
	if t.Margin == 0 {
		t.Margin = 600 * time.Millisecond
	}
}

// Leases shares out the partitions of a store on an external server among the hubs that use it, each of which has one.
//
// A hub is alive while its beat changes: hub.beat.<hub>, which only itself writes. A partition belongs to the hub that its
// record own.<p> names; the record is in the partition's ledger and is only ever changed by whoever has seen its last
// sequence, so that of two who want a partition one gets it. Every write to the ledger rewrites that record first, in one
// atomic batch (NATS ADR-50) that fails as a whole if the record is not the one last written by this hub: nothing that a
// late owner sends is stored, however long it was under way.
//
// By its beats an owner may start attempts until Lease minus Margin after it began to send the last beat that was acknowledged. Others
// take over no sooner than Lease after they saw that beat, and by then it has stopped. An owner who comes to that end and
// then gets through again has to win its records anew before it goes on.
//
// The stream of the beats may be without a leader while a partition's ledger has one. So a write of a partition's record that
// was acknowledged is a sign of life too, for that partition and half a Lease: see prove.go.
type Leases struct {
	store *Store
	times LeaseTimes
	id    string
	log   *slog.Logger
	look  chan struct{} // something to see to before the next beat

	graves chan grave // of deleted keys

	mu      sync.Mutex
	held    map[int]*holding
	changed chan struct{}
	renewed time.Time // when the last beat that was acknowledged began to be sent
	epoch   int       // raised whenever that was too long ago; holdings of an earlier epoch have to be won anew
	gap     bool      // no beat was taken for so long that those of others may be missing for the same reason
	leaving bool      // nothing more is taken

	hubs    map[string]*neighbour // used by the sharing goroutine, and under mu by what it does side by side
	sighted map[int]sighting      // records of partitions whose hubs are missed; guarded by mu
}

// holding is a partition that belongs to this hub.
type holding struct {
	epoch  int
	proved time.Time // when the last write of the record that was acknowledged began to be sent
	given  bool      // away: the engine is to stop, then the record is freed
	ended  bool      // the engine has stopped

	writing sync.Mutex // one batch at a time
	seq     uint64     // of the partition's record; guarded by writing
	gone    bool       // the record is another's; guarded by writing
}

// NewLeases makes the leases of one hub and has the store write to its ledgers only under them. Call it before anything
// is written, and run it with Run once. An embedded store has one user and needs none.
func NewLeases(s *Store, times LeaseTimes) *Leases {
	times.defaults()
	l := &Leases{store: s, times: times, id: strings.ToLower(rand.Text()), log: s.log, look: make(chan struct{}, 1),
		graves: make(chan grave, 1<<14), held: map[int]*holding{}, changed: make(chan struct{}), hubs: map[string]*neighbour{}, sighted: map[int]sighting{}}
	s.leases = l
	return l
}

// Owned returns the partitions held now, in order, and a channel that is closed when that changes.
func (l *Leases) Owned() (held []int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, h := range l.held {
		if !h.given {
			held = append(held, p)
		}
	}
	slices.Sort(held)
	return held, l.changed
}

// MayStart reports whether an attempt for p may start now: by this hub's beats, or by a recent write of p's record.
func (l *Leases) MayStart(p int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, now := l.held[p], time.Now()
	if h == nil || h.ended {
		return false
	}
	return h.epoch == l.epoch && !l.late(now) || now.Sub(h.proved) < l.times.proof()-l.times.Margin
}

// late reports whether others may take this hub for gone soon. Called with the lock held.
func (l *Leases) late(now time.Time) bool {
	return now.Sub(l.renewed) >= l.times.Lease-l.times.Margin
}

// Released gives p away: nobody delivers it here any more.
func (l *Leases) Released(p int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[p]; h != nil && !h.ended {
		h.given, h.ended = true, true
		l.wake()
		l.soon()
	}
}

// wake tells whoever waits that Owned has changed. Called with the lock held.
func (l *Leases) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// soon has the sharing goroutine look now.
func (l *Leases) soon() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}

// Run beats and shares until ctx ends, then keeps beating until everything it held was released and is free for others;
// for at most patience, after which they wait out the lease.
func (l *Leases) Run(ctx context.Context, patience time.Duration) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var work sync.WaitGroup
	work.Go(func() { l.beatLoop(life, l.beat) })
	work.Go(func() { l.shareLoop(life, ctx.Done(), end) })
	work.Go(func() { l.proveLoop(life, l.prove) })
	work.Go(func() { l.digLoop(life) })
	<-ctx.Done()
	cut := time.AfterFunc(patience, end)
	work.Wait()
	cut.Stop()
	l.silence()
	return nil
}

const beatPrefix = "hub.beat."

// beat is a hub's sign of life. The shape is a promise.
type beat struct {
	V       int   `json:"v"`
	Holds   []int `json:"holds"`             // partitions
	Leaving bool  `json:"leaving,omitempty"` // it takes no more
}

// beatLoop shows the others that this hub is alive, with a beat beside those that are not answered yet: what was sent to a leader
// that is no more never is, and whatever this hub may do waits for an answer. While the store does not take them they are sent
// more often.
func (l *Leases) beatLoop(ctx context.Context, send func(context.Context) error) {
	var sent sync.WaitGroup
	defer sent.Wait()
	answers := make(chan pulse)
	next := time.NewTimer(0)
	defer next.Stop()
	failed, since := 0, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			began, every := time.Now(), l.times.Beat
			if failed > 0 {
				every /= 2
			}
			next.Reset(every)
			sent.Go(func() {
				err := send(ctx)
				select {
				case answers <- pulse{began, err}:
				case <-ctx.Done():
				}
			})
		case a := <-answers:
			switch {
			case a.err == nil:
				failed = 0
				if a.began.After(since) {
					since = a.began
				}
				l.renew(a.began)
				l.soon()
			case ctx.Err() != nil || a.began.Before(since): // one sent later was taken, or another node is asked by now
			default:
				if failed++; failed%8 == 1 {
					l.log.Warn("the store did not take this hub's sign of life", "in_a_row", failed, "error", a.err.Error())
				}
				since = l.elsewhere(since, a.err)
			}
		}
	}
}

// pulse is what came of a beat.
type pulse struct {
	began time.Time
	err   error
}

func (l *Leases) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.times.Lease-l.times.Margin) // later it is of no use
	defer cancel()
	l.mu.Lock()
	b := beat{V: 1, Holds: slices.Sorted(maps.Keys(l.held)), Leaving: l.leaving}
	l.mu.Unlock()
	value, err := json.Marshal(b)
	if err != nil {
		return err
	}
	_, err = l.store.hubPut(ctx, beatPrefix+l.id, value)
	return err
}

// renew takes note of an acknowledged beat: whoever saw it, or one that was stored after it, saw it later than it began to be
// sent, whatever others are under way. So of those acknowledged the one that began last counts.
func (l *Leases) renew(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !began.After(l.renewed) {
		return
	}
	if l.late(time.Now()) {
		l.epoch++
	}
	l.gap = l.gap || began.Sub(l.renewed) > l.times.Lease-2*l.times.Beat
	l.renewed = began
}

// elsewhere tries another node of the cluster when this one has not taken a beat for a while: it may be cut off. One that
// says that nobody leads is given the time of an election, and one that takes writes of records twice that. It returns since when
// the node that is asked next is.
func (l *Leases) elsewhere(since time.Time, err error) time.Time {
	patience := l.times.Lease
	if errors.Is(err, jetstream.ErrNoStreamResponse) || answered(err) {
		patience = max(patience, electionFor)
	}
	if time.Since(l.lastProof()) < l.times.proof() {
		patience = 2 * electionFor
	}
	if time.Since(since) < patience {
		return since
	}
	for _, c := range []*nats.Conn{l.store.writes, l.store.reads} {
		if c.IsConnected() {
			_ = c.ForceReconnect() // else it is about to
		}
	}
	return time.Now()
}

// silence takes the beat away, so that the others need not wait for it to age.
func (l *Leases) silence() {
	ctx, cancel := context.WithTimeout(context.Background(), l.times.Lease/2)
	defer cancel()
	msg, err := l.store.hub.GetLastMsgForSubject(ctx, beatPrefix+l.id)
	if err == nil {
		err = l.store.hub.DeleteMsg(ctx, msg.Sequence)
	}
	if err != nil {
		l.log.Warn("this hub's sign of life stays behind", "error", err.Error())
	}
}
