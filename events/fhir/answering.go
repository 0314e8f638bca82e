package fhir

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"carehub/events"
)

// Answering is what a message says in answer to one that the hub has sent.
type Answering struct {
	Event  string // id of the event, "" where a bare response names none
	Answer events.Answer
	// Name and Role are those of the person who answers. Both are "" where it was a machine, which says no more than that it
	// has the message.
	Name string
	Role string
	Line string // what they add
	// To is MessageHeader.response.identifier, "" where there is none: see MessageID.
	To string
}

// ByPerson reports whether it is a named person's.
func (a Answering) ByPerson() bool { return a.Name != "" }

// MessageID is the MessageHeader.id of the message that tells a recipient of an event.
func MessageID(event, recipient string) string { return messageID(event, recipient) }

// answersUs reports whether a message is an answer: a response, or about nothing but Communications that respond to others.
func (d *document) answersUs(head resource) bool {
	if !head.at("response").missing() {
		return true
	}
	if head.at("reason").coded(messageReasonBars, "update", "delete") {
		return false
	}
	focus := head.at("focus").each()
	return len(focus) > 0 && !slices.ContainsFunc(focus, func(f element) bool {
		c := d.peek(f, "Communication")
		return c == nil || c.at("inResponseTo").missing()
	})
}

// answering reads an answer: which event it is about, what it says, and whose it is.
func (d *document) answering(head resource) *Answering {
	head.modifiers()
	out := &Answering{Answer: events.Seen}
	if response := head.at("response"); !response.missing() {
		out.To = response.at("identifier").needed()
		if code := response.at("code"); code.needed() != "" && !code.isOneOf("ok") {
			code.problem("not-supported", "Only what went well is taken in later. That a message cannot be taken, answer when it is delivered; now, please phone.")
		}
		if head.at("focus").missing() {
			return out
		}
	}
	said := d.focus(head, "Communication")
	if len(said) != 1 {
		if len(said) > 1 {
			head.at("focus").problem("invalid", "A message holds one answer.")
		}
		return out
	}
	out.Event = d.answered(said[0])
	out.Answer = said[0].answer()
	out.Line = said[0].line()
	who := said[0].at("sender")
	if who.missing() {
		who = head.at("sender")
	}
	d.answerer(who, out)
	return out
}

// answered is the event whose Communication this responds to: by its identifier, by its address here, or by that of a copy in the
// Bundle. The ids in messages are made from the event's, and cannot be read back.
func (d *document) answered(c *resource) string {
	list := c.at("inResponseTo")
	found := ""
	for _, to := range list.each() {
		id := eventOf(to.at("identifier"))
		if _, address, ok := cutLast(to.at("reference").text(), "Communication/"); ok && id == "" && events.ValidID(address) {
			id = address
		}
		if copied := d.peek(to, "Communication"); copied != nil && id == "" {
			for _, i := range copied.at("identifier").each() {
				id = cmp.Or(id, eventOf(i))
			}
		}
		if id != "" && found != "" && id != found {
			list.problem("invalid", "An answer is about one event.")
		}
		found = cmp.Or(found, id)
	}
	if found == "" {
		list.problem("required", "This must say what is answered: the identifier (system …"+eventIDs+") that the hub's Communication has.")
	}
	return found
}

// eventOf is the event that an Identifier is of, "" where it is of something else.
func eventOf(identifier element) string {
	if id := identifier.at("value").text(); strings.HasSuffix(identifier.at("system").text(), eventIDs) && events.ValidID(id) {
		return id
	}
	return ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// answer is what the status says: that it was read, that somebody acts on it, or that it is not theirs.
func (c *resource) answer() events.Answer {
	status := c.at("status")
	switch status.needed() {
	case "completed":
		return events.Seen
	case "in-progress":
		return events.Acting
	case "not-done":
		return events.NotForUs
	case "":
	default:
		status.problem("not-supported", "An answer is completed (seen), in-progress (being acted on) or not-done (not for us). What was answered by mistake, answer anew.")
	}
	return ""
}

// line is what the person adds: the texts, or why it is not for them.
func (c *resource) line() string {
	var texts []string
	last := c.at("statusReason")
	for _, p := range c.at("payload").each() {
		last = p.at("contentString")
		texts = append(texts, strings.Fields(last.text())...)
	}
	if len(texts) == 0 {
		texts = strings.Fields(c.at("statusReason").concept())
	}
	line := strings.Join(texts, " ")
	last.within(line, events.MaxLine)
	return line
}

// within complains of a text that was read from here and is too long.
func (e element) within(text string, most int) {
	if utf8.RuneCountInString(text) > most {
		e.problem("too-long", fmt.Sprintf("This is longer than %d characters. It is refused, because a text that is cut can say the opposite: shorten it.", most))
	}
}

// concept is a CodeableConcept in words.
func (e element) concept() string {
	words := e.at("text").text()
	for _, coding := range e.at("coding").each() {
		words = cmp.Or(words, coding.at("display").text())
	}
	return words
}

// answerer reads who answers. Of a person, name and role must be in the Bundle; a device or an organisation is no person.
func (d *document) answerer(who element, out *Answering) {
	quiet := element{&reading{}, who.path, who.value}
	found := d.resolve(quiet)
	switch {
	case found == nil && strings.Contains(who.at("reference").text(), "Practitioner"):
		d.resolve(who) // complains
	case found == nil:
	case found.kind == "Practitioner":
		found.called(out)
		found.role(found.at("qualification"), out, "code")
	case found.kind == "PractitionerRole":
		person := found.at("practitioner")
		if p := d.peek(person, "Practitioner"); p != nil {
			p.called(out)
		} else if out.Name = person.at("display").text(); out.Name == "" {
			person.problem("required", "Who is it? A Practitioner with a name must be in the Bundle.")
		}
		found.role(found.at("code"), out)
	case !slices.Contains([]string{"Device", "Organization", "HealthcareService"}, found.kind):
		who.problem("not-supported", "An answer is a Practitioner's or PractitionerRole's. That of a Device or an Organization only says that the message has arrived.")
	}
	who.within(out.Name, events.MaxAnswerer)
}

// called reads a Practitioner's name.
func (r *resource) called(out *Answering) {
	r.modifiers()
	for _, name := range r.at("name").each() {
		if out.Name == "" && !name.at("use").isOneOf("old", "maiden", "anonymous") {
			out.Name = cmp.Or(strings.Join(strings.Fields(name.at("text").text()), " "), name.given())
		}
	}
	if out.Name == "" {
		r.at("name").problem("required", "Who is it? An answer is a named person's.")
	}
}

// role reads what the person is, from the first of a list of concepts, or of what holds one.
func (r *resource) role(list element, out *Answering, within ...string) {
	for _, of := range list.each() {
		out.Role = cmp.Or(out.Role, strings.Join(strings.Fields(of.at(within...).concept()), " "))
	}
	if out.Role == "" {
		list.problem("required", "What are they? An answer needs the person's role, in words: PractitionerRole.code or Practitioner.qualification.code.")
	}
	list.within(out.Role, events.MaxAnswerer)
}
