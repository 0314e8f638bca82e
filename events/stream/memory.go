package stream

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"carehub/events"
)

// Memory is a Store that forgets, for tests: the same methods with the same meaning, by a lock and slices. It starts no
// goroutine and knows no time, so that it works inside a testing/synctest bubble.
type Memory struct {
	mu      sync.Mutex
	format  format
	grown   chan struct{}             // closed and replaced when the layout changes
	events  map[int][]written         // by partition; sequence 1 is first
	ledger  map[int]map[string][]byte // by partition
	hub     []written                 // revision 1 is first
	newest  map[string]int            // index in hub of a key's newest value
	notices [][]byte                  // sequence 1 is first; nil: trimmed
	places  map[string]place          // of events, by id
	changed chan struct{}             // closed and replaced at every write
	closed  bool
}

type place struct {
	partition int
	seq       uint64
}

// written is one message: an event with its headers, a part of a plan, or a record of the hub.
type written struct {
	subject string
	headers nats.Header
	data    []byte
}

// NewMemory returns an empty Memory.
func NewMemory(partitions int) *Memory {
	m := &Memory{format: newFormat(partitions), grown: make(chan struct{}), events: map[int][]written{}, ledger: map[int]map[string][]byte{},
		newest: map[string]int{}, places: map[string]place{}, changed: make(chan struct{})}
	m.stand(m.format.newest())
	return m
}

func (m *Memory) stand(g generation) {
	for p := g.First; p < g.First+g.Partitions; p++ {
		m.events[p], m.ledger[p] = []written{}, map[string][]byte{}
	}
}

// Close is as in Store.
func (m *Memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}

// enter takes the lock; leave it with m.mu.Unlock if there is no error.
func (m *Memory) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return away(err)
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return closed()
	}
	return nil
}

func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Publish is as in Store.
func (m *Memory) Publish(ctx context.Context, rec events.Record, message []byte) (_ events.Stored, created bool, _ error) {
	if err := m.enter(ctx); err != nil {
		return events.Stored{}, false, err
	}
	defer m.mu.Unlock()
	p, err := pack(rec, message, m.format.newest())
	if err != nil {
		return events.Stored{}, false, err
	}
	if at, ok := m.places[rec.Event.ID]; ok {
		first, _, err := m.at(at.partition, at.seq)
		return first, false, err
	}
	log := m.events[p.partition]
	for n, chunk := range p.chunks {
		log = append(log, written{subject: events.PlanSubject(p.partition, rec.Event.Patient, rec.Event.ID, n), data: chunk})
	}
	log = append(log, written{subject: p.subject, headers: p.headers(), data: slices.Clone(p.body)})
	m.events[p.partition] = log
	m.places[rec.Event.ID] = place{p.partition, uint64(len(log))}
	m.wake()
	stored, _, err := m.at(p.partition, uint64(len(log)))
	return stored, err == nil, err
}

// at reads the event at a sequence. The lock is held.
func (m *Memory) at(p int, seq uint64) (events.Stored, bool, error) {
	if seq == 0 || seq > uint64(len(m.events[p])) {
		return events.Stored{}, false, nil
	}
	w := m.events[p][seq-1]
	if _, _, _, ok := events.ParseCare(w.subject); !ok {
		return events.Stored{}, false, nil
	}
	stored, err := unpack(p, seq, w.headers, w.data, func(subject string) ([]byte, error) {
		i := slices.IndexFunc(m.events[p], func(w written) bool { return w.subject == subject })
		return m.events[p][i].data, nil
	})
	return stored, err == nil, err
}

// Find is as in Store.
func (m *Memory) Find(ctx context.Context, id string) (events.Stored, error) {
	if err := m.enter(ctx); err != nil {
		return events.Stored{}, err
	}
	defer m.mu.Unlock()
	at, ok := m.places[id]
	if !ok {
		return events.Stored{}, missing()
	}
	stored, _, err := m.at(at.partition, at.seq)
	return stored, err
}

// Latest is as in Store.
func (m *Memory) Latest(ctx context.Context, patient string, kind events.Kind) (events.Stored, bool, error) {
	if err := m.enter(ctx); err != nil {
		return events.Stored{}, false, err
	}
	defer m.mu.Unlock()
	for _, p := range m.format.chain(patient) {
		for i, w := range slices.Backward(m.events[p]) {
			if of, _, what, ok := events.ParseCare(w.subject); ok && of == patient && what == kind {
				return m.at(p, uint64(i)+1) // #nosec G115 -- an index
			}
		}
	}
	return events.Stored{}, false, nil
}

// At is as in Store.
func (m *Memory) At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error) {
	if err := m.enter(ctx); err != nil {
		return events.Stored{}, false, err
	}
	defer m.mu.Unlock()
	if err := m.check(p); err != nil {
		return events.Stored{}, false, err
	}
	return m.at(p, seq)
}

// Last is as in Store.
func (m *Memory) Last(ctx context.Context, p int) (uint64, error) {
	if err := m.enter(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	return uint64(len(m.events[p])), m.check(p)
}

// Read is as in Store.
func (m *Memory) Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error {
	return m.follow(ctx, func() func() error {
		if after >= uint64(len(m.events[p])) {
			return nil
		}
		after++
		stored, ok, err := m.at(p, after)
		if !ok {
			return func() error { return err }
		}
		return func() error { return fn(stored) }
	})
}

// follow does what next, which is called with the lock held, finds to do, and waits for a write when that is nothing.
func (m *Memory) follow(ctx context.Context, next func() func() error) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := m.enter(ctx); err != nil {
			return err
		}
		do, changed := next(), m.changed
		m.mu.Unlock()
		if do != nil {
			if err := do(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// Put is as in Store.
func (m *Memory) Put(ctx context.Context, p int, entries []events.Entry) error {
	for _, e := range entries {
		if err := checkKey(p, e.Key); err != nil {
			return err
		}
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := m.check(p); err != nil {
		return err
	}
	for _, e := range entries {
		if len(e.Value) == 0 {
			delete(m.ledger[p], e.Key)
		} else {
			m.ledger[p][e.Key] = slices.Clone(e.Value)
		}
	}
	return nil
}

// Get is as in Store.
func (m *Memory) Get(ctx context.Context, p int, key string) ([]byte, bool, error) {
	if err := checkKey(p, key); err != nil {
		return nil, false, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, false, err
	}
	defer m.mu.Unlock()
	value, ok := m.ledger[p][key]
	return slices.Clone(value), ok, m.check(p)
}

// List is as in Store.
func (m *Memory) List(ctx context.Context, p int, prefix string) ([]events.Entry, error) {
	if !strings.HasSuffix(prefix, ".") {
		return nil, invalid("A prefix ends with a dot.")
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	found := maps.Clone(m.ledger[p])
	maps.DeleteFunc(found, func(key string, _ []byte) bool { return !strings.HasPrefix(key, prefix) })
	return sorted(found), m.check(p)
}

// Has is as in Store.
func (m *Memory) Has(ctx context.Context, p int, prefix string) (bool, error) {
	found, err := m.List(ctx, p, prefix)
	return len(found) > 0, err
}

// HubPut is as in Store.
func (m *Memory) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := checkHub(key, value); err != nil {
		return 0, err
	}
	if err := m.enter(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if _, now, _ := m.hubValue(key); now != revision {
		return 0, conflict()
	}
	return m.hubPut(key, value), nil
}

// hubValue gives the newest value and revision, none for a deleted key. The lock is held.
func (m *Memory) hubValue(key string) (value []byte, revision uint64, ok bool) {
	i, ok := m.newest[key]
	if !ok || len(m.hub[i].data) == 0 {
		return nil, 0, false
	}
	return slices.Clone(m.hub[i].data), uint64(i) + 1, true // #nosec G115 -- an index
}

func (m *Memory) hubPut(key string, value []byte) uint64 {
	m.newest[key] = len(m.hub)
	m.hub = append(m.hub, written{subject: key, data: slices.Clone(value)})
	m.wake()
	return uint64(len(m.hub))
}

// HubGet is as in Store.
func (m *Memory) HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error) {
	if err := m.enter(ctx); err != nil {
		return nil, 0, false, err
	}
	defer m.mu.Unlock()
	value, revision, ok = m.hubValue(key)
	return value, revision, ok, nil
}

// HubDelete is as in Store.
func (m *Memory) HubDelete(ctx context.Context, key string) error {
	if err := checkHub(key, []byte{0}); err != nil {
		return err
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.hubPut(key, nil)
	return nil
}

// HubList is as in Store.
func (m *Memory) HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error {
	if !strings.HasSuffix(prefix, ".") {
		return invalid("A prefix ends with a dot.")
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	all := slices.Clone(m.hub)
	for i, w := range all {
		if m.newest[w.subject] != i || !strings.HasPrefix(w.subject, prefix) {
			all[i].data = nil
		}
	}
	m.mu.Unlock()
	for i, w := range all {
		if len(w.data) > 0 {
			fn(w.subject, slices.Clone(w.data), uint64(i)+1) // #nosec G115 -- an index
		}
	}
	return nil
}

// HubErase is as in Store.
func (m *Memory) HubErase(ctx context.Context, key string, revision uint64) error {
	if err := checkHub(key, []byte{0}); err != nil {
		return err
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if _, now, ok := m.hubValue(key); ok && now == revision {
		delete(m.newest, key)
		m.hub[revision-1].data = nil
	}
	return nil
}

// HubWatch is as in Store.
func (m *Memory) HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error {
	if !strings.HasSuffix(prefix, ".") {
		return invalid("A prefix ends with a dot.")
	}
	seen, announced := 0, false
	return m.follow(ctx, func() func() error {
		for ; seen < len(m.hub); seen++ {
			w := m.hub[seen]
			current := m.newest[w.subject] == seen && (announced || len(w.data) > 0)
			if current && strings.HasPrefix(w.subject, prefix) {
				seen++
				return func() error { fn(w.subject, slices.Clone(w.data)); return nil }
			}
		}
		if announced {
			return nil
		}
		announced = true
		return func() error { ready(); return nil }
	})
}
