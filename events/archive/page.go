package archive

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"carehub/events"
)

// A page is neighbouring entries, compressed together with zstd (RFC 8878). An entry is
//
//	length of meta, 4 bytes, big endian | meta as JSON | length of the message, 4 bytes | the message as it was stored
//
// The shape is a promise.

// meta is all that is known of an event beside its message.
type meta struct {
	Partition int              `json:"p"` // with Seq: its place in the order of acceptance
	Seq       uint64           `json:"s"`
	Record    events.Record    `json:"record"`
	Outcomes  []events.Outcome `json:"out"` // of the recipients, in the order of the plan
}

// outline is what of a meta decides about the event's place in the archive and how long it stays there.
type outline struct {
	Partition int    `json:"p"`
	Seq       uint64 `json:"s"`
	Record    struct {
		Event struct {
			ID       string
			Patient  string
			Kind     events.Kind
			Stay     string
			Occurred time.Time
			Recorded time.Time
			Flags    []events.Flag
			Test     bool
			Corrects string
		}
		Plan struct {
			About *events.About // of an alarm
		}
	} `json:"record"`
}

func outlineOf(st events.Stored) (o outline) {
	o.Partition, o.Seq = st.Partition, st.Seq
	from, to := &st.Record.Event, &o.Record.Event
	to.ID, to.Patient, to.Kind, to.Stay = from.ID, from.Patient, from.Kind, from.Stay
	to.Occurred, to.Recorded, to.Flags, to.Test = from.Occurred, from.Recorded, from.Flags, from.Test
	to.Corrects = from.Corrects
	o.Record.Plan.About = st.Record.Plan.About
	return o
}

func (o outline) late() bool { return slices.Contains(o.Record.Event.Flags, events.FlagLate) }

func (o outline) place() events.Place { return events.Place{Partition: o.Partition, Seq: o.Seq} }

// entry is one event as bytes: meta and message.
type entry struct{ meta, message []byte }

func newEntry(st events.Stored, outcomes []events.Outcome) (entry, error) {
	if outcomes == nil {
		outcomes = []events.Outcome{}
	}
	m, err := json.Marshal(meta{Partition: st.Partition, Seq: st.Seq, Record: st.Record, Outcomes: outcomes})
	return entry{meta: m, message: st.Message}, err
}

func (e entry) stored() (events.Stored, error) {
	var m meta
	if err := json.Unmarshal(e.meta, &m); err != nil {
		return events.Stored{}, unreadable(err)
	}
	if m.Record.V > events.RecordVersion {
		return events.Stored{}, unreadable(errors.New("a record of a newer version"))
	}
	return events.Stored{Partition: m.Partition, Seq: m.Seq, Record: m.Record, Message: e.message, Outcomes: m.Outcomes}, nil
}

func (e entry) outline() (outline, error) {
	var o outline
	if err := json.Unmarshal(e.meta, &o); err != nil {
		return o, unreadable(err)
	}
	return o, nil
}

// appendTo adds the entry to an open page.
func (e entry) appendTo(page []byte) []byte {
	for _, part := range [][]byte{e.meta, e.message} {
		page = binary.BigEndian.AppendUint32(page, uint32(len(part))) // #nosec G115 -- below 1 GB: limits of the store
		page = append(page, part...)
	}
	return page
}

// sum is a checksum of the entry, in this process; those of many add up in any order.
func (e entry) sum() uint64 { return maphash.Bytes(seed, e.meta) + 3*maphash.Bytes(seed, e.message) }

var seed = maphash.MakeSeed()

// split takes an uncompressed page apart. The entries share its memory.
func split(page []byte) ([]entry, error) {
	var all []entry
	next := func() ([]byte, bool) {
		if len(page) < 4 {
			return nil, false
		}
		n := 4 + int(binary.BigEndian.Uint32(page)) // #nosec G115 -- compared with what there is
		if n > len(page) {
			return nil, false
		}
		part := page[4:n:n]
		page = page[n:]
		return part, true
	}
	for len(page) > 0 {
		m, ok := next()
		message, also := next()
		if !ok || !also {
			return nil, unreadable(errors.New("a page ends in the middle"))
		}
		all = append(all, entry{meta: m, message: message})
	}
	return all, nil
}

// shelf is the key under which an event stands in a volume: its patient; of the many alarms, which have no patient, a
// part of the id.
func shelf(patient, id string) string {
	if patient == events.HubPatient && len(id) > 6 {
		return patient + "/" + strings.TrimPrefix(id, "al-")[:3]
	}
	return patient
}

// window is how far back what is compressed looks for its like: a page and more. Each encoder keeps twice as much in memory.
const window = 1 << 20

var (
	squeezer = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true)))
	expander = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<30)))
)

// must is for makers that fail only on wrong options.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

func compress(b []byte) []byte { return squeezer.EncodeAll(b, nil) }

func expand(b []byte) ([]byte, error) {
	out, err := expander.DecodeAll(b, nil)
	if err != nil {
		return nil, unreadable(err)
	}
	return out, nil
}

func unreadable(err error) error {
	return &events.Error{Kind: events.Internal, Message: "A part of the archive cannot be read.", Err: err}
}
