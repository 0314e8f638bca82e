package fhir

import (
	"strings"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

func newBundle(ids references, recorded string, meta *r4.Meta, entries []entry) bundle {
	return bundle{
		ResourceType: "Bundle",
		OtherBundle: r4.OtherBundle{
			Id:         &ids.bundle,
			Meta:       meta,
			Identifier: new(identifier(uriIDs, urn(ids.event))),
			Type:       r4.BundleTypeMessage,
			Timestamp:  &recorded,
		},
		Entry: entries,
	}
}

// newHeader is the header of any message of the hub. A carer cannot be the author, sender or enterer of an R4 message
// (2.26.3): the author is the hub's software, through HL7's extension for it.
func newHeader(h events.Sender, ids references, title string) messageHeader {
	author := r4.Reference{
		Extension: []r4.Extension{{Url: alternateReference, ValueReference: new(ref(ids.device))}},
		Display:   new("carehub"),
	}
	return messageHeader{ResourceType: "MessageHeader", OtherMessageHeader: r4.OtherMessageHeader{
		Id:          &ids.header,
		Text:        narrative(title),
		Destination: []r4.MessageHeaderDestination{{Name: &h.Name, Endpoint: h.URL + endpoint}},
		Sender:      new(named(ids.hub, h.Name)),
		Author:      &author,
		Source: r4.MessageHeaderSource{
			Name:     &h.Name,
			Software: new("carehub"),
			Version:  optional(h.Version),
			Contact:  &contacts(h.Phone, h.Email)[0],
			Endpoint: h.URL + endpoint,
		},
		Responsible: new(named(ids.hub, h.Name)),
	}}
}

func (m *draft) header() messageHeader {
	s := shapes[m.Event.Kind]
	h := newHeader(m.Hub, m.ids, m.title())
	h.Meta = m.meta(headerProfile)
	h.EventCoding = s.event
	h.Reason = m.reason(s)
	switch {
	case m.Event.Kind == events.Fall:
		h.Focus = []r4.Reference{named(m.ids.condition, m.title()), ref(m.ids.communication)}
	case m.Event.Kind == events.DocumentAdded:
		h.Focus = append(m.documents(), ref(m.ids.communication))
	default:
		h.Focus = []r4.Reference{named(m.ids.encounter, m.title())}
	}
	return h
}

// reason is that of the event's kind, or how it changes what was told before (as the BaRS of the NHS has it) and why.
func (m *draft) reason(s shape) *r4.CodeableConcept {
	c := m.Event.Correction
	if c == "" {
		return s.reason
	}
	change := isUpdate
	if c.Retracts() {
		change = isDelete
	}
	codes := []r4.Coding{change, coding(m.Hub.URL+correctionCodes, string(c), "")}
	if m.Event.Kind.OfStay() {
		codes = append([]r4.Coding{isEdit}, codes...)
	}
	return new(concept(codes...))
}

// meta carries the event's flags, on a test also HL7's code for test data, on bundle and header alike.
func (m *draft) meta(profile string) *r4.Meta {
	out := &r4.Meta{Profile: []string{profile}}
	for _, f := range m.Event.Flags {
		out.Tag = append(out.Tag, coding(m.Hub.URL+flagCodes, string(f), ""))
	}
	if m.Event.Test {
		out.Tag = append(out.Tag, coding(m.Hub.URL+flagCodes, testFlag, ""), coding(actReason, "HTEST", "test health data"))
	}
	return out
}

// encounter is the stay. Its id and identifier are those of the stay, so that the discharge is seen to end the admission.
func (m *draft) encounter() encounter {
	s := shapes[m.Event.Kind]
	e := r4.OtherEncounter{
		Id:      &m.ids.encounter,
		Text:    narrative(m.title()),
		Status:  s.status,
		Class:   s.class,
		Type:    []r4.CodeableConcept{s.encounter},
		Subject: new(named(m.ids.patient, m.Patient.Name)),
	}
	if m.Event.Ends == events.Attendance {
		e.Class = shapes[events.Attendance].class
	}
	if m.Event.Stay != "" {
		e.Identifier = []r4.Identifier{identifier(m.Hub.URL+stayIDs, m.Event.Stay)}
	}
	if m.Event.Kind == events.Discharge {
		e.Period = &r4.Period{End: &m.occurred.instant}
	} else {
		e.Period = &r4.Period{Start: &m.occurred.instant}
	}
	if m.Event.Because == events.Fall {
		e.ReasonCode = []r4.CodeableConcept{fall}
		e.ReasonReference = []r4.Reference{ref(m.ids.condition)}
	}
	if m.Event.Place != "" {
		e.Location = []r4.EncounterLocation{{Location: named(m.ids.location, m.Event.Place)}}
	}
	if m.Event.Correction.Retracts() {
		m.retract(&e)
	}
	return encounter{"Encounter", e}
}

// retract says what is left of a stay. One that other events tell of too was no error: without its discharge it goes on, and how it
// stands without one of the reports of its beginning, only those others say.
func (m *draft) retract(e *r4.OtherEncounter) {
	switch {
	case m.alone:
		e.Status = r4.EncounterStatusEnteredInError
	case m.Event.Kind == events.Discharge:
		e.Status, e.Type, e.Period = r4.EncounterStatusInProgress, nil, nil
		e.StatusHistory = []r4.EncounterStatusHistory{{Status: r4.EncounterStatusFinished,
			Period: r4.Period{Start: &m.occurred.instant, End: &m.recorded.instant}}}
	default:
		e.Status = r4.EncounterStatusUnknown
	}
}

var (
	active         = concept(coding(conditionClinical, "active", "Active"))
	unconfirmed    = concept(coding(conditionVerified, "unconfirmed", "Unconfirmed"))
	enteredInError = concept(coding(conditionVerified, "entered-in-error", "Entered in Error"))
	problem        = concept(coding(conditionCategory, "problem-list-item", "Problem List Item"))
	diagnosis      = concept(coding(conditionCategory, "encounter-diagnosis", "Encounter Diagnosis"))
)

// condition is the fall. When it led to a stay, nobody has said when it was.
func (m *draft) condition() condition {
	c := r4.OtherCondition{
		Id:                 &m.ids.condition,
		Text:               narrative(m.mark() + "Fall, not clinically confirmed"),
		ClinicalStatus:     &active,
		VerificationStatus: &unconfirmed,
		Category:           []r4.CodeableConcept{problem},
		Code:               &fall,
		Subject:            ref(m.ids.patient),
		RecordedDate:       &m.recorded.instant,
	}
	if m.Event.Kind == events.Fall {
		c.OnsetDateTime = &m.occurred.instant
	} else {
		c.Category = []r4.CodeableConcept{diagnosis}
		c.Encounter = new(ref(m.ids.encounter))
	}
	if m.Event.Correction.Retracts() { // which has no clinical status (FHIR R4, con-5)
		c.ClinicalStatus, c.VerificationStatus = nil, &enteredInError
		c.Text = narrative(m.mark() + "Fall, entered in error")
	}
	if m.By.Kind == events.Carer { // R4 lets no organisation assert a condition
		c.Asserter = new(ref(m.ids.by))
	}
	return condition{"Condition", c}
}

func (m *draft) patient() patient {
	p := r4.OtherPatient{
		Id:         &m.ids.patient,
		Text:       narrative(m.whom()),
		Identifier: []r4.Identifier{identifier(m.Hub.URL+patientIDs, m.Patient.ID)},
		Name:       names(m.Patient.Name, m.patientName),
		BirthDate:  optional(m.Patient.Born),
		Gender:     genders[m.Patient.Gender],
	}
	if m.Patient.NHSNumber != "" {
		p.Identifier = append(p.Identifier, nhsIdentifier(m.Patient.NHSNumber))
	}
	return patient{"Patient", p}
}

var genders = map[string]*r4.AdministrativeGender{
	"male":    new(r4.AdministrativeGenderMale),
	"female":  new(r4.AdministrativeGenderFemale),
	"other":   new(r4.AdministrativeGenderOther),
	"unknown": new(r4.AdministrativeGenderUnknown),
}

// nhsIdentifier says 02, present but not traced: the hub has asked no national service (UK Core).
func nhsIdentifier(number string) r4.Identifier {
	id := identifier(NHSNumber, number)
	status := concept(coding(nhsNumberStatus, "02", "Number present but not traced"))
	id.Extension = []r4.Extension{{Url: nhsNumberStatusExtension, ValueCodeableConcept: &status}}
	return id
}

// names keeps the name as written, and beside it its parts.
func names(full string, parts name) []r4.HumanName {
	if full == "" {
		return nil
	}
	return []r4.HumanName{{Text: &full, Family: &parts.family, Given: parts.given}}
}

var carerRole = []r4.Coding{coding(personRoles, "Carer", "Carer of patient")}

func (m *draft) carer() relatedPerson {
	return relatedPerson{"RelatedPerson", r4.OtherRelatedPerson{
		Id:           &m.ids.by,
		Text:         narrative(m.reporter()),
		Identifier:   []r4.Identifier{identifier(m.Hub.URL+carerIDs, m.By.ID)},
		Active:       new(true),
		Patient:      ref(m.ids.patient),
		Relationship: []r4.CodeableConcept{{Coding: carerRole, Text: optional(m.By.Relationship)}},
		Name:         names(m.By.Name, m.byName),
		Telecom:      contacts(m.By.Phone, ""),
	}}
}

func (m *draft) system() organizationResource {
	return organizationResource{"Organization", r4.OtherOrganization{
		Id:         &m.ids.by,
		Text:       narrative(m.reporter()),
		Identifier: []r4.Identifier{identifier(m.Hub.URL+systemIDs, m.By.ID)},
		Active:     new(true),
		Name:       optional(m.By.Name),
		Telecom:    contacts(m.By.Phone, ""),
	}}
}

func organization(h events.Sender, id string) organizationResource {
	return organizationResource{"Organization", r4.OtherOrganization{
		Id:         &id,
		Text:       narrative(h.Name),
		Identifier: []r4.Identifier{identifier(h.URL+hubIDsystem, "hub")},
		Active:     new(true),
		Name:       &h.Name,
		Telecom:    contacts(h.Phone, h.Email),
	}}
}

func device(h events.Sender, id string) deviceResource {
	d := r4.OtherDevice{
		Id:         &id,
		Text:       narrative("carehub, the software of " + h.Name),
		DeviceName: []r4.DeviceDeviceName{{Name: "carehub", Type: r4.DeviceNameTypeUserFriendlyName}},
	}
	if h.Version != "" {
		d.Version = []r4.DeviceVersion{{Value: h.Version}}
	}
	return deviceResource{"Device", d}
}

func contacts(phone, email string) []r4.ContactPoint {
	var out []r4.ContactPoint
	if phone != "" {
		out = append(out, r4.ContactPoint{System: new(r4.ContactPointSystemPhone), Value: &phone})
	}
	if email != "" {
		out = append(out, r4.ContactPoint{System: new(r4.ContactPointSystemEmail), Value: &email})
	}
	return out
}

func (m *draft) location() location {
	return location{"Location", r4.OtherLocation{
		Id:   &m.ids.location,
		Text: narrative(m.Event.Place),
		Name: &m.Event.Place,
		Mode: new(r4.LocationModeInstance),
	}}
}

var (
	notification = []r4.CodeableConcept{concept(coding(communicationKinds, "notification", "Notification"))}
	alert        = []r4.CodeableConcept{concept(coding(communicationKinds, "alert", "Alert"))}

	priorities = map[events.Urgency]*r4.RequestPriority{
		events.Urgent:  new(r4.RequestPriorityUrgent),
		events.Routine: new(r4.RequestPriorityRoutine),
	}
)

// communication says it all again in plain words, for a person.
func (m *draft) communication() communication {
	lines := m.lines()
	c := r4.OtherCommunication{
		Id:         &m.ids.communication,
		Text:       narrative(append(lines, m.quote())...),
		Identifier: []r4.Identifier{identifier(m.Hub.URL+eventIDs, m.Event.ID)},
		Status:     r4.EventStatusCompleted,
		Category:   notification,
		Priority:   priorities[m.Urgency],
		Subject:    new(ref(m.ids.patient)),
		Sent:       &m.recorded.instant,
		Sender:     new(named(m.ids.by, m.By.Name)),
	}
	if m.Event.Kind.OfStay() {
		c.About = []r4.Reference{ref(m.ids.encounter)}
		c.Encounter = new(ref(m.ids.encounter))
	} else {
		if m.Event.Kind == events.Fall {
			c.About = []r4.Reference{ref(m.ids.condition)}
		}
		if m.Event.Place != "" {
			c.About = append(c.About, ref(m.ids.location))
		}
	}
	c.About = append(c.About, m.documents()...)
	if m.Patient.Summary != nil {
		c.About = append(c.About, named(m.summary.id, summaryTitle))
	}
	if m.Event.Corrects != "" {
		c.InResponseTo = []r4.Reference{{Type: new("Communication"), Identifier: new(identifier(m.Hub.URL+eventIDs, m.Event.Corrects)),
			Display: new("what was told before")}}
	}
	if m.Event.Said != nil {
		c.Extension = []r4.Extension{{Url: m.Hub.URL + saidExtension, ValueDateTime: &m.said.instant}}
	}
	payloads := []payload{{strings.Join(lines, "\n")}}
	if m.Event.Words != "" {
		payloads = append(payloads, payload{m.quote()})
	}
	return communication{"Communication", c, payloads}
}

var (
	informant = concept(coding(participantKinds, "informant", "Informant"))
	assembler = concept(coding(participantKinds, "assembler", "Assembler"))
	author    = concept(coding(participantKinds, "author", "Author"))
)

// provenance says who said it, and that the hub put it into this form: of a message of another system also whose it says it
// is, and what it was called. The hub passes on what it made of it (a Da Vinci intermediary that assembles), never the original.
func (m *draft) provenance() provenance {
	targets := []r4.Reference{ref(m.ids.communication)}
	switch {
	case m.Event.Kind == events.Fall:
		targets = append(targets, ref(m.ids.condition))
	case m.Event.Kind.OfStay():
		targets = append(targets, ref(m.ids.encounter))
	}
	p := r4.OtherProvenance{
		Id:       &m.ids.provenance,
		Text:     narrative(m.reporter()+" Put into this form by "+m.Hub.Name+".", m.source()),
		Target:   append(targets, m.documents()...),
		Recorded: m.recorded.instant,
		Agent: []r4.ProvenanceAgent{
			{Type: &informant, Who: ref(m.ids.by)},
			{Type: &assembler, Who: ref(m.ids.hub)},
		},
	}
	if m.from.message != "" {
		p.Entity = []r4.ProvenanceEntity{{
			Role: r4.ProvenanceEntityRoleSource,
			What: r4.Reference{Identifier: new(identifier(m.from.system, m.from.message)), Display: new("the message as the hub got it")},
		}}
	}
	if m.from.sender != "" || m.from.ods != "" {
		who := r4.Reference{Type: new("Organization"), Display: optional(m.from.sender)}
		if m.from.ods != "" {
			who.Identifier = new(identifier(odsCode, m.from.ods))
		}
		p.Agent = append(p.Agent, r4.ProvenanceAgent{Type: &author, Who: who})
	}
	return provenance{"Provenance", p}
}
