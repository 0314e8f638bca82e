package stream

import (
	"context"
	"sync"
	"time"

	"carehub/events"
)

// tailSize is how many of a partition's newest events stay at hand.
const tailSize = 512

// tail holds the newest events of a partition as they were published, so that its reader need not fetch each of them
// back from the store. That is right only where all events are written by this process: nil for an external server.
//
// What it holds may have gaps, but never at the end unnoticed: a publish whose fate is unknown empties it, and what was
// under way by then is not taken in.
type tail struct {
	mu      sync.Mutex
	age     int // raised whenever it is emptied
	newest  uint64
	events  map[uint64]*events.Stored // nil for what belongs to a plan
	changed chan struct{}             // closed by the next change; nil while nobody waits
}

// started returns what added needs to know of when a publish began.
func (t *tail) started() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.age
}

// added takes in an event that is stored, after so many chunks of its plan.
func (t *tail) added(age int, st *events.Stored, chunks int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if age != t.age {
		return
	}
	t.put(st.Seq, st)
	for n := range min(chunks, tailSize) {
		t.put(st.Seq-1-uint64(n), nil) // #nosec G115 -- small
	}
	t.wakeReaders()
}

func (t *tail) put(seq uint64, st *events.Stored) {
	if len(t.events) == 0 {
		t.newest = seq
	}
	for t.newest < seq {
		t.newest++
		if t.newest > tailSize {
			delete(t.events, t.newest-tailSize)
		}
	}
	if seq+tailSize > t.newest {
		t.events[seq] = st
	}
}

// Trim lets go of the events that are at hand. Readers who want them get them from the store.
func (s *Store) Trim() {
	for _, t := range s.layout.Load().tails {
		t.empty()
	}
}

// empty lets go of everything. So it must be when a publish ends in an error: its event may be stored all the same, with
// nothing to show for it here.
func (t *tail) empty() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age++
	t.newest = 0
	clear(t.events)
	t.wakeReaders()
}

func (t *tail) wakeReaders() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// follows reports whether a reader who has come to seq can go on from here.
func (t *tail) follows(seq uint64) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, next := t.events[seq+1]
	return next || seq > 0 && seq == t.newest
}

// closeGap is how long a reader waits for an event that is stored, as a later one is here, but not here itself yet.
const closeGap = 5 * time.Millisecond

// read calls fn with each event after a sequence for as long as the tail has the next one or can wait for it. It returns
// how far it came; with a nil error the store has to be asked for what comes then.
func (t *tail) read(ctx context.Context, after uint64, fn func(events.Stored) error) (uint64, error) {
	var patience <-chan time.Time
	for {
		st, have, gap, changed := t.next(after)
		switch {
		case have:
			after, patience = after+1, nil
			if err := give(ctx, st, fn); err != nil {
				return after, err
			}
			continue
		case changed == nil:
			return after, nil
		case gap && patience == nil:
			patience = time.After(closeGap)
		}
		select {
		case <-changed:
		case <-patience:
			return after, nil
		case <-ctx.Done():
			return after, context.Cause(ctx)
		}
	}
}

func give(ctx context.Context, st *events.Stored, fn func(events.Stored) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if st == nil {
		return nil
	}
	return fn(*st)
}

// next returns what is stored after a sequence. If that is not here, it says whether something later is, and returns a
// channel that is closed at the next change; none if it will never be here.
func (t *tail) next(after uint64) (st *events.Stored, have, gap bool, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if st, have = t.events[after+1]; have {
		return st, true, false, nil
	}
	if t.newest < after || t.newest >= after+tailSize {
		return nil, false, false, nil
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return nil, false, t.newest > after, t.changed
}
