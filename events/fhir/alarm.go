package fhir

import (
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Alarm tells the people named in hub.yaml that somebody could not be told. It names no patient.
type Alarm struct {
	ID       string // of the alarm, from events.AlarmID
	About    events.About
	Words    string // what to do, in plain words, with nothing about a patient
	Recorded time.Time
	Hub      events.Sender
}

// EncodeAlarm writes an alarm as a message of the hub's own kind; Address and Decode take it as they take an event's. The
// error is an *events.Error.
func EncodeAlarm(a Alarm) ([]byte, error) {
	a.Words, a.Hub = clean(a.Words), cleanHub(a.Hub)
	if err := a.check(); err != nil {
		return nil, err
	}
	ids := idsOf(a.Hub, a.ID)
	ids.ofHub(a.Hub)
	entries := []entry{
		{urn(ids.header), a.header(ids)},
		{urn(ids.communication), a.communication(ids)},
		{urn(ids.hub), organization(a.Hub, ids.hub)},
		{urn(ids.device), device(a.Hub, ids.device)},
		{urn(ids.provenance), a.provenance(ids)},
	}
	return marshal(newBundle(ids, *instant(a.Recorded), nil, entries))
}

func (a Alarm) check() error {
	switch {
	case events.PatientOf(a.ID) != events.HubPatient:
		return invalid("the alarm has no valid id")
	case !timed(a.Recorded):
		return invalid("a time is missing or outside the calendar")
	case a.Words == "":
		return invalid("the alarm says nothing")
	}
	return checkHub(a.Hub)
}

func (a Alarm) header(ids references) messageHeader {
	h := newHeader(a.Hub, ids, "Somebody could not be told")
	h.EventCoding = coding(a.Hub.URL+hubEvents, alarmEvent, "Delivery alarm")
	h.Focus = []r4.Reference{ref(ids.communication)}
	return h
}

func (a Alarm) communication(ids references) communication {
	c := r4.OtherCommunication{
		Id:         &ids.communication,
		Text:       narrative(a.Words),
		Identifier: []r4.Identifier{identifier(a.Hub.URL+eventIDs, a.ID)},
		Status:     r4.EventStatusCompleted,
		Category:   alert,
		Priority:   priorities[events.Urgent],
		Sent:       instant(a.Recorded),
		Sender:     new(named(ids.hub, a.Hub.Name)),
	}
	about := func(system, value string) {
		if value != "" {
			c.About = append(c.About, r4.Reference{Identifier: new(identifier(a.Hub.URL+system, value))})
		}
	}
	about(eventIDs, a.About.Event)
	about(recipientIDs, a.About.Recipient)
	why := func(system, code string) {
		if code != "" {
			c.ReasonCode = append(c.ReasonCode, concept(coding(a.Hub.URL+system, code, "")))
		}
	}
	why(reasonCodes, string(a.About.Reason))
	why(channelCodes, a.About.Channel)
	return communication{"Communication", c, []payload{{a.Words}}}
}

func (a Alarm) provenance(ids references) provenance {
	return provenance{"Provenance", r4.OtherProvenance{
		Id:       &ids.provenance,
		Text:     narrative("Written by " + a.Hub.Name + "."),
		Target:   []r4.Reference{ref(ids.communication)},
		Recorded: *instant(a.Recorded),
		Agent:    []r4.ProvenanceAgent{{Type: &assembler, Who: ref(ids.hub)}},
	}}
}

// alarm reads back what EncodeAlarm wrote; what it is about stays in the hub's own records.
func (c *contents) alarm() (Message, error) {
	if text(c.header.EventCoding.Code) != alarmEvent || len(c.communication.Payload) != 1 {
		return Message{}, invalid("the message is of no kind that this hub knows")
	}
	a := Alarm{
		ID:       value(c.communication.Identifier, c.hub().URL+eventIDs),
		Words:    clean(c.communication.Payload[0].ContentString),
		Recorded: moment(c.bundle.Timestamp),
		Hub:      cleanHub(c.hub()),
	}
	if err := a.check(); err != nil {
		return Message{}, err
	}
	return a.message(), c.checkIdentity(a.ID)
}

func (a Alarm) message() Message {
	by := events.Person{ID: events.HubPatient, Kind: events.Hub, Name: a.Hub.Name}
	return Message{
		Event: events.Event{
			ID:       a.ID,
			Patient:  events.HubPatient,
			Kind:     events.Alarm,
			Occurred: a.Recorded,
			Recorded: a.Recorded,
			By:       events.Actor{Kind: by.Kind, ID: by.ID},
			Words:    a.Words,
		},
		Patient: events.Patient{ID: events.HubPatient},
		By:      by,
		Hub:     a.Hub,
		Urgency: events.Urgent,
	}
}
