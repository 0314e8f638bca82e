package fhir

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Decode reads back what Encode, Address or EncodeAlarm wrote. Of an alarm it returns Kind Alarm, the hub as the one who
// logged it, and the alarm's words. Times come back in a zone that has their offset and no name. The error is an
// *events.Error of kind Invalid or TooLarge, which quotes nothing of the message.
func Decode(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return Message{}, &events.Error{Kind: events.TooLarge, Message: "the message is too large"}
	}
	in, err := open(b)
	if err != nil {
		return Message{}, err
	}
	if text(in.header.EventCoding.System) == in.hub().URL+hubEvents {
		return in.alarm()
	}
	m := Message{
		Event:   in.event(),
		Patient: in.whom(),
		By:      in.by(),
		Hub:     in.hub(),
		Urgency: in.urgency(),
	}
	m.Event.From = in.from()
	m.Event.Patient = m.Patient.ID
	m.Event.By = events.Actor{Kind: m.By.Kind, ID: m.By.ID}
	m.Event.Words = in.words(m)
	m = m.clean()
	if err := m.check(); err != nil {
		return Message{}, err
	}
	return m, in.checkIdentity(m.Event.ID)
}

// contents are the resources of a message, each nil or empty where there is none.
type contents struct {
	bundle        r4.OtherBundle
	header        messageHeader
	encounter     encounter
	condition     condition
	summary       *list
	conditions    []condition // of the summary
	communication communication
	documents     []documentReference
	patient       patient
	carer         *relatedPerson
	organizations map[string]organizationResource // by reference
	location      location
	provenance    provenance
}

var (
	errNotJSON    = invalid("this is not a FHIR resource in JSON")
	errNotMessage = invalid("this is not a FHIR Bundle of type message")
	errNoHeader   = invalid("the message does not begin with a MessageHeader")
	errTwice      = invalid("the message holds two resources of a type that it may hold once")
	errForeign    = invalid("the message holds a resource that this hub does not read")
)

// received is a bundle before its entries are looked into.
type received struct {
	ResourceType string `json:"resourceType"`
	r4.OtherBundle
}

// open sorts the entries of a bundle by resource type.
func open(b []byte) (*contents, error) {
	var in received
	if json.Unmarshal(b, &in) != nil {
		return nil, errNotJSON
	}
	if in.ResourceType != "Bundle" || in.Type != r4.BundleTypeMessage {
		return nil, errNotMessage
	}
	c := &contents{bundle: in.OtherBundle, organizations: map[string]organizationResource{}}
	seen := map[string]bool{}
	for i, e := range in.Entry {
		kind := typeOf(e.Resource)
		if (i == 0) != (kind == "MessageHeader") {
			return nil, errNoHeader
		}
		if kind == "Condition" && isFamilys(e.Resource) {
			kind = "family's Condition"
		}
		if seen[kind] && !slices.Contains(several, kind) {
			return nil, errTwice
		}
		seen[kind] = true
		if err := c.add(kind, text(e.FullUrl), e.Resource); err != nil {
			return nil, err
		}
	}
	if !seen["MessageHeader"] {
		return nil, errNoHeader
	}
	return c, nil
}

// several are what a message may hold more than once.
var several = []string{"Organization", "family's Condition", "DocumentReference", "Binary"}

func typeOf(resource []byte) string {
	var r struct {
		ResourceType string `json:"resourceType"`
	}
	if json.Unmarshal(resource, &r) != nil {
		return ""
	}
	return r.ResourceType
}

func (c *contents) add(kind, fullURL string, resource []byte) error {
	var into any
	switch kind {
	case "MessageHeader":
		into = &c.header
	case "Encounter":
		into = &c.encounter
	case "Condition":
		into = &c.condition
	case "family's Condition":
		c.conditions = append(c.conditions, condition{})
		into = &c.conditions[len(c.conditions)-1]
	case "List":
		c.summary = new(list)
		into = c.summary
	case "Communication":
		into = &c.communication
	case "DocumentReference":
		c.documents = append(c.documents, documentReference{})
		into = &c.documents[len(c.documents)-1]
	case "Patient":
		into = &c.patient
	case "RelatedPerson":
		c.carer = new(relatedPerson)
		into = c.carer
	case "Location":
		into = &c.location
	case "Organization":
		var o organizationResource
		if json.Unmarshal(resource, &o) != nil {
			return errNotJSON
		}
		c.organizations[fullURL] = o
		return nil
	case "Provenance":
		into = &c.provenance
	case "Device", "Binary": // the hub's own hand, which Encode writes again, and what Embed has added
		return nil
	default:
		return errForeign
	}
	if json.Unmarshal(resource, into) != nil {
		return errNotJSON
	}
	return nil
}

// checkIdentity holds the bundle's identifier against the event id, which is in the communication.
func (c *contents) checkIdentity(event string) error {
	if c.bundle.Identifier == nil || text(c.bundle.Identifier.Value) != urn(eventUUID(event)) {
		return invalid("the message's identifier is not that of its event")
	}
	return nil
}

func (c *contents) event() events.Event {
	hub := c.hub().URL
	ev := events.Event{
		ID:       value(c.communication.Identifier, hub+eventIDs),
		Kind:     kindOf(c.header.EventCoding),
		Stay:     value(c.encounter.Identifier, hub+stayIDs),
		Recorded: moment(c.bundle.Timestamp),
		Place:    text(c.location.Name),
	}
	ev.Occurred = c.occurred(ev.Kind)
	if len(c.encounter.ReasonCode) > 0 && code(c.encounter.ReasonCode[0], snomed) == *fall.Coding[0].Code {
		ev.Because = events.Fall
	}
	if ev.Kind == events.Discharge && text(c.encounter.Class.Code) == text(shapes[events.Attendance].class.Code) {
		ev.Ends = events.Attendance
	}
	for _, x := range c.communication.Extension {
		if x.Url == hub+saidExtension && x.ValueDateTime != nil {
			ev.Said = new(moment(x.ValueDateTime))
		}
	}
	ev.Flags, ev.Test = c.flags(hub)
	for _, r := range c.documents {
		ev.Documents = append(ev.Documents, c.attached(r))
	}
	if c.header.Reason != nil {
		ev.Correction = events.Correction(code(*c.header.Reason, hub+correctionCodes))
	}
	if prior := c.communication.InResponseTo; len(prior) > 0 && prior[0].Identifier != nil {
		ev.Corrects = text(prior[0].Identifier.Value)
	}
	return ev
}

// occurred is where Encode put it for this kind.
func (c *contents) occurred(kind events.Kind) time.Time {
	switch {
	case kind == events.Fall:
		return moment(c.condition.OnsetDateTime)
	case kind == events.DocumentAdded:
		return c.occurredWith()
	case len(c.encounter.StatusHistory) > 0: // of a stay that was not over
		return moment(c.encounter.StatusHistory[0].Period.Start)
	case c.encounter.Period == nil:
		return time.Time{}
	case kind == events.Discharge:
		return moment(c.encounter.Period.End)
	}
	return moment(c.encounter.Period.Start)
}

func (c *contents) flags(hub string) (flags []events.Flag, test bool) {
	if c.bundle.Meta == nil {
		return nil, false
	}
	for _, tag := range c.bundle.Meta.Tag {
		switch {
		case text(tag.System) != hub+flagCodes:
		case text(tag.Code) == testFlag:
			test = true
		default:
			flags = append(flags, events.Flag(text(tag.Code)))
		}
	}
	return flags, test
}

// words are the second payload without the mark before them.
func (c *contents) words(m Message) string {
	if len(c.communication.Payload) < 2 {
		return ""
	}
	return strings.TrimPrefix(c.communication.Payload[1].ContentString, m.quoteMark())
}

func (c *contents) urgency() events.Urgency {
	for urgency, p := range priorities {
		if c.communication.Priority != nil && *c.communication.Priority == *p {
			return urgency
		}
	}
	return ""
}

func (c *contents) whom() events.Patient {
	p := events.Patient{
		ID:        value(c.patient.Identifier, c.hub().URL+patientIDs),
		Name:      fullName(c.patient.Name),
		Born:      text(c.patient.BirthDate),
		NHSNumber: value(c.patient.Identifier, NHSNumber),
	}
	if c.patient.Gender != nil {
		p.Gender = c.patient.Gender.Code()
	}
	p.Summary = c.familySummary()
	return p
}

// by is the carer, or the organisation that sent the communication.
func (c *contents) by() events.Person {
	hub := c.hub().URL
	if c.carer != nil {
		p := events.Person{
			ID:    value(c.carer.Identifier, hub+carerIDs),
			Kind:  events.Carer,
			Name:  fullName(c.carer.Name),
			Phone: contact(c.carer.Telecom, r4.ContactPointSystemPhone),
		}
		if len(c.carer.Relationship) > 0 {
			p.Relationship = text(c.carer.Relationship[0].Text)
		}
		return p
	}
	o := c.organizations[target(c.communication.Sender)]
	return events.Person{
		ID:    value(o.Identifier, hub+systemIDs),
		Kind:  events.System,
		Name:  text(o.Name),
		Phone: contact(o.Telecom, r4.ContactPointSystemPhone),
	}
}

func (c *contents) hub() events.Sender {
	o := c.organizations[target(c.header.Sender)]
	return events.Sender{
		Name:    text(o.Name),
		URL:     strings.TrimSuffix(c.header.Source.Endpoint, endpoint),
		Phone:   contact(o.Telecom, r4.ContactPointSystemPhone),
		Email:   contact(o.Telecom, r4.ContactPointSystemEmail),
		Version: text(c.header.Source.Version),
	}
}

// from is the message that the event came by.
func (c *contents) from() *events.Origin {
	if len(c.provenance.Entity) == 0 || c.provenance.Entity[0].What.Identifier == nil {
		return nil
	}
	o := &events.Origin{Message: text(c.provenance.Entity[0].What.Identifier.Value)}
	if text(c.provenance.Entity[0].What.Identifier.System) == uriIDs {
		o.Message = strings.TrimPrefix(o.Message, urn(""))
	}
	for _, a := range c.provenance.Agent {
		if a.Type == nil || code(*a.Type, participantKinds) != *author.Coding[0].Code {
			continue
		}
		o.Sender = text(a.Who.Display)
		if a.Who.Identifier != nil {
			o.ODS = text(a.Who.Identifier.Value)
		}
	}
	return o
}

// moment reads a time, and gives it a zone that does not depend on where the hub runs. Anything that is not a time is the
// zero time, which check refuses.
func moment(s *string) time.Time {
	t, err := time.Parse(time.RFC3339, text(s))
	if err != nil {
		return time.Time{}
	}
	if _, offset := t.Zone(); offset != 0 {
		return t.In(time.FixedZone("", offset))
	}
	return t.UTC()
}

func value(identifiers []r4.Identifier, system string) string {
	for _, id := range identifiers {
		if text(id.System) == system {
			return text(id.Value)
		}
	}
	return ""
}

func code(c r4.CodeableConcept, system string) string {
	for _, coding := range c.Coding {
		if text(coding.System) == system {
			return text(coding.Code)
		}
	}
	return ""
}

func contact(telecom []r4.ContactPoint, system r4.ContactPointSystem) string {
	for _, c := range telecom {
		if c.System != nil && *c.System == system {
			return text(c.Value)
		}
	}
	return ""
}

func fullName(names []r4.HumanName) string {
	if len(names) == 0 {
		return ""
	}
	return text(names[0].Text)
}

func target(r *r4.Reference) string {
	if r == nil {
		return ""
	}
	return text(r.Reference)
}
