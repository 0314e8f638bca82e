package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"carehub/events"
)

// A delivery that cannot be made soon is parked: it stays in its lane in memory as a small index, its body only in the
// store, and a page of the ledger says that it waits, so that the cursor can pass its event. A page is one recipient and
// pageSize neighbouring sequences: writing one record covers many deliveries, and being a set it can be written again
// after any crash.
const pageSize = 256

type pageKey struct {
	recipient string
	number    uint64
}

// page is the deliveries of one recipient that wait among pageSize sequences, in their order.
type page struct {
	waits []*delivery
}

func (p *page) add(d *delivery) {
	if i, found := slices.BinarySearchFunc(p.waits, d, byPlace); !found {
		p.waits = slices.Insert(p.waits, i, d)
	}
}

func (p *page) remove(d *delivery) {
	if i, found := slices.BinarySearchFunc(p.waits, d, byPlace); found {
		p.waits = slices.Delete(p.waits, i, i+1)
	}
}

// find returns the delivery of an event to a recipient of its plan, nil if it does not wait.
func (p *page) find(seq uint64, index int) *delivery {
	if i, found := slices.BinarySearchFunc(p.waits, &delivery{seq: seq, index: small(index)}, byPlace); found {
		return p.waits[i]
	}
	return nil
}

// wait is a parked delivery as the ledger keeps it. The shape is a promise.
type wait struct {
	Seq      uint64        `json:"s"`
	Patient  string        `json:"p"`
	Index    int           `json:"i"` // in the plan's recipients
	Channels []string      `json:"c"`
	Recorded int64         `json:"r"` // Unix seconds
	Due      dues          `json:"d"`
	Alarmed  bool          `json:"m,omitempty"`
	Struck   []string      `json:"x,omitempty"` // channels
	Quiet    *events.Quiet `json:"q,omitempty"`

	recipient string
}

// waits is a page as the ledger keeps it.
type waits struct {
	V    int    `json:"v"`
	Wait []wait `json:"wait"`
}

func (s *shard) page(recipient string, seq uint64) *page {
	key := pageKey{recipient, seq / pageSize}
	p := s.pages[key]
	if p == nil {
		p = &page{}
		s.pages[key] = p
	}
	return p
}

// park lets the cursor pass d's event without d. Parking again writes the page again.
func (s *shard) park(d *delivery) {
	s.change(d.lane.recipient.id, d.seq)
	if !d.parked {
		d.parked = true
		s.page(d.lane.recipient.id, d.seq).add(d)
		s.onDisk(d.lane.recipient.id, 1)
		d.event.unsettled--
		s.e.remind(d)
	}
	if d.event != nil && !d.lane.busyWith(d) && !d.done {
		s.letGo(d)
	}
}

func (s *shard) unpark(d *delivery) {
	s.onDisk(d.lane.recipient.id, -1)
	s.page(d.lane.recipient.id, d.seq).remove(d)
	s.change(d.lane.recipient.id, d.seq)
}

// change has a page written.
func (s *shard) change(recipient string, seq uint64) {
	s.changed[pageKey{recipient, seq / pageSize}] = true
	signal(s.kick)
}

// encode writes the page; nil when nothing waits any more.
func (p *page) encode() []byte {
	if len(p.waits) == 0 {
		return nil
	}
	w := waits{V: 1}
	for _, d := range p.waits {
		w.Wait = append(w.Wait, wait{Seq: d.seq, Patient: d.lane.patient, Index: int(d.index), Channels: d.channels,
			Recorded: d.recorded().Unix(), Due: d.due, Alarmed: d.alarm == alarmed, Struck: d.struck(), Quiet: d.quiet.frozen()})
	}
	b, err := json.Marshal(w)
	if err != nil {
		panic(err) // numbers and strings only
	}
	return b
}

func byOrder(a, b wait) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index)) }

// readPages returns everything parked, in the order of acceptance.
func (s *shard) readPages(ctx context.Context) ([]wait, error) {
	prefix := fmt.Sprintf("park.%d.", s.p)
	entries, err := s.e.opt.Ledger.List(ctx, s.p, prefix)
	if err != nil {
		return nil, err
	}
	channels := map[string][]string{} // shared: a hundred thousand deliveries have few lists of channels
	var all []wait
	for _, en := range entries {
		recipient, _, ok := strings.Cut(strings.TrimPrefix(en.Key, prefix), ".")
		var w waits
		if err := json.Unmarshal(en.Value, &w); err != nil || !ok || w.V != 1 {
			return nil, fmt.Errorf("park record %s cannot be read by this build", en.Key)
		}
		for i := range w.Wait {
			w.Wait[i].recipient = recipient
			list := strings.Join(w.Wait[i].Channels, " ")
			if channels[list] == nil {
				channels[list] = w.Wait[i].Channels
			}
			w.Wait[i].Channels = channels[list]
		}
		all = append(all, w.Wait...)
	}
	slices.SortStableFunc(all, byOrder)
	return all, nil
}

// dirtyPages encodes the pages that have changed, and names them so that a failed write can be repeated.
func (s *shard) dirtyPages() (entries []events.Entry, keys []pageKey) {
	for key := range s.changed {
		p := s.page(key.recipient, key.number*pageSize)
		keys = append(keys, key)
		entries = append(entries, events.Entry{Key: events.ParkSubject(s.p, key.recipient, key.number), Value: p.encode()})
		if len(p.waits) == 0 {
			delete(s.pages, key)
		}
	}
	clear(s.changed)
	return entries, keys
}
