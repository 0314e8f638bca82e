package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"

	"carehub/events"
)

// Headers of a stored event. They are a promise to NATS clients.
const (
	recordHeader = "Carehub-Record"      // events.Record as JSON
	chunksHeader = "Carehub-Plan-Chunks" // how many plan messages hold the recipients that the record is without
)

const (
	maxRecord = 32 << 10  // bytes of a record that still holds its recipients
	chunkSize = 512 << 10 // bytes of recipients in one plan message
)

// parcel is an event as it is written: the event message, and before it the chunks of a plan too large for its header.
type parcel struct {
	partition int
	subject   string
	record    []byte
	chunks    [][]byte
	body      []byte
}

func pack(rec events.Record, message []byte, into generation) (parcel, error) {
	ev := rec.Event
	if events.PatientOf(ev.ID) == "" || events.PatientOf(ev.ID) != ev.Patient || !events.ValidName(string(ev.Kind)) {
		return parcel{}, invalid("The event's id, patient and kind do not belong together.")
	}
	p := into.place(ev.Patient)
	out := parcel{partition: p, subject: events.CareSubject(p, ev.Patient, ev.ID, ev.Kind), body: message}
	var err error
	if out.record, err = json.Marshal(rec); err != nil {
		return parcel{}, err
	}
	if len(out.record) > maxRecord {
		if err := out.split(rec); err != nil {
			return parcel{}, err
		}
	}
	if len(message) > maxMessage || len(out.record) > maxRecord {
		return parcel{}, tooLarge(nil)
	}
	return out, nil
}

// split moves the recipients out of the record.
func (p *parcel) split(rec events.Record) error {
	recipients, err := json.Marshal(rec.Plan.Recipients)
	if err != nil {
		return err
	}
	rec.Plan.Recipients = nil
	if p.record, err = json.Marshal(rec); err != nil {
		return err
	}
	p.chunks = slices.Collect(slices.Chunk(recipients, chunkSize))
	return nil
}

func (p parcel) headers() nats.Header {
	h := nats.Header{"Content-Type": {"application/fhir+json"}, recordHeader: {string(p.record)}}
	if len(p.chunks) > 0 {
		h.Set(chunksHeader, strconv.Itoa(len(p.chunks)))
	}
	return h
}

var (
	errForeign = errors.New("not written by carehub")
	errNewer   = errors.New("newer than this program")
)

// unpack reads an event message; chunk fetches a plan message. A care message without a record is errForeign.
func unpack(p int, seq uint64, h nats.Header, body []byte, chunk func(subject string) ([]byte, error)) (events.Stored, error) {
	out := events.Stored{Partition: p, Seq: seq, Message: body}
	record := h.Get(recordHeader)
	if record == "" {
		return out, errForeign
	}
	if err := json.Unmarshal([]byte(record), &out.Record); err != nil {
		return out, unreadable(p, seq, err)
	}
	if out.Record.V > events.RecordVersion {
		return out, unreadable(p, seq, fmt.Errorf("%w: record version %d", errNewer, out.Record.V))
	}
	if h.Get(chunksHeader) == "" {
		return out, nil
	}
	recipients, err := join(p, out.Record.Event, h.Get(chunksHeader), chunk)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(recipients, &out.Record.Plan.Recipients); err != nil {
		return out, unreadable(p, seq, err)
	}
	return out, nil
}

func join(p int, ev events.Event, count string, chunk func(subject string) ([]byte, error)) ([]byte, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, &events.Error{Kind: events.Internal, Message: "A stored plan cannot be read.", Err: err}
	}
	var all []byte
	for i := range n {
		part, err := chunk(events.PlanSubject(p, ev.Patient, ev.ID, i))
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}

func unreadable(p int, seq uint64, err error) error {
	return &events.Error{
		Kind:    events.Internal,
		Message: fmt.Sprintf("The stored event %d of partition %d cannot be read.", seq, p),
		Err:     err,
	}
}
