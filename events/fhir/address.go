package fhir

import (
	"bytes"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Destination is one recipient of one event. Endpoint is a stable address or id of the recipient, not the URL of today:
// the bytes of a message are the same at every attempt.
type Destination struct {
	Recipient string // subscriber id
	Name      string
	Endpoint  string
}

// What stands around the places that an Envelope fills, in the order of the message. A quotation mark inside a JSON string has
// a backslash before it, so nothing that anyone typed can look like one of these.
const (
	atBundle      = `{"resourceType":"Bundle","id":"`
	atEntry       = `"entry":[{"fullUrl":"urn:uuid:`
	atHeader      = `","resource":{"resourceType":"MessageHeader","id":"`
	atDestination = `"destination":[`
	afterwards    = `],"sender":`

	uuidLength = 36
)

// Envelope is a stored message with the places that are each recipient's own. It is safe for concurrent use.
type Envelope struct {
	event  string
	pieces [5][]byte // what stays, around the bundle's id, the header's id twice, and the destination
}

// Open finds those places. It fails, with an *events.Error of kind Internal, on a message that Encode or EncodeAlarm did
// not write, or one about another event.
func Open(stored []byte, event string) (Envelope, error) {
	e := Envelope{event: event}
	if !bytes.HasPrefix(stored, []byte(atBundle)) || bytes.Count(stored, []byte(eventURN(event))) != 1 {
		return e, unaddressable("not a stored message of this event")
	}
	rest := stored
	for i, marker := range []string{atBundle, atEntry, atHeader, atDestination} {
		at := bytes.Index(rest, []byte(marker))
		n := uuidLength
		if marker == atDestination {
			n = bytes.Index(rest[max(at, 0):], []byte(afterwards)) - len(marker)
		}
		if at += len(marker); bytes.Count(rest, []byte(marker)) != 1 || n < 0 || at+n > len(rest) {
			return e, unaddressable("place not found exactly once: " + marker)
		}
		e.pieces[i], rest = rest[:at], rest[at+n:]
	}
	e.pieces[4] = rest
	return e, nil
}

// To returns the message as it goes to one recipient: a Bundle.id and MessageHeader.id of its own, derived from event and
// recipient, and the recipient as destination. Every other byte is as stored.
func (e Envelope) To(to Destination) ([]byte, error) {
	if to.Endpoint == "" {
		return nil, unaddressable("the destination has no endpoint")
	}
	destination, err := marshal(r4.MessageHeaderDestination{Name: new(clean(to.Name)), Endpoint: to.Endpoint})
	if err != nil {
		return nil, err
	}
	bundle, message := bundleID(e.event, to.Recipient), messageID(e.event, to.Recipient)
	size := len(destination) + 3*uuidLength
	for _, p := range e.pieces {
		size += len(p)
	}
	out := make([]byte, 0, size)
	out = append(append(out, e.pieces[0]...), bundle...)
	out = append(append(out, e.pieces[1]...), message...)
	out = append(append(out, e.pieces[2]...), message...)
	out = append(append(out, e.pieces[3]...), destination...)
	return append(out, e.pieces[4]...), nil
}

func unaddressable(why string) error {
	return &events.Error{Kind: events.Internal, Message: "the message cannot be addressed: " + why}
}
