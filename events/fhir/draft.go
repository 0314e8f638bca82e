package fhir

import (
	"cmp"
	"strings"
	"time"

	"github.com/google/uuid"

	"carehub/events"
)

// draft is a message with everything worked out that is not the same in all messages of its form. What is laid out from
// here on depends on these texts only in whether they are empty, so that it can be laid out once for each form.
type draft struct {
	Message
	ids                      references
	occurred, recorded, said timeText
	born                     string // the date of birth in words
	patientName, byName      name
	from                     from
	alone                    bool // of a correction: what it corrects is the first that told of the stay
	summary                  summaryText
}

// timeText is a time as it stands in a message: for programs and for people.
type timeText struct{ instant, words string }

func textOf(t time.Time) timeText { return timeText{*instant(t), when(t)} }

// name is the parts of a name, for systems that want parts: the last word is taken as the family name.
type name struct {
	given  []string
	family string
}

func nameOf(full string) name {
	words := strings.Fields(full)
	if len(words) == 0 {
		return name{}
	}
	last := len(words) - 1
	return name{words[:last], words[last]}
}

// from is an events.Origin as it stands in a message; all empty where there is none.
type from struct{ system, message, sender, ods string }

// fromOf gives a message's identifier a system: what is a UUID names itself, anything else only among its sender's.
func (m Message) fromOf() from {
	o := m.Event.From
	if o == nil {
		return from{}
	}
	f := from{m.Hub.URL + messageIDs + m.By.ID, o.Message, o.Sender, o.ODS}
	if id, err := uuid.Parse(o.Message); err == nil && id.String() == o.Message {
		f.system, f.message = uriIDs, urn(o.Message)
	}
	return f
}

func (m Message) draft() *draft {
	d := &draft{
		Message: m, ids: m.ids(),
		occurred: textOf(m.Event.Occurred), recorded: textOf(m.Event.Recorded),
		patientName: nameOf(m.Patient.Name), byName: nameOf(m.By.Name), from: m.fromOf(),
	}
	d.alone = m.Event.Corrects != "" && (m.Event.Stay == "" || m.Event.Stay == m.first())
	if m.Event.Said != nil {
		d.said = textOf(*m.Event.Said)
	}
	if born, err := time.Parse(time.DateOnly, m.Patient.Born); err == nil {
		d.born = born.Format("2 January 2006")
	}
	d.summary = m.summaryText()
	return d
}

// blanks are the texts of a draft that are not the same in all messages of its form.
func (m *draft) blanks() []*string {
	out := make([]*string, 0, 40)
	out = append(out,
		&m.ids.bundle, &m.ids.event, &m.ids.header, &m.ids.encounter, &m.ids.condition, &m.ids.communication,
		&m.ids.patient, &m.ids.by, &m.ids.location, &m.ids.provenance,
		&m.occurred.instant, &m.occurred.words, &m.recorded.instant, &m.recorded.words, &m.said.instant, &m.said.words,
		&m.Event.ID, &m.Event.Corrects, &m.Event.Stay, &m.Event.Place, &m.Event.Words,
		&m.Patient.ID, &m.Patient.Name, &m.Patient.Born, &m.born, &m.Patient.NHSNumber, &m.patientName.family,
		&m.By.ID, &m.By.Name, &m.By.Relationship, &m.By.Phone, &m.byName.family,
		&m.from.system, &m.from.message, &m.from.sender, &m.from.ods,
	)
	for _, given := range [][]string{m.patientName.given, m.byName.given} {
		for i := range given {
			out = append(out, &given[i])
		}
	}
	return append(out, m.summaryBlanks()...)
}

// bundle puts the entries in order: the header, what it is about, then who and where (FHIR R4, 2.4.2).
func (m *draft) bundle() bundle {
	m.ids.ofHub(m.Hub)
	entries := make([]entry, 0, 10)
	add := func(id string, resource any) {
		entries = append(entries, entry{FullUrl: urn(id), Resource: resource})
	}
	add(m.ids.header, m.header())
	if m.Event.Kind.OfStay() {
		add(m.ids.encounter, m.encounter())
	}
	if m.fell() {
		add(m.ids.condition, m.condition())
	}
	add(m.ids.communication, m.communication())
	for i := range m.Event.Documents {
		add(m.documentID(i), m.documentReference(i))
	}
	if m.Patient.Summary != nil {
		add(m.summary.id, m.summaryList())
		for i := range m.Patient.Summary.Conditions {
			add(m.summary.conditions[i], m.familyCondition(i))
		}
	}
	add(m.ids.patient, m.patient())
	if m.By.Kind == events.Carer {
		add(m.ids.by, m.carer())
	} else {
		add(m.ids.by, m.system())
	}
	add(m.ids.hub, organization(m.Hub, m.ids.hub))
	add(m.ids.device, device(m.Hub, m.ids.device))
	if m.Event.Place != "" {
		add(m.ids.location, m.location())
	}
	add(m.ids.provenance, m.provenance())
	return newBundle(m.ids, m.recorded.instant, m.meta(bundleProfile), entries)
}

// references holds the id of the bundle, of the care event, and of every resource that a message may have. Those of people
// and stays are the same in all messages of one hub; the hub's URL is in each, since another hub may use the same
// pseudonym for another patient.
type references struct {
	bundle, event, header, encounter, condition, communication, patient, by, location, provenance string

	hub, device string
}

func (m Message) ids() references {
	ev, hub := m.Event, m.Hub.URL
	ids := idsOf(m.Hub, ev.ID)
	ids.patient = events.UUID("patient", hub, m.Patient.ID)
	if m.By.Kind == events.Carer {
		// A RelatedPerson is somebody in relation to one patient.
		ids.by = events.UUID("carer", hub, m.By.ID, m.Patient.ID)
	} else {
		ids.by = events.UUID("system", hub, m.By.ID)
	}
	if ev.Kind.OfStay() {
		ids.encounter = events.UUID("encounter", hub, cmp.Or(ev.Stay, m.first()))
	}
	if m.fell() {
		ids.condition = events.UUID("condition", hub, m.first())
	}
	if ev.Place != "" {
		ids.location = events.UUID("location", hub, ev.ID)
	}
	return ids
}

// idsOf are the ids that every message has, those of alarms too, but for the hub's own.
func idsOf(h events.Sender, event string) references {
	return references{
		bundle:        bundleID(event, ""),
		event:         eventUUID(event),
		header:        messageID(event, ""),
		communication: events.UUID("communication", h.URL, event),
		provenance:    events.UUID("provenance", h.URL, event),
	}
}

func (r *references) ofHub(h events.Sender) {
	r.hub, r.device = events.UUID("organization", h.URL), events.UUID("device", h.URL)
}
