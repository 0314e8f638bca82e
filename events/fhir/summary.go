package fhir

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// The patient's summary travels as a List with a Condition for each condition, in the family's words and unconfirmed. What it
// says of a ReSPECT form is a note on the List: where a form is said to be is no document. The summary is stored with the event,
// so that what is sent of it never depends on what the family writes later.

// summaryText is what a draft adds to a summary.
type summaryText struct {
	id         string   // of the List
	conditions []string // ids
	reviewed   string   // the date in words
}

const (
	summaryTitle = "Summary held by the family, not clinically confirmed"
	listCodes    = "http://terminology.hl7.org/CodeSystem/list-example-codes"

	formExists = "A ReSPECT form exists."
	formWhere  = "A ReSPECT form exists. Where it is kept: "
	formNone   = "There is no ReSPECT form."
)

// familyHeld is said of each condition by itself.
const familyHeld = "Family-held, not clinically confirmed."

var problems = concept(coding(listCodes, "problems", "Problem List"))

func (m Message) summaryText() summaryText {
	s := m.Patient.Summary
	if s == nil {
		return summaryText{}
	}
	// By its place, not its words: an id must not give away what it stands for.
	t := summaryText{id: events.UUID("summary", m.Hub.URL, m.Event.ID)}
	for i := range s.Conditions {
		t.conditions = append(t.conditions, events.UUID("family-condition", m.Hub.URL, m.Patient.ID, strconv.Itoa(i)))
	}
	if day, err := time.Parse(time.DateOnly, s.Reviewed); err == nil {
		t.reviewed = day.Format("2 January 2006")
	}
	return t
}

// summaryBlanks are the texts of the summary, none where there is no summary.
func (m *draft) summaryBlanks() []*string {
	s := m.Patient.Summary
	if s == nil {
		return nil
	}
	out := []*string{&m.summary.id, &m.summary.reviewed, &s.Reviewed, &s.Where}
	for i := range s.Conditions {
		out = append(out, &m.summary.conditions[i], &s.Conditions[i])
	}
	return out
}

func (m *draft) summaryList() list {
	s := m.Patient.Summary
	l := r4.OtherList{
		Id:      &m.summary.id,
		Text:    narrative(m.summaryLines()...),
		Status:  r4.ListStatusCurrent,
		Mode:    r4.ListModeSnapshot,
		Title:   new(summaryTitle),
		Code:    &problems,
		Subject: new(ref(m.ids.patient)),
		Date:    &s.Reviewed,
	}
	for _, id := range m.summary.conditions {
		l.Entry = append(l.Entry, r4.ListEntry{Item: ref(id)})
	}
	if form := respectWords(s); form != "" {
		l.Note = []r4.Annotation{{Text: form}}
	}
	return list{"List", l}
}

// familyCondition has no code: nobody puts what a family says into one.
func (m *draft) familyCondition(i int) condition {
	s := m.Patient.Summary
	return condition{"Condition", r4.OtherCondition{
		Id:                 &m.summary.conditions[i],
		Text:               narrative(s.Conditions[i], familyHeld),
		ClinicalStatus:     &active,
		VerificationStatus: &unconfirmed,
		Category:           []r4.CodeableConcept{problem},
		Code:               &r4.CodeableConcept{Text: &s.Conditions[i]},
		Subject:            ref(m.ids.patient),
		RecordedDate:       &s.Reviewed,
		Note:               []r4.Annotation{{Text: familyHeld}},
	}}
}

// summaryLines are the summary for a person, none where there is none. What it is stands first.
func (m *draft) summaryLines() []string {
	s := m.Patient.Summary
	if s == nil {
		return nil
	}
	out := []string{summaryTitle + "; last checked " + m.summary.reviewed + "."}
	if len(s.Conditions) > 0 {
		out = append(out, "Main conditions: "+strings.Join(s.Conditions, "; "))
	}
	if form := respectWords(s); form != "" {
		out = append(out, form)
	}
	return out
}

func respectWords(s *events.Summary) string {
	switch {
	case s.Respect == events.RespectExists && s.Where != "":
		return formWhere + s.Where
	case s.Respect == events.RespectExists:
		return formExists
	case s.Respect == events.RespectNone:
		return formNone
	}
	return ""
}

// isFamilys tells a condition of the summary from what happened, which has a code.
func isFamilys(resource []byte) bool {
	var c struct{ Code struct{ Coding []struct{} } }
	return json.Unmarshal(resource, &c) == nil && len(c.Code.Coding) == 0
}

// familySummary reads the summary back.
func (c *contents) familySummary() *events.Summary {
	if c.summary == nil {
		return nil
	}
	s := &events.Summary{Reviewed: text(c.summary.Date)}
	for _, one := range c.conditions {
		if one.Code != nil {
			s.Conditions = append(s.Conditions, text(one.Code.Text))
		}
	}
	for _, note := range c.summary.Note {
		where, said := strings.CutPrefix(note.Text, formWhere)
		switch {
		case said:
			s.Respect, s.Where = events.RespectExists, where
		case note.Text == formExists:
			s.Respect = events.RespectExists
		case note.Text == formNone:
			s.Respect = events.RespectNone
		}
	}
	return s
}
