package archive

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// recent is what is in no volume yet, by patient: the heads, so that a new event does not wait for the store to read eight
// megabytes for what came before it, and where each event stands, since of what it holds of a patient the store makes an index
// of all that came after the first. It is kept only where this process alone logs events, and asked once all that was there at
// the start has been looked through.
type recent struct {
	mu      sync.Mutex
	of      map[string]known // by patient
	unsure  map[string]bool  // patients with an event that may be stored although storing it failed
	logging map[string]int   // events of patients that are being stored, and may be already
	started bool             // all that was there at the start is here
}

// known is what is remembered of a patient.
type known struct {
	heads  string // of each kind its place, as two uvarints, and the head as heads have it
	places []byte // of each event, as two uvarints; of one that was stored during the look at what was there perhaps twice
}

func newRecent() *recent {
	return &recent{of: map[string]known{}, unsure: map[string]bool{}, logging: map[string]int{}}
}

// placed is a head and where its event stands.
type placed struct {
	place events.Place
	head  head
	bytes []byte // both, packed
}

// eachPlaced returns a patient's heads.
func eachPlaced(packed []byte) (all []placed) {
	for len(packed) > 0 {
		place, n := firstPlace(packed)
		h, size := firstHead(packed[n:])
		if size == 0 { // cannot be: they are of our own making
			return all
		}
		all = append(all, placed{place, h, packed[:n+size]})
		packed = packed[n+size:]
	}
	return all
}

func firstPlace(packed []byte) (at events.Place, size int) {
	partition, n := binary.Uvarint(packed)
	seq, m := binary.Uvarint(packed[n:])
	return events.Place{Partition: int(partition), Seq: seq}, n + m // #nosec G115 -- was one
}

func appendPlace(packed []byte, at events.Place) []byte {
	packed = binary.AppendUvarint(packed, uint64(at.Partition)) // #nosec G115 -- never negative
	return binary.AppendUvarint(packed, at.Seq)
}

// add takes in an event that is stored. Those of one patient may come in any order.
func (r *recent) add(st events.Stored) {
	patient := st.Record.Event.Patient
	if r == nil || patient == events.HubPatient {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of[patient]
	k.places = appendPlace(k.places, st.Place())
	k.heads = withHead(k.heads, st)
	r.of[patient] = k
}

// withHead adds the head of an event to those of a patient, if it is one and newer than that of its kind.
func withHead(heads string, st events.Stored) string {
	h, judged := headOf(outlineOf(st))
	if !judged {
		return heads
	}
	packed := make([]byte, 0, 128)
	for _, old := range eachPlaced([]byte(heads)) {
		if old.head.letter != h.letter {
			packed = append(packed, old.bytes...)
		} else if !old.place.Before(st.Place()) {
			return heads
		}
	}
	return string(h.appendTo(appendPlace(packed, st.Place())))
}

// begin takes note that an event of a patient is being stored, until end: somebody may have been told of it before it is here.
func (r *recent) begin(patient string) (end func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logging[patient]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.logging[patient]--; r.logging[patient] == 0 {
			delete(r.logging, patient)
		}
	}
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
	for _, placed := range eachPlaced([]byte(r.of[patient].heads)) {
		if placed.head.letter == headLetters[kind] {
			e, found = placed.head.event(patient, kind), true
		}
	}
	return e, found, r.started && !r.unsure[patient] && headLetters[kind] != 0
}

// newest returns where the newest events of a patient stand, newest first, at most limit of them and only those before a
// place unless that is zero; sure says that nothing else can be in the store.
func (r *recent) newest(patient string, before events.Place, limit int) (places []events.Place, sure bool) {
	if r == nil || patient == events.HubPatient {
		return nil, false
	}
	r.mu.Lock()
	sure = r.started && !r.unsure[patient] && r.logging[patient] == 0
	packed := r.of[patient].places // only ever appended to
	r.mu.Unlock()
	if !sure {
		return nil, false
	}
	for len(packed) > 0 {
		at, size := firstPlace(packed)
		if packed = packed[size:]; before.IsZero() || at.Before(before) {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(x, y events.Place) int {
		return cmp.Or(cmp.Compare(y.Partition, x.Partition), cmp.Compare(y.Seq, x.Seq))
	})
	places = slices.Compact(places)
	return places[:min(limit, len(places))], true
}

// keep forgets the events of all partitions but those of the layout, which it asks for itself: an event in a partition that is
// not in there yet is added later.
func (r *recent) keep(layout func() ([]events.Partition, <-chan struct{})) (changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	live, changed := layout()
	there := map[int]bool{}
	for _, p := range live {
		there[p.Number] = true
	}
	for patient, k := range r.of {
		if k.within(there) {
			continue
		}
		if left := k.in(there); len(left.places) == 0 {
			delete(r.of, patient)
		} else {
			r.of[patient] = left
		}
	}
	return changed
}

// within reports whether all of k is in some partitions.
func (k known) within(partitions map[int]bool) bool {
	for packed := k.places; len(packed) > 0; {
		at, size := firstPlace(packed)
		if !partitions[at.Partition] {
			return false
		}
		packed = packed[size:]
	}
	return true
}

// in is what is left of k in some partitions.
func (k known) in(partitions map[int]bool) (left known) {
	for packed := k.places; len(packed) > 0; {
		at, size := firstPlace(packed)
		if partitions[at.Partition] {
			left.places = append(left.places, packed[:size]...)
		}
		packed = packed[size:]
	}
	var heads []byte
	for _, placed := range eachPlaced([]byte(k.heads)) {
		if partitions[placed.place.Partition] {
			heads = append(heads, placed.bytes...)
		}
	}
	left.heads = string(heads)
	return left
}

// lookThrough takes in what is in the store, then forgets whatever leaves it, until ctx ends.
func (a *Archive) lookThrough(ctx context.Context) {
	live, changed := a.opt.Store.Layout()
	work := pacer{share: min(1, 2*a.opt.Share)} // the sooner it is over, the sooner nothing waits for the store
	for _, p := range live {
		seen := uint64(0)
		for err := a.lookInto(ctx, &work, p.Number, &seen); err != nil && ctx.Err() == nil; err = a.lookInto(ctx, &work, p.Number, &seen) {
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
		changed = a.recent.keep(a.opt.Store.Layout)
	}
}

// lookInto takes in a partition's events after seen, which it takes along.
func (a *Archive) lookInto(ctx context.Context, work *pacer, p int, seen *uint64) error {
	n := 0
	err := a.opt.Store.Scan(ctx, p, func(st events.Stored) error {
		if st.Seq > *seen {
			a.recent.add(st)
			*seen = st.Seq
		}
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
