// Package fhir writes a care event as a FHIR R4 message Bundle and reads it back. The messages are structurally aligned
// with Da Vinci Unsolicited Notifications: the header's event codes, the focus and the provenance are laid out as there,
// without the United States' demographics and coverage. What a carer says stays a carer's words: nothing is ever parsed
// into codes, and every Condition is unconfirmed.
package fhir

import (
	"bytes"
	"encoding/json"

	"carehub/events"
)

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
	return marshal(m.bundle())
}

// bundle puts the entries in order: the header, what it is about, then who and where (FHIR R4, 2.4.2).
func (m Message) bundle() bundle {
	ids := m.ids()
	entries := make([]entry, 0, 10)
	add := func(id string, resource any) {
		entries = append(entries, entry{FullUrl: urn(id), Resource: resource})
	}
	add(ids.header, m.header(ids))
	if m.Event.Kind != events.Fall {
		add(ids.encounter, m.encounter(ids))
	}
	if m.fell() {
		add(ids.condition, m.condition(ids))
	}
	add(ids.communication, m.communication(ids))
	add(ids.patient, m.patient(ids))
	if m.By.Kind == events.Carer {
		add(ids.by, m.carer(ids))
	} else {
		add(ids.by, m.system(ids))
	}
	add(ids.hub, organization(m.Hub, ids.hub))
	add(ids.device, device(m.Hub, ids.device))
	if m.Event.Place != "" {
		add(ids.location, m.location(ids))
	}
	add(ids.provenance, m.provenance(ids))
	return newBundle(m.Event.ID, m.Event.Recorded, m.meta(bundleProfile), entries)
}

// fell reports whether a fall is what happened, or what led to it.
func (m Message) fell() bool {
	return m.Event.Kind == events.Fall || m.Event.Because == events.Fall
}

// references holds the id of every resource that a message may have. Those of people and stays are the same in all
// messages of one hub; the hub's URL is in each, since another hub may use the same pseudonym for another patient.
type references struct {
	header, encounter, condition, communication, patient, by, hub, device, location, provenance string
}

func (m Message) ids() references {
	ev, hub := m.Event, m.Hub.URL
	ids := hubIDs(m.Hub, ev.ID)
	stay := ev.Stay
	if stay == "" {
		stay = ev.ID
	}
	ids.encounter = events.UUID("encounter", hub, stay)
	ids.condition = events.UUID("condition", hub, ev.ID)
	ids.patient = events.UUID("patient", hub, m.Patient.ID)
	ids.location = events.UUID("location", hub, ev.ID)
	if m.By.Kind == events.Carer {
		// A RelatedPerson is somebody in relation to one patient.
		ids.by = events.UUID("carer", hub, m.By.ID, m.Patient.ID)
	} else {
		ids.by = events.UUID("system", hub, m.By.ID)
	}
	return ids
}

// hubIDs are the ids that every message has, those of alarms too.
func hubIDs(h events.Sender, event string) references {
	return references{
		header:        messageID(event, ""),
		communication: events.UUID("communication", h.URL, event),
		hub:           events.UUID("organization", h.URL),
		device:        events.UUID("device", h.URL),
		provenance:    events.UUID("provenance", h.URL, event),
	}
}

// The three ids of a message (Da Vinci Alerts): the envelope's and the message's own, both per recipient, and that of the
// care event, which is the same for everyone.
func bundleID(event, recipient string) string  { return events.UUID("bundle", event, recipient) }
func messageID(event, recipient string) string { return events.UUID("message", event, recipient) }
func eventURN(event string) string             { return urn(events.UUID("event", event)) }

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
