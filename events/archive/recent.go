package archive

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"carehub/events"
)

// recent are the heads of what is in no volume yet, so that a new event does not wait for the store to read eight megabytes
// for what came before it. They are kept only where this process alone logs events, and asked once all that was there at the
// start has been looked through.
type recent struct {
	mu      sync.Mutex
	of      map[string]string // by patient: of each kind its place, as two uvarints, and the head as heads have it
	unsure  map[string]bool   // patients with an event that may be stored although storing it failed
	started bool              // all that was there at the start is here
}

func newRecent() *recent { return &recent{of: map[string]string{}, unsure: map[string]bool{}} }

// placed is a head and where its event stands.
type placed struct {
	place events.Place
	head  head
	bytes []byte // both, packed
}

// eachPlaced returns a patient's heads.
func eachPlaced(packed []byte) (all []placed) {
	for len(packed) > 0 {
		partition, n := binary.Uvarint(packed)
		seq, m := binary.Uvarint(packed[n:])
		h, size := firstHead(packed[n+m:])
		if size == 0 { // cannot be: they are of our own making
			return all
		}
		all = append(all, placed{events.Place{Partition: int(partition), Seq: seq}, h, packed[:n+m+size]}) // #nosec G115 -- was one
		packed = packed[n+m+size:]
	}
	return all
}

// add takes in an event that is stored. Those of one patient may come in any order.
func (r *recent) add(st events.Stored) {
	h, judged := headOf(outlineOf(st))
	if r == nil || !judged {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	patient := st.Record.Event.Patient
	packed := make([]byte, 0, 128)
	for _, known := range eachPlaced([]byte(r.of[patient])) {
		if known.head.letter != h.letter {
			packed = append(packed, known.bytes...)
		} else if !known.place.Before(st.Place()) {
			return
		}
	}
	packed = binary.AppendUvarint(packed, uint64(st.Partition)) // #nosec G115 -- never negative
	packed = binary.AppendUvarint(packed, st.Seq)
	r.of[patient] = string(h.appendTo(packed))
}

// doubt takes note that an event of a patient may or may not be stored.
func (r *recent) doubt(patient string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure[patient] = true
}

// get returns what is remembered of the newest event of a kind; sure says that nothing else can be in the store.
func (r *recent) get(patient string, kind events.Kind) (e events.Event, found, sure bool) {
	if r == nil {
		return e, false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range eachPlaced([]byte(r.of[patient])) {
		if known.head.letter == headLetters[kind] {
			e, found = known.head.event(patient, kind), true
		}
	}
	return e, found, r.started && !r.unsure[patient] && headLetters[kind] != 0
}

// keep forgets the events of all partitions but these.
func (r *recent) keep(live []events.Partition) {
	there := map[int]bool{}
	for _, p := range live {
		there[p.Number] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for patient, packed := range r.of {
		var left []byte
		for _, known := range eachPlaced([]byte(packed)) {
			if there[known.place.Partition] {
				left = append(left, known.bytes...)
			}
		}
		if len(left) == 0 {
			delete(r.of, patient)
		} else if len(left) < len(packed) {
			r.of[patient] = string(left)
		}
	}
}

// lookThrough takes in what is in the store, then forgets whatever leaves it, until ctx ends.
func (a *Archive) lookThrough(ctx context.Context) {
	live, changed := a.opt.Store.Layout()
	work := pacer{share: min(1, 2*a.opt.Share)} // the sooner it is over, the sooner nothing waits for the store
	for _, p := range live {
		for err := a.lookInto(ctx, &work, p.Number); err != nil && ctx.Err() == nil; err = a.lookInto(ctx, &work, p.Number) {
			a.opt.Log.Warn("the newest events of patients are still read as they are asked for", "partition", p.Number, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(a.opt.Every):
			}
		}
	}
	a.recent.mu.Lock()
	a.recent.started = ctx.Err() == nil
	a.recent.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		live, changed = a.opt.Store.Layout()
		a.recent.keep(live)
	}
}

func (a *Archive) lookInto(ctx context.Context, work *pacer, p int) error {
	n := 0
	err := a.opt.Store.Scan(ctx, p, func(st events.Stored) error {
		a.recent.add(st)
		if n++; n%256 == 0 {
			return work.rest(ctx)
		}
		return nil
	})
	if events.KindOf(err) == events.NotFound { // it has gone to the archive meanwhile
		return nil
	}
	return err
}
