package fhir

import (
	"bytes"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Destination is one recipient of one event. Endpoint is a stable address or id of the recipient, not the URL of today:
// the bytes of a message are the same at every attempt.
type Destination struct {
	Event     string // id of the event that the stored message is about
	Recipient string // subscriber id
	Name      string
	Endpoint  string
}

// What stands around the places that Address fills, in the order of the message. A quotation mark inside a JSON string has
// a backslash before it, so nothing that anyone typed can look like one of these.
const (
	atBundle      = `{"resourceType":"Bundle","id":"`
	atEntry       = `"entry":[{"fullUrl":"urn:uuid:`
	atHeader      = `","resource":{"resourceType":"MessageHeader","id":"`
	atDestination = `"destination":[`
	afterwards    = `],"sender":`

	uuidLength = 36
)

// Address returns the stored message as it goes to one recipient: a Bundle.id and MessageHeader.id of its own, derived
// from event and recipient, and the recipient as destination. Every other byte is as stored. It fails, with an
// *events.Error of kind Internal, on a message that Encode or EncodeAlarm did not write, or one about another event.
func Address(stored []byte, to Destination) ([]byte, error) {
	p, err := split(stored)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(p.bundle, []byte(eventURN(to.Event))) {
		return nil, unaddressable("it is about another event")
	}
	if to.Endpoint == "" {
		return nil, unaddressable("no endpoint")
	}
	destination, err := marshal(r4.MessageHeaderDestination{Name: optional(clean(to.Name)), Endpoint: to.Endpoint})
	if err != nil {
		return nil, err
	}
	message := messageID(to.Event, to.Recipient)
	out := make([]byte, 0, len(stored)+len(destination))
	out = append(append(out, atBundle...), bundleID(to.Event, to.Recipient)...)
	out = append(append(append(out, p.bundle...), atEntry...), message...)
	out = append(append(out, atHeader...), message...)
	out = append(append(append(out, p.header...), atDestination...), destination...)
	return append(append(out, afterwards...), p.rest...), nil
}

// parts are what stays as it is: between the ids of bundle and header, between header and destination, and the rest.
type parts struct{ bundle, header, rest []byte }

// split takes a stored message apart, and insists that every place is where Encode puts it, and there once.
func split(stored []byte) (p parts, err error) {
	bundle, entry, found := bytes.Cut(stored, []byte(atEntry))
	bundle, isBundle := bytes.CutPrefix(bundle, []byte(atBundle))
	if !found || !isBundle || len(bundle) < uuidLength || len(entry) < uuidLength {
		return p, unaddressable("no bundle with entries")
	}
	header, isHeader := bytes.CutPrefix(entry[uuidLength:], []byte(atHeader))
	header, rest, hasDestination := bytes.Cut(header, []byte(atDestination))
	if !isHeader || !hasDestination || len(header) < uuidLength {
		return p, unaddressable("no header with a destination")
	}
	_, rest, found = bytes.Cut(rest, []byte(afterwards))
	if !found || bytes.Contains(rest, []byte(atDestination)) {
		return p, unaddressable("no end of its destination, or a second one")
	}
	return parts{bundle[uuidLength:], header[uuidLength:], rest}, nil
}

func unaddressable(why string) error {
	return &events.Error{Kind: events.Internal, Message: "the message cannot be addressed: " + why}
}
