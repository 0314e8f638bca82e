package fhir

import (
	"cmp"
	"html"
	"strings"
	"time"

	"carehub/events"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// narrative is a resource's text for people (FHIR R4, 2.4.4): one paragraph for each line that is not empty, as XHTML.
func narrative(lines ...string) *r4.Narrative {
	var b strings.Builder
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml">`)
	for _, line := range lines {
		if line != "" {
			b.WriteString("<p>")
			b.WriteString(html.EscapeString(line))
			b.WriteString("</p>")
		}
	}
	b.WriteString("</div>")
	return &r4.Narrative{Status: r4.NarrativeStatusGenerated, Div: b.String()}
}

// mark stands before everything a person may read first in a test message (hazard: test data taken as real).
func (m Message) mark() string {
	if m.Event.Test {
		return "TEST: "
	}
	return ""
}

func (m Message) title() string {
	title := m.mark() + shapes[m.Event.Kind].title
	switch {
	case m.Event.Correction.Retracts():
		title += ": taken back, entered in error"
	case m.Event.Correction != "":
		title += ": corrected"
	}
	return title
}

// lines say what happened, when, where, who says so, and what to beware of. Three times are three things: when it
// happened, when it was logged, and when the message was sent, which is for the transport to say (hazard: stale event).
func (m *draft) lines() []string {
	ev := m.Event
	out := make([]string, 0, 8)
	what := cmp.Or(m.Patient.Name, "The patient") + " " + shapes[ev.Kind].sentence
	if ev.Because == events.Fall {
		what += " because of a fall"
	}
	if ev.Correction != "" {
		out = append(out, m.mark()+ev.Correction.Words())
	}
	out = append(out, m.mark()+what+".")
	out = append(out, m.summaryLines()...)
	out = append(out, "When: "+m.occurred.words+".")
	if ev.Place != "" {
		out = append(out, "Where: "+ev.Place)
	}
	out = append(out, m.reporter(), "Logged: "+m.recorded.words+".")
	out = append(out, m.documentLines()...)
	for _, f := range ev.Flags {
		if line := cautions[f]; line != "" {
			out = append(out, line)
		}
	}
	if ev.Said != nil {
		out = append(out, "The time given was "+m.said.words+".")
	}
	return out
}

var cautions = map[events.Flag]string{
	events.FlagLate:           "This is late information: it was logged two hours or more after it happened.",
	events.FlagClock:          "The time is uncertain: the reporter's clock was wrong, so the time shown is when it was logged.",
	events.FlagRate:           "This reporter is logging more often than usual. Please check.",
	events.FlagAuthorityEnded: "The reporter's authority to log for this patient has ended.",
	events.FlagUnrouted:       "No rule says who should be told of this.",
	events.FlagMatched:        "A person decided whom this is about: the details of the patient that came with it did not agree with what is known here.",
	events.FlagRepeat:         "This may be a repeat: the same was logged less than 15 minutes before.",
}

// reporter says whose word it is (hazard: mistaken carer).
func (m Message) reporter() string {
	if m.By.Kind != events.Carer {
		return "Reported by a connected system, not checked by this hub: " + cmp.Or(m.By.Name, m.By.ID) + "."
	}
	who := cmp.Or(m.By.Name, m.By.ID)
	if m.By.Relationship != "" {
		who += " (" + m.By.Relationship + ")"
	}
	return "Reported by family carer, not clinically confirmed: " + who + "."
}

// source says whose message it was, where it was a message.
func (m *draft) source() string {
	if m.from.sender == "" {
		return ""
	}
	return "It came in a message of " + m.from.sender + "."
}

// quote marks the logger's own words, and gives "" if there are none.
func (m Message) quote() string {
	if m.Event.Words == "" {
		return ""
	}
	return m.quoteMark() + m.Event.Words
}

func (m Message) quoteMark() string {
	if m.By.Kind == events.Carer {
		return m.mark() + "In the carer's own words: "
	}
	return m.mark() + "In the sender's own words: "
}

// whom identifies the patient.
func (m *draft) whom() string {
	out := cmp.Or(m.Patient.Name, "Name not given")
	if m.born != "" {
		out += ", born " + m.born
	}
	if m.Patient.NHSNumber != "" {
		out += ", NHS number " + m.Patient.NHSNumber + " (not traced)"
	}
	return out
}

// when writes a time with weekday and offset, so that no reader has to guess either (hazard: wrong time).
func when(t time.Time) string {
	const day = "Monday 2 January 2006, 15:04"
	if _, offset := t.Zone(); offset == 0 {
		return t.Format(day + " (UTC)")
	}
	return t.Format(day + " (UTC-07:00)")
}
