// Package fhir writes a care event as a FHIR R4 message Bundle and reads it back. The messages are structurally aligned
// with Da Vinci Unsolicited Notifications: the header's event codes, the focus and the provenance are laid out as there,
// without the United States' demographics and coverage. What a carer says stays a carer's words: nothing is ever parsed
// into codes, and every Condition is unconfirmed.
package fhir

import (
	"bytes"
	"cmp"
	"encoding/json"

	"carehub/events"
)

// MediaType is what FHIR in JSON is sent as (R4, 2.1.0.6).
const MediaType = "application/fhir+json"

// MaxMessage is the size in bytes above which Decode refuses a message. One that Encode wrote is below 64 KiB.
const MaxMessage = 1 << 20

// Message is an event with everyone named in it: what a recipient needs to know that the hub's own records keep apart.
type Message struct {
	Event   events.Event
	Patient events.Patient
	By      events.Person  // who logged the event; the same actor as Event.By
	Hub     events.Sender  // needs a name, a URL, and a phone or an email
	Urgency events.Urgency // how soon to look at it; empty where nobody has decided
}

// Encode writes the message as it is stored: compact JSON in UTF-8, addressed to the hub itself, the same bytes for the
// same message. Characters that FHIR has no place for (control characters, white space other than space, tab and line
// ends) become spaces, and text is trimmed. The zone of a time is kept as its offset. The error is an *events.Error: a
// time or a name that is missing, or parts that do not fit each other.
func Encode(m Message) ([]byte, error) {
	m = m.clean()
	if err := m.check(); err != nil {
		return nil, err
	}
	return m.draft().encode()
}

// fell reports whether a fall is what happened, or what led to it.
func (m Message) fell() bool {
	return m.Event.Kind == events.Fall || m.Event.Because == events.Fall
}

// first is the id of the event that an event is about, itself or the one that it corrects: what they say stands under one id.
func (m Message) first() string { return cmp.Or(m.Event.Corrects, m.Event.ID) }

// The three ids of a message (Da Vinci Alerts): the envelope's and the message's own, both per recipient, and that of the
// care event, which is the same for everyone.
func bundleID(event, recipient string) string  { return events.UUID("bundle", event, recipient) }
func messageID(event, recipient string) string { return events.UUID("message", event, recipient) }
func eventUUID(event string) string            { return events.UUID("event", event) }

// marshal writes compact JSON in which & < > stay as they are.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, &events.Error{Kind: events.Internal, Message: "the message could not be written", Err: err}
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
