package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// heads are, of each patient, what the next event is judged by: the newest event of each kind, a few dozen bytes. The
// archive has them in memory, so that a new event waits for no volume to be read. In a volume they are compressed
// together, those of one patient behind another:
//
//	length of patient | patient | length of heads | head of each kind, once
//
// A head is
//
//	letter of the kind | what holds, a byte | occurred, nanoseconds since 1970 | recorded, since occurred | length of stay | stay
//
// with numbers as in encoding/binary's Append(U)varint. The shape is a promise.
type heads struct {
	mu sync.RWMutex
	of map[string]string // by patient, packed
}

// What holds of a head.
const (
	headTest  = 1 << iota
	headLate  // told late
	headOwner // the stay is an event's of this patient, less what its id begins with
	headFixes // it corrects another
)

// headLetters are the kinds that later events are judged by.
var headLetters = map[events.Kind]byte{events.Admission: 'i', events.Attendance: 'a', events.Discharge: 'o', events.Fall: 'f'}

func newHeads() *heads { return &heads{of: map[string]string{}} }

// get returns what is remembered of the newest event of a kind.
func (h *heads) get(patient string, kind events.Kind) (e events.Event, found bool) {
	h.mu.RLock()
	packed := h.of[patient]
	h.mu.RUnlock()
	_ = eachHead([]byte(packed), func(h head, _ []byte) {
		if h.letter == headLetters[kind] {
			e, found = h.event(patient, kind), true
		}
	})
	return e, found
}

// add takes in the heads of a volume, which are newer than all that are there.
func (h *heads) add(volume []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(volume) > 0 {
		patient, rest, ok := cut(volume)
		newer, rest, also := cut(rest)
		if !ok || !also {
			return errHeads
		}
		volume = rest
		packed, err := newest(newer, []byte(h.of[string(patient)]))
		if err != nil {
			return err
		}
		h.of[string(patient)] = packed
	}
	return nil
}

// newest is the newer heads, and those of the older whose kind is not among them.
func newest(newer, older []byte) (string, error) {
	var there [256]bool
	if err := eachHead(newer, func(h head, _ []byte) { there[h.letter] = true }); err != nil {
		return "", err
	}
	all := newer[:len(newer):len(newer)]
	err := eachHead(older, func(h head, packed []byte) {
		if !there[h.letter] {
			all = append(all, packed...)
		}
	})
	return string(all), err
}

var errHeads = unreadable(errors.New("the newest events of a volume's patients"))

// cut takes what follows its length off b.
func cut(b []byte) (some, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	rest = b[max(size, 0):]
	if size <= 0 || n > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n], rest[n:], true
}

func appendCut(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// eachHead calls fn with each of a patient's heads, as it is and packed.
func eachHead(packed []byte, fn func(h head, packed []byte)) error {
	for len(packed) > 0 {
		h, size := firstHead(packed)
		if size == 0 {
			return errHeads
		}
		fn(h, packed[:size])
		packed = packed[size:]
	}
	return nil
}

// firstHead returns the first of packed heads and its length; 0 if it cannot be read.
func firstHead(packed []byte) (h head, size int) {
	if len(packed) < 2 {
		return h, 0
	}
	rest := packed[2:]
	occurred, n := binary.Varint(rest)
	since, m := binary.Varint(rest[max(n, 0):])
	if n <= 0 || m <= 0 {
		return h, 0
	}
	stay, rest, ok := cut(rest[n+m:])
	if !ok {
		return h, 0
	}
	return head{letter: packed[0], holds: packed[1], occurred: time.Unix(0, occurred), recorded: time.Unix(0, occurred+since), stay: stay},
		len(packed) - len(rest)
}

// head is what is remembered of one event.
type head struct {
	letter, holds      byte
	occurred, recorded time.Time
	stay               []byte
}

// headOf returns what is remembered of an event, if later ones are judged by it.
func headOf(o outline) (h head, judged bool) {
	ev := &o.Record.Event
	h = head{letter: headLetters[ev.Kind], occurred: ev.Occurred, recorded: ev.Recorded}
	if ev.Test {
		h.holds |= headTest
	}
	if o.late() {
		h.holds |= headLate
	}
	if ev.Corrects != "" {
		h.holds |= headFixes
	}
	stay, own := strings.CutPrefix(ev.Stay, ownPrefix(ev.Patient))
	if h.stay = []byte(stay); own {
		h.holds |= headOwner
	}
	return h, h.letter != 0
}

// appendTo packs the head.
func (h head) appendTo(b []byte) []byte {
	b = append(b, h.letter, h.holds)
	b = binary.AppendVarint(b, h.occurred.UnixNano())
	b = binary.AppendVarint(b, int64(h.recorded.Sub(h.occurred)))
	return appendCut(b, h.stay)
}

func (h head) event(patient string, kind events.Kind) events.Event {
	e := events.Event{Patient: patient, Kind: kind, Test: h.holds&headTest != 0, Stay: string(h.stay),
		Occurred: h.occurred.UTC(), Recorded: h.recorded.UTC()}
	if h.holds&headOwner != 0 {
		e.Stay = ownPrefix(patient) + e.Stay
	}
	if h.holds&headFixes != 0 {
		e.Correction = events.Retracted // or another: whoever asks has to look
	}
	if h.holds&headLate != 0 {
		e.Flags = []events.Flag{events.FlagLate}
	}
	return e
}

// ownPrefix is what the ids of a patient's events begin with.
func ownPrefix(patient string) string { return "ev-" + strings.TrimPrefix(patient, "p-") + "-" }

// headWriter packs the heads of a volume, whose events come by patient.
type headWriter struct {
	packed  []byte
	patient string
	newest  map[byte]head
}

func (w *headWriter) add(o outline) {
	h, judged := headOf(o)
	if !judged {
		return
	}
	if patient := o.Record.Event.Patient; patient != w.patient {
		w.close()
		w.patient, w.newest = patient, map[byte]head{}
	}
	w.newest[h.letter] = h
}

// close packs the heads of the last patient.
func (w *headWriter) close() {
	if len(w.newest) == 0 {
		return
	}
	var all []byte
	for _, h := range w.newest {
		all = h.appendTo(all)
	}
	w.packed = appendCut(appendCut(w.packed, []byte(w.patient)), all)
	w.newest = nil
}

// readHeads returns the heads of a volume.
func (v *volume) readHeads(ctx context.Context) ([]byte, error) {
	return v.reader().read(ctx, v.Heads)
}
