package fhir

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"carehub/events"
)

var (
	inpatientClasses  = []string{"IMP", "ACUTE", "NONAC", "OBSENC", "SS"} // v3-ActCode: a bed was given
	outpatientClasses = []string{"AMB", "EMER"}
	// Falls of SNOMED CT: fall, accidental fall, fall in home, falls, elderly fall.
	fallCodes = []string{"1912002", "217082002", "40104005", "161898004", "298344006"}
)

const nhsNumberOID = "urn:oid:2.16.840.1.113883.2.1.4.1"

// stay reads an admission, attendance or discharge: the Encounter that is in focus.
func (d *document) stay(head resource, out *Incoming) {
	focus := d.focus(head, "Encounter")
	if len(focus) != 1 {
		if len(focus) > 1 {
			head.at("focus").problem("invalid", "A message is about one Encounter.")
		}
		return
	}
	e := focus[0]
	d.about(e.at("subject"))
	e.happened()
	out.Kind = e.kindOf(out.Event)
	out.Occurred = e.when(out.Kind)
	if out.Kind.OpensStay() && d.becauseOfFall(e) {
		out.Because = events.Fall
	}
	out.Place = d.place(e)
	if class := e.at("class"); class.isCode(actCode, events.Classes...) {
		out.Class = class.at("code").text()
	}
	e.marks(out)
}

// happened refuses what has yet to happen, or did not.
func (e *resource) happened() {
	status := e.at("status")
	status.needed()
	switch {
	case status.isOneOf("planned"):
		status.problem("business-rule", "This has not happened yet. Send it when it has.")
	case status.isOneOf("cancelled", "entered-in-error"):
		status.problem("not-supported", "This hub takes no retractions by message yet. Nothing was changed: please phone those who were told.")
	}
}

// kindOf tells a bed from a visit by the class: Da Vinci's admit event stands for both.
func (e *resource) kindOf(event string) events.Kind {
	if event == dischargeEvent {
		return events.Discharge
	}
	class := e.at("class")
	switch {
	case class.at("code").needed() == "":
	case class.isCode(actCode, inpatientClasses...) && event == admitEvent:
		return events.Admission
	case class.isCode(actCode, outpatientClasses...):
		return events.Attendance
	case event == visitEvent:
		class.at("code").problem("not-supported", "An outpatient visit is of class "+strings.Join(outpatientClasses, " or ")+" of "+actCode+".")
	default:
		class.at("code").problem("not-supported", "An admission is of class "+strings.Join(inpatientClasses, ", ")+
			", somebody seen and not admitted of class "+strings.Join(outpatientClasses, " or ")+", all of "+actCode+".")
	}
	return ""
}

// when is the end of the period that the kind is about.
func (e *resource) when(kind events.Kind) time.Time {
	at := e.at("period", "start")
	if kind == events.Discharge {
		at = e.at("period", "end")
	}
	if at.needed() == "" {
		return time.Time{}
	}
	return at.moment()
}

func (d *document) becauseOfFall(e *resource) bool {
	for _, reason := range e.at("reasonCode").each() {
		if reason.coded(snomed, fallCodes...) {
			return true
		}
	}
	for _, reason := range e.at("reasonReference").each() {
		if c := d.peek(reason, "Condition"); c != nil && c.at("code").coded(snomed, fallCodes...) {
			return true
		}
	}
	return false
}

// place is where the patient is now, and whose house that is.
func (d *document) place(e *resource) string {
	var place string
	list := e.at("location").each()
	for i, l := range list {
		if active := l.at("status").isOneOf("active"); !active && i < len(list)-1 {
			continue // earlier beds come first
		}
		at := l.at("location")
		place = at.at("display").short(events.MaxPlace)
		if found := d.peek(at, "Location"); found != nil {
			place = cmp.Or(found.at("name").short(events.MaxPlace), place)
		}
		break
	}
	provider := e.at("serviceProvider")
	house := provider.at("display").short(events.MaxPlace)
	if found := d.peek(provider, "Organization"); found != nil {
		house = cmp.Or(found.at("name").short(events.MaxPlace), house)
	}
	switch {
	case place == "" || strings.Contains(house, place):
		return house
	case house == "" || strings.Contains(place, house):
		return place
	}
	if both := place + ", " + house; utf8.RuneCountInString(both) <= events.MaxPlace {
		return both
	}
	provider.problem("too-long", "Location and service provider together are longer than 120 characters. Shorten them: they are never cut.")
	return ""
}

// fall reads a fall: of the Conditions that are in focus, or that a Communication in focus is about, the one that is a fall.
func (d *document) fall(head resource, out *Incoming) {
	var conditions []*resource
	seen := map[string]bool{}
	add := func(c *resource) {
		if c != nil && !seen[c.path] {
			seen[c.path] = true
			conditions = append(conditions, c)
		}
	}
	for _, f := range d.focus(head, "Condition", "Communication") {
		d.about(f.at("subject"))
		if f.kind == "Condition" {
			add(f)
			continue
		}
		for _, about := range append(f.at("about").each(), f.at("reasonReference").each()...) {
			add(d.peek(about, "Condition"))
		}
	}
	if d.patient == nil {
		return // complained of
	}
	if len(conditions) != 1 || !conditions[0].at("code").coded(snomed, fallCodes...) {
		head.at("focus").problem("not-supported", "The only new condition that this hub takes is one fall: a Condition whose code is one of "+
			strings.Join(fallCodes, ", ")+" of "+snomed+".")
		return
	}
	c := conditions[0]
	c.modifiers()
	d.about(c.at("subject"))
	out.Kind = events.Fall
	if c.at("verificationStatus").coded(conditionVerified, "refuted", "entered-in-error") {
		c.at("verificationStatus").problem("not-supported", "This says that there was no fall. This hub takes no retractions by message yet: please phone those who were told.")
	}
	out.Occurred = c.onset()
	c.marks(out)
}

// onset is when it happened, or else when it was written down, which is no earlier.
func (c *resource) onset() time.Time {
	for _, at := range []element{c.at("onsetDateTime"), c.at("onsetPeriod", "start"), c.at("recordedDate")} {
		if !at.missing() {
			return at.moment()
		}
	}
	c.at("onsetDateTime").problem("required", "When did it happen? A date with a time and its zone is needed.")
	return time.Time{}
}

// details are whom the message is about. A patient who has two numbers has none.
func (p *resource) details() events.Details {
	var out events.Details
	for _, id := range p.at("identifier").each() {
		system, number := id.at("system").text(), id.at("value").text()
		if system != NHSNumber && system != nhsNumberOID || id.at("use").isOneOf("old") {
			continue
		}
		number = strings.NewReplacer(" ", "", "-", "").Replace(number)
		if out.NHSNumber != "" && out.NHSNumber != number {
			out.NHSNumber = ""
			break
		}
		out.NHSNumber = number
	}
	if len(out.NHSNumber) > maxNumber {
		out.NHSNumber = ""
	}
	if born := p.at("birthDate").text(); dated(born) {
		out.Born = born
	}
	for _, name := range p.at("name").each() {
		if name.at("use").isOneOf("old", "maiden", "nickname", "anonymous") {
			continue
		}
		out.Family, out.Name = name.at("family").short(events.MaxName), name.at("text").short(events.MaxName)
		if out.Name == "" {
			out.Name = name.given()
		}
		break
	}
	return out
}

const maxNumber = 20 // bytes of what may be an NHS number

func (e element) given() string {
	var words []string
	for _, g := range e.at("given").each() {
		words = append(words, g.short(events.MaxName))
	}
	whole := strings.TrimSpace(strings.Join(words, " ") + " " + e.at("family").text())
	if utf8.RuneCountInString(whole) > events.MaxName {
		return e.at("family").text() // only for a person to look at
	}
	return whole
}
