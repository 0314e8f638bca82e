package deliver_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/deliver"
)

// estate is the partitions of a store that several engines share, and who holds which.
type estate struct {
	mu     sync.Mutex
	holder map[int]*tenant
}

// tenant is the Owner of one engine, and its ledger: one that refuses whoever is not the holder.
type tenant struct {
	deliver.Ledger
	estate   *estate
	believes map[int]bool // which partitions it thinks it holds
	late     bool         // its lease is about to end
	next     map[int]*tenant
	changed  chan struct{}
	refused  int // writes
}

func newEstate() *estate { return &estate{holder: map[int]*tenant{}} }

func (e *estate) tenant(l deliver.Ledger) *tenant {
	return &tenant{Ledger: l, estate: e, believes: map[int]bool{}, next: map[int]*tenant{}, changed: make(chan struct{})}
}

func (t *tenant) options(o *deliver.Options) { o.Owner, o.Ledger = t, t }

func (t *tenant) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// give lets t hold partitions that nobody does.
func (e *estate) give(t *tenant, partitions ...int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range partitions {
		e.holder[p], t.believes[p] = t, true
	}
	t.wake()
}

// move has the holder stop, and then gives the partition to t.
func (e *estate) move(p int, t *tenant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := e.holder[p]
	if from == nil || from == t || from.next[p] != nil {
		return
	}
	from.next[p] = t
	delete(from.believes, p)
	from.wake()
}

// seize gives the partition to t without a word to the holder, who goes on.
func (e *estate) seize(p int, t *tenant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holder[p], t.believes[p] = t, true
	t.wake()
}

func (t *tenant) Owned() (held []int, changed <-chan struct{}) {
	t.estate.mu.Lock()
	defer t.estate.mu.Unlock()
	for p := range t.believes {
		held = append(held, p)
	}
	return held, t.changed
}

func (t *tenant) MayStart(p int) bool {
	t.estate.mu.Lock()
	defer t.estate.mu.Unlock()
	return (t.believes[p] || t.next[p] != nil) && !t.late
}

func (t *tenant) Released(p int) {
	t.estate.mu.Lock()
	defer t.estate.mu.Unlock()
	to := t.next[p]
	if to == nil {
		return
	}
	delete(t.next, p)
	t.estate.holder[p], to.believes[p] = to, true
	to.wake()
}

func (t *tenant) Put(ctx context.Context, p int, entries []events.Entry) error {
	t.estate.mu.Lock()
	defer t.estate.mu.Unlock()
	if t.estate.holder[p] != t {
		t.refused++
		if t.believes[p] {
			delete(t.believes, p)
			t.wake()
		}
		return fmt.Errorf("put: %w", events.ErrFenced)
	}
	return t.Ledger.Put(ctx, p, entries)
}

// grown is a store of two generations, each a Memory of n partitions; the ledger of both is that of the first.
type grown struct {
	n        int
	old, new *stream.Memory

	mu      sync.Mutex
	live    []events.Partition
	changed chan struct{}
}

func (g *grown) Layout() ([]events.Partition, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.live), g.changed
}

// lay sets which partitions are live, and which of them sealed.
func (g *grown) lay(live ...events.Partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live = live
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *grown) of(p int) (*stream.Memory, int) {
	if p < g.n {
		return g.old, p
	}
	return g.new, p - g.n
}

// Last is one more than the newest event: that one was erased.
func (g *grown) Last(ctx context.Context, p int) (uint64, error) {
	m, q := g.of(p)
	last, err := m.Last(ctx, q)
	return last + 1, err
}

func (g *grown) At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error) {
	m, q := g.of(p)
	st, ok, err := m.At(ctx, q, seq)
	st.Partition = p
	return st, ok, err
}

func (g *grown) Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error {
	m, q := g.of(p)
	return m.Read(ctx, q, after, func(st events.Stored) error {
		st.Partition = p
		return fn(st)
	})
}
