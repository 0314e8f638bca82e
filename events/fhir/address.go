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
	nextEntry     = `,{"fullUrl":`

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
	head, _, whole := bytes.Cut(stored, []byte(afterwards)) // the rest is long, and has none of the places
	if !whole || !bytes.HasPrefix(head, []byte(atBundle)) || bytes.Count(head, []byte(eventUUID(event))) != 1 {
		return e, unaddressable("not a stored message of this event")
	}
	rest := head
	for i, marker := range []string{atBundle, atEntry, atHeader, atDestination} {
		at, n := bytes.Index(rest, []byte(marker))+len(marker), uuidLength
		if marker == atDestination {
			n = len(rest) - at
		}
		if bytes.Count(rest, []byte(marker)) != 1 || at+n > len(rest) {
			return e, unaddressable("place not found exactly once: " + marker)
		}
		e.pieces[i], rest = rest[:at], rest[at+n:]
	}
	e.pieces[4] = stored[len(head):]
	if header, _, _ := bytes.Cut(e.pieces[4], []byte(nextEntry)); bytes.Contains(header, []byte(atDestination)) {
		return e, unaddressable("more than one destination")
	}
	return e, nil
}

// destinations is what goes into the last place; the models always marshal.
var destinations, _ = newTemplate(r4.MessageHeaderDestination{Name: new(slot(0)), Endpoint: slot(1)})

// To returns the message as it goes to one recipient: a Bundle.id and MessageHeader.id of its own, derived from event and
// recipient, and the recipient as destination. Every other byte is as stored.
func (e Envelope) To(to Destination) ([]byte, error) {
	if to.Endpoint == "" {
		return nil, unaddressable("the destination has no endpoint")
	}
	values := [...]string{clean(to.Name), to.Endpoint}
	var f filling
	size := 3*uuidLength + destinations.fill(&f, func(i int) string { return values[i] })
	for _, p := range e.pieces {
		size += len(p)
	}
	bundle, message := bundleID(e.event, to.Recipient), messageID(e.event, to.Recipient)
	out := make([]byte, 0, size)
	out = append(append(out, e.pieces[0]...), bundle...)
	out = append(append(out, e.pieces[1]...), message...)
	out = append(append(out, e.pieces[2]...), message...)
	out = destinations.append(append(out, e.pieces[3]...), &f)
	return append(out, e.pieces[4]...), nil
}

func unaddressable(why string) error {
	return &events.Error{Kind: events.Internal, Message: "the message cannot be addressed: " + why}
}
