package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"carehub/events"
)

const (
	pageSize  = 128 << 10 // bytes of a page before it is compressed, unless one event has more
	partSize  = 256 << 10 // bytes of each part of a volume but the last. The shape is a promise: extents count on it
	falseHits = 0.001     // of look-ups for an event that a volume does not hold, how many read a page in vain
)

// info is what the archive's record says of a volume. The shape is a promise.
type info struct {
	Number int    `json:"n"`
	Level  int    `json:"level"` // how often its events were merged
	Events int    `json:"events"`
	Bytes  int    `json:"bytes"`
	Pages  int    `json:"pages"`
	Index  extent `json:"index"`  // the first shelf and the extent of each page, as compressed JSON
	Filter extent `json:"filter"` // a Bloom filter of ids and patients
	Heads  extent `json:"heads"`  // of each patient, the newest event of each kind; see heads
	// Oldest is when the oldest event of each kind was recorded, Newest when the newest of all was, zero in a volume that was
	// written before there was this; Swept when the volume was last looked through for events
	// that have had their time.
	Oldest map[events.Kind]time.Time `json:"oldest"`
	Newest time.Time                 `json:"newest,omitzero"`
	Swept  time.Time                 `json:"swept,omitzero"`
}

// extent is where in a volume something is, its parts joined.
type extent struct {
	At   int `json:"at"`
	Size int `json:"n"` // both in bytes
}

// leaf is a page in a volume's index.
type leaf struct {
	Shelf string `json:"k"` // of its first event
	extent
}

// pages is where volumes are kept.
type pages interface {
	CreateVolume(ctx context.Context, v int) error
	AppendVolume(ctx context.Context, v int, last uint64, parts [][]byte) error
	ReadVolume(ctx context.Context, v int, first uint64, n int) ([]byte, error)
	DropVolume(ctx context.Context, v int) error
	Volumes(ctx context.Context) ([]int, error)
}

// volume is a part of the archive that does not change, open for reading: its events by shelf, and there in the order of
// acceptance.
type volume struct {
	info
	in     pages
	index  []leaf
	filter *bloom.BloomFilter
}

func openVolume(ctx context.Context, in pages, about info) (*volume, error) {
	v := &volume{info: about, in: in, filter: &bloom.BloomFilter{}}
	all := v.reader()
	index, err := all.read(ctx, about.Index)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(index, &v.index); err != nil || len(v.index) != about.Pages {
		return nil, unreadable(err)
	}
	filter, err := all.bytes(ctx, about.Filter)
	if err != nil {
		return nil, err
	}
	if _, err := v.filter.ReadFrom(bytes.NewReader(filter)); err != nil {
		return nil, unreadable(err)
	}
	return v, nil
}

// reader reads a volume. It keeps the parts that it read last, in which the neighbours of a page mostly are, too: JetStream
// copies a part several times on its way. Not for concurrent use.
type reader struct {
	*volume
	first, last int    // parts kept
	parts       []byte // joined
}

func (v *volume) reader() *reader { return &reader{volume: v} }

// read returns what was compressed at an extent.
func (r *reader) read(ctx context.Context, at extent) ([]byte, error) {
	b, err := r.bytes(ctx, at)
	if err != nil {
		return nil, err
	}
	return expand(b)
}

// bytes returns what is at an extent, in memory that is to be left as it is.
func (r *reader) bytes(ctx context.Context, at extent) ([]byte, error) {
	if at.At < 0 || at.Size <= 0 {
		return nil, unreadable(errors.New("nothing is nowhere in a volume"))
	}
	first, last := at.At/partSize, (at.At+at.Size-1)/partSize
	if r.parts == nil || first < r.first || last > r.last {
		parts, err := r.in.ReadVolume(ctx, r.Number, uint64(first)+1, last-first+1) // #nosec G115 -- positive
		if err != nil {
			return nil, err
		}
		r.first, r.last, r.parts = first, last, parts
	}
	from := at.At - r.first*partSize
	if from+at.Size > len(r.parts) {
		return nil, unreadable(errors.New("a part of a volume is too short"))
	}
	return r.parts[from : from+at.Size], nil
}

func (r *reader) page(ctx context.Context, n int) ([]entry, error) {
	b, err := r.read(ctx, r.index[n].extent)
	if err != nil {
		return nil, err
	}
	return split(b)
}

// mayHold reports whether the volume may hold something under a key: an id or a patient.
func (v *volume) mayHold(key string) bool { return v.filter.TestString(key) }

// backwards calls fn with the events of a shelf that a key names, their patient's or their own id, the newest first, until it
// says no; perhaps with some that only mention it.
func (v *volume) backwards(ctx context.Context, shelf, key string, fn func(outline, entry) (more bool, err error)) error {
	pages, mention := v.reader(), []byte(`"`+key+`"`)
	for n := v.lastPage(shelf); n >= 0; n-- {
		all, err := pages.page(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(all) {
			if !bytes.Contains(e.meta, mention) {
				continue // most of a page are of others, and reading their outlines takes longer than unpacking it
			}
			o, err := e.outline()
			if err != nil {
				return err
			}
			if o.shelf() != shelf {
				continue
			}
			if more, err := fn(o, e); err != nil || !more {
				return err
			}
		}
		if v.index[n].Shelf < shelf {
			return nil // what is before this page is of shelves before
		}
	}
	return nil
}

// lastPage is the last page that may hold something of a shelf, -1 if none does.
func (v *volume) lastPage(shelf string) int {
	return sort.Search(len(v.index), func(i int) bool { return v.index[i].Shelf > shelf }) - 1
}

func (o outline) shelf() string { return shelf(o.Record.Event.Patient, o.Record.Event.ID) }

// writer makes a volume of events that come by shelf and, within it, in the order of acceptance.
type writer struct {
	info
	in     pages
	last   uint64 // part written
	index  []leaf
	filter *bloom.BloomFilter
	heads  headWriter
	page   []byte // the open page
	queue  []byte // to write
	sum    uint64 // of the entries
	paced  func(context.Context) error
}

// batchSize is how many bytes are written at once.
const batchSize = 4 << 20

// newWriter begins a volume of at most so many events.
func newWriter(ctx context.Context, in pages, about info, most int, paced func(context.Context) error) (*writer, error) {
	about.Oldest, about.Newest = map[events.Kind]time.Time{}, time.Time{}
	keys := uint(most + most/4 + 1) // #nosec G115 -- a positive count; beside its id an event has a patient, which others share
	w := &writer{info: about, in: in, filter: bloom.NewWithEstimates(keys, falseHits), paced: paced}
	return w, in.CreateVolume(ctx, about.Number)
}

func (w *writer) add(ctx context.Context, o outline, e entry) error {
	if len(w.page) == 0 {
		w.index = append(w.index, leaf{Shelf: o.shelf()})
	}
	w.page = e.appendTo(w.page)
	w.Events++
	w.sum += e.sum()
	ev := o.Record.Event
	w.filter.AddString(ev.ID)
	w.filter.AddString(ev.Patient)
	w.heads.add(o)
	if first, ok := w.Oldest[ev.Kind]; !ok || ev.Recorded.Before(first) {
		w.Oldest[ev.Kind] = ev.Recorded
	}
	if ev.Recorded.After(w.Newest) {
		w.Newest = ev.Recorded
	}
	if len(w.page) < pageSize {
		return nil
	}
	return w.closePage(ctx)
}

func (w *writer) closePage(ctx context.Context) error {
	if len(w.page) == 0 {
		return nil
	}
	at, err := w.write(ctx, compress(w.page))
	w.index[len(w.index)-1].extent = at
	w.page = w.page[:0]
	return err
}

// write queues b, and writes the queue when there is enough of it.
func (w *writer) write(ctx context.Context, b []byte) (extent, error) {
	at := extent{At: w.Bytes, Size: len(b)}
	w.queue = append(w.queue, b...)
	w.Bytes += len(b)
	if len(w.queue) < batchSize {
		return at, nil
	}
	return at, w.flush(ctx, len(w.queue)/partSize*partSize)
}

// flush writes so many bytes of the queue, as parts.
func (w *writer) flush(ctx context.Context, n int) error {
	parts := slices.Collect(slices.Chunk(w.queue[:n], partSize))
	if err := w.in.AppendVolume(ctx, w.Number, w.last, parts); err != nil {
		return err
	}
	w.last += uint64(len(parts))
	w.queue = slices.Clone(w.queue[n:])
	return w.paced(ctx)
}

// finish closes the volume, and reads everything again to see that it is all there.
func (w *writer) finish(ctx context.Context) (*volume, error) {
	if err := w.close(ctx); err != nil {
		return nil, err
	}
	return w.verify(ctx)
}

// close writes what is left, and what the pages are found by.
func (w *writer) close(ctx context.Context) error {
	if err := w.closePage(ctx); err != nil {
		return err
	}
	w.Pages = len(w.index)
	index, err := json.Marshal(w.index)
	if err != nil {
		return err
	}
	if w.Index, err = w.write(ctx, compress(index)); err != nil {
		return err
	}
	w.heads.close()
	if w.Heads, err = w.write(ctx, compress(w.heads.packed)); err != nil {
		return err
	}
	var filter bytes.Buffer
	if _, err := w.filter.WriteTo(&filter); err != nil {
		return err
	}
	if w.Filter, err = w.write(ctx, filter.Bytes()); err != nil {
		return err
	}
	return w.flush(ctx, len(w.queue))
}

func (w *writer) verify(ctx context.Context) (*volume, error) {
	v, err := openVolume(ctx, w.in, w.info)
	if err != nil {
		return nil, err
	}
	count, sum, pages := 0, uint64(0), v.reader()
	for n := range v.index {
		all, err := pages.page(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			count++
			sum += e.sum()
		}
		if n%16 == 15 {
			if err := w.paced(ctx); err != nil {
				return nil, err
			}
		}
	}
	if count != w.Events || sum != w.sum {
		return nil, unreadable(errors.New("a volume is not as it was written"))
	}
	return v, nil
}
