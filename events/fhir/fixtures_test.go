package fhir_test

import (
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

var (
	hub = events.Sender{
		Name:    "Riverside carers' network",
		URL:     "https://hub.example",
		Phone:   "+44 7700 900123",
		Email:   "help@hub.example",
		Version: "0.1.0",
	}
	thomas = events.Patient{
		ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018", Gender: "male",
	}
	ruth = events.Person{
		ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter", Phone: "+44 7700 900124",
	}
	ward = events.Person{ID: "ward-board", Kind: events.System, Name: "Ward board of Riverside Hospital"}
)

// at is a time of the fixtures' night, in summer time.
func at(hour, minute int) time.Time {
	return time.Date(2026, 7, 12, hour, minute, 0, 0, time.FixedZone("", 3600))
}

// message is an event of the kind with everything filled in.
func message(kind events.Kind, key string) fhir.Message {
	by := events.Actor{Kind: ruth.Kind, ID: ruth.ID}
	id := events.NewID(by, thomas.ID, key)
	m := fhir.Message{
		Event: events.Event{
			ID: id, Patient: thomas.ID, Kind: kind,
			Occurred: at(1, 50), Recorded: at(2, 14).Add(7 * time.Second),
			By: by, Place: "Riverside Hospital", Words: "He is awake and asking for his glasses.",
		},
		Patient: thomas, By: ruth, Hub: hub, Urgency: events.Urgent,
	}
	if kind.OpensStay() {
		m.Event.Stay = id
	}
	return m
}

// cases are messages by the names of their golden files.
type cases map[string]fhir.Message

func (c cases) add(name string, kind events.Kind, edit func(*fhir.Message)) {
	m := message(kind, name)
	edit(&m)
	c[name] = m
}

// messages are the cases that the golden files show.
func messages() cases {
	c := cases{
		"admission":  message(events.Admission, "1"),
		"discharge":  message(events.Discharge, "2"),
		"fall":       message(events.Fall, "3"),
		"attendance": message(events.Attendance, "4"),
	}
	discharge := c["discharge"]
	discharge.Event.Stay = c["admission"].Event.ID
	discharge.Urgency = events.Routine
	c["discharge"] = discharge
	c.kinds()
	c.senders()
	c.summaries()
	c.corrections()
	c.documents()
	return c
}

func (c cases) kinds() {
	c.add("admission-because-fall", events.Admission, func(m *fhir.Message) { m.Event.Because = events.Fall })
	c.add("discharge-of-attendance", events.Discharge, func(m *fhir.Message) { m.Event.Ends = events.Attendance })
	c.add("minimal", events.Discharge, func(m *fhir.Message) {
		m.Event.Place, m.Event.Words, m.Urgency = "", "", ""
		m.Patient = events.Patient{ID: thomas.ID, Name: thomas.Name}
		m.By = events.Person{ID: ruth.ID, Kind: events.Carer}
		m.Hub = events.Sender{Name: hub.Name, URL: hub.URL, Email: hub.Email}
	})
	c.add("flags", events.Admission, func(m *fhir.Message) {
		m.Event.Flags = []events.Flag{
			events.FlagLate, events.FlagClock, events.FlagRate, events.FlagAuthorityEnded, events.FlagRepeat,
		}
		m.Event.Said = new(at(9, 30))
	})
	c.add("test", events.Fall, func(m *fhir.Message) { m.Event.Test = true })
	c.add("unicode", events.Fall, func(m *fhir.Message) {
		m.Patient.Name = "Zoë  O’Brien-Łukasiewicz"
		m.Event.Place = `A&E <"Ward 7">`
		m.Event.Words = "Sie ist gestürzt & sagt: \"<b>aua</b>\" 🤕\n\t\\ ]]> \u2028 \"destination\":[ 転んだ"
		m.Event.Occurred = time.Date(2026, 7, 12, 23, 59, 59, 123e6, time.UTC)
	})
}

func (c cases) senders() {
	c.add("system", events.Admission, func(m *fhir.Message) {
		m.By = ward
		m.Event.By = events.Actor{Kind: ward.Kind, ID: ward.ID}
	})
	c.add("system-fall", events.Fall, func(m *fhir.Message) {
		m.By = ward
		m.Event.By = events.Actor{Kind: ward.Kind, ID: ward.ID}
		m.Event.Place = ""
	})
	c.add("forwarded", events.Admission, func(m *fhir.Message) {
		m.By = ward
		m.Event.By = events.Actor{Kind: ward.Kind, ID: ward.ID}
		m.Event.From = &events.Origin{Message: "31ab7fe2-e0ad-41ea-bf7c-864d2e68a322", Sender: "Riverside Hospital NHS Trust", ODS: "RX0ZZ"}
		m.Event.Flags = []events.Flag{events.FlagMatched}
	})
	c.add("forwarded-unnamed", events.Fall, func(m *fhir.Message) {
		m.By = ward
		m.Event.By = events.Actor{Kind: ward.Kind, ID: ward.ID}
		m.Event.From = &events.Origin{Message: "message-17"}
		m.Event.Words, m.Event.Place = "", ""
	})
}

func (c cases) summaries() {
	c.add("summary", events.Admission, func(m *fhir.Message) {
		m.Event.Because = events.Fall
		m.Patient.Summary = &events.Summary{Conditions: []string{"bowel cancer", `frailty & "falls"`}, Respect: events.RespectExists,
			Where: "blue folder, kitchen", Reviewed: "2026-10-01"}
	})
	c.add("summary-fall", events.Fall, func(m *fhir.Message) {
		m.Event.Test = true
		m.Patient.Summary = &events.Summary{Respect: events.RespectNone, Reviewed: "2026-10-01"}
	})
	c.add("summary-long", events.Discharge, func(m *fhir.Message) {
		m.Patient.Summary = &events.Summary{Respect: events.RespectExists, Reviewed: "2026-10-01"}
		for range events.MaxConditions {
			m.Patient.Summary.Conditions = append(m.Patient.Summary.Conditions, "a condition of many")
		}
	})
}

// taken makes a message one that takes the event 1 back, or puts it right.
func taken(c events.Correction) func(*fhir.Message) {
	return func(m *fhir.Message) {
		m.Event.Corrects, m.Event.Correction = message(m.Event.Kind, "1").Event.ID, c
		if m.Event.Kind.OpensStay() {
			m.Event.Stay = m.Event.Corrects
		}
	}
}

func (c cases) corrections() {
	c.add("retraction", events.Admission, taken(events.Retracted))
	c.add("retraction-because-fall", events.Admission, func(m *fhir.Message) {
		taken(events.WrongPerson)(m)
		m.Event.Because = events.Fall
	})
	c.add("retraction-of-fall", events.Fall, taken(events.WrongEvent))
	c.add("retraction-of-discharge", events.Discharge, func(m *fhir.Message) {
		taken(events.Retracted)(m)
		m.Event.Stay = message(events.Admission, "0").Event.ID
	})
	c.add("retraction-of-second-report", events.Admission, func(m *fhir.Message) {
		taken(events.WrongEvent)(m)
		m.Event.Stay = message(events.Attendance, "0").Event.ID
	})
	c.add("corrected-time", events.Discharge, taken(events.WrongTime))
}

func (c cases) documents() {
	c.add("document", events.DocumentAdded, func(m *fhir.Message) {
		m.Event.Place, m.Urgency = "", events.Routine
		m.Event.Documents = attached(m.Event.ID, events.DocLetter)
	})
	c.add("documents", events.Admission, func(m *fhir.Message) {
		m.Event.Documents = attached(m.Event.ID, events.DocRespect, events.DocPhoto)
	})
	c.add("documents-of-fall", events.Fall, func(m *fhir.Message) { m.Event.Documents = attached(m.Event.ID, events.DocPhoto) })
	c.add("retraction-of-document", events.DocumentAdded, func(m *fhir.Message) {
		taken(events.WrongPerson)(m)
		m.Event.Documents = attached(m.Event.Corrects, events.DocResult)
	})
}

// attached are documents of these kinds; photographs are JPEG.
func attached(event string, kinds ...events.DocumentKind) (all []events.Document) {
	for _, kind := range kinds {
		d := events.Document{ID: events.DocumentID(event, kind, "file"), Kind: kind, Media: events.PDF, Size: 312 << 10, Added: at(2, 10),
			SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", SHA1: "qUqP5cyxm6YcTAhz05Hph5gvu9M="}
		if kind == events.DocPhoto {
			d.Media = events.JPEG
		}
		all = append(all, d)
	}
	return all
}

func alarm() fhir.Alarm {
	about := events.About{
		Event: message(events.Admission, "1").Event.ID, Recipient: "hospice", Channel: "email", Reason: events.ReasonTimeout,
	}
	return fhir.Alarm{
		ID: events.AlarmID(about), About: about, Recorded: at(2, 40), Hub: hub,
		Words: "The hospice could not be told by email. Please phone 01234 567890.",
	}
}

func destination() fhir.Destination {
	return fhir.Destination{
		Recipient: "riverside-surgery",
		Name:      `Riverside "R&D" Surgery`,
		Endpoint:  "https://hub.example/id/subscriber/riverside-surgery",
	}
}
