package fhir

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"carehub/events"
)

// Incoming is what a message of another system says: what happened, to whom, and how its sender wants to be answered.
type Incoming struct {
	Reply
	Bundle string // Bundle.id, or the value of its identifier

	Kind     events.Kind
	Because  events.Kind
	Occurred time.Time
	Place    string
	Class    string // of the encounter, one of events.Classes; empty if it says none of them
	Words    string // of the sender: all the texts of its Communications
	Test     bool
	// Restricted says that the sender marks it as confidential beyond what is usual (v3-Confidentiality R or V).
	Restricted bool
	From       events.Origin
	Patient    events.Details
	// Notes are what was read past: nothing of it is passed on.
	Notes []Issue
	// Answering is set where it tells nothing new, but answers what the hub has told: of the above there is no more than Reply,
	// Bundle and From then.
	Answering *Answering
}

// Reply is what an answer to a message needs to know of it.
type Reply struct {
	Message  string // MessageHeader.id
	Wanted   string // by the extension messageheader-response-request: always, on-error, never, on-success, or ""
	Event    string // code of the notification-event system; empty where there was none
	Endpoint string // of the sender
}

// Rejected is why a message was not taken: what is wrong, where, and what to do. It quotes nothing of the message.
type Rejected struct {
	Kind   events.ErrorKind // Invalid, TooLarge
	Issues []Issue
	Broken bool // it is no JSON
}

func (r *Rejected) Error() string { return "the message cannot be taken: " + r.Issues[0].Diagnostics }

// Unwrap makes events.KindOf work.
func (r *Rejected) Unwrap() error { return &events.Error{Kind: r.Kind, Message: r.Error()} }

func rejected(kind events.ErrorKind, code, path, words string) *Rejected {
	return &Rejected{Kind: kind, Issues: []Issue{{Severity: "error", Code: code, Diagnostics: words, Expression: path}}}
}

// Receive reads a message that another system sends: a notification of an admission, attendance, discharge or fall as Da
// Vinci Unsolicited Notifications lays it out, whatever national profile its resources follow, or an answer to one. What it does not know it
// reads past; what it acts on must be there, once, and mean one thing. The error is a *Rejected; what could be read of the
// Reply comes with it.
func Receive(b []byte) (Incoming, error) {
	if len(b) > MaxMessage {
		return Incoming{}, rejected(events.TooLarge, "too-long", "", "The message is larger than 1 MB. Leave out documents and images.")
	}
	v, err := parse(b)
	if err != nil {
		why := rejected(events.Invalid, "structure", "", "This is not one well-formed JSON document in UTF-8, with each name given once.")
		why.Broken = true
		return Incoming{}, why
	}
	in := &reading{}
	d := document{bundle: element{in, "Bundle", v}, byURL: map[string]int{}}
	out := d.read()
	if len(in.issues) > 0 {
		return Incoming{Reply: out.Reply, Bundle: out.Bundle}, &Rejected{Kind: events.Invalid, Issues: in.issues}
	}
	return out, nil
}

// document is a Bundle whose entries can be found.
type document struct {
	bundle  element
	entries []resource
	byURL   map[string]int
	patient *resource // whom everything is about, once that is known
}

// resource is an entry's resource.
type resource struct {
	element
	kind, id, fullURL string
}

// modifiers are what changes the meaning of a resource in ways that this hub does not know (FHIR R4, 2.4.0.2.1).
func (e element) modifiers() {
	for _, name := range []string{"modifierExtension", "implicitRules"} {
		if x := e.at(name); !x.missing() {
			x.problem("extension", "This changes the meaning of the resource in a way that this hub does not know. Send it without.")
		}
	}
}

func (d *document) read() (out Incoming) {
	if d.bundle.at("resourceType").value != "Bundle" || d.bundle.at("type").value != "message" {
		d.bundle.problem("structure", "This must be a Bundle of type message.")
		return out
	}
	d.bundle.modifiers()
	out.Bundle = d.envelope()
	if !d.index() {
		return out
	}
	head := d.entries[0]
	out.Reply = head.reply()
	if out.Message == "" {
		head.at("id").problem("required", "The message needs an id of its own: 1 to 64 of A-Z a-z 0-9 - and dot.")
	}
	out.From = d.origin(head, out.Message)
	if d.answersUs(head) {
		out.Answering = d.answering(head)
		return out
	}
	if !head.supported() {
		return out
	}
	switch out.Event {
	case admitEvent, visitEvent, dischargeEvent:
		d.stay(head, &out)
	case conditionEvent:
		d.fall(head, &out)
	default:
		head.at("eventCoding", "code").problem("not-supported", "This hub takes "+strings.Join([]string{admitEvent, visitEvent, dischargeEvent, conditionEvent}, ", ")+
			" of "+notificationEvent+", and no other event.")
		return out
	}
	d.common(head, &out)
	return out
}

// The events that the hub takes in.
const (
	admitEvent     = "notification-admit"
	visitEvent     = "notification-outpatient-visit"
	dischargeEvent = "notification-discharge"
	conditionEvent = "notification-new-condition"
)

func (d *document) envelope() string {
	e := d.bundle.at("id")
	id := e.text()
	if id == "" {
		e = d.bundle.at("identifier", "value")
		if id = e.text(); len(id) > events.MaxKey {
			e.problem("too-long", "An identifier may have 128 characters.")
		}
	} else if !fhirID(id) {
		e.problem("value", "An id is 1 to 64 of A-Z a-z 0-9 - and dot.")
	}
	if id == "" {
		d.bundle.at("id").problem("required", "The Bundle needs an id that is new for each message, and the same when the message is repeated.")
	}
	return id
}

// index finds the resources of the Bundle. Two of one address would let a reference mean either.
func (d *document) index() bool {
	for i, e := range d.bundle.at("entry").each() {
		r := e.at("resource")
		found := resource{r, r.at("resourceType").text(), r.at("id").text(), e.at("fullUrl").text()}
		if found.fullURL != "" {
			if _, twice := d.byURL[found.fullURL]; twice {
				e.at("fullUrl").problem("duplicate", "Another entry has the same fullUrl.")
			}
			d.byURL[found.fullURL] = i
		}
		if (i == 0) != (found.kind == "MessageHeader") {
			r.problem("structure", "A MessageHeader must be the first entry, and no other.")
			return false
		}
		d.entries = append(d.entries, found)
	}
	if len(d.entries) == 0 {
		d.bundle.at("entry").problem("required", "The first entry must be a MessageHeader.")
	}
	return len(d.entries) > 0
}

// resolve finds what a reference within the Bundle means (FHIR R4, 2.36.4.1): by its fullUrl, or by type and id.
func (d *document) resolve(from element, kinds ...string) *resource {
	ref := from.at("reference")
	target := ref.text()
	if target == "" {
		ref.problem("required", "This must refer to a resource in the Bundle.")
		return nil
	}
	at, found := d.byURL[target]
	if !found {
		target, _, _ = strings.Cut(target, "/_history/")
		matches := 0
		for i, e := range d.entries {
			if e.id != "" && (target == e.kind+"/"+e.id || e.fullURL == "" && strings.HasSuffix(target, "/"+e.kind+"/"+e.id)) {
				at, matches = i, matches+1
			}
		}
		found = matches == 1
	}
	if !found {
		ref.problem("not-found", "No entry of the Bundle, or more than one, is what this refers to.")
		return nil
	}
	if r := &d.entries[at]; len(kinds) == 0 || slices.Contains(kinds, r.kind) {
		return r
	}
	ref.problem("invalid", "This must refer to a resource of type "+strings.Join(kinds, " or ")+".")
	return nil
}

// peek is resolve where nothing depends on it.
func (d *document) peek(from element, kind string) *resource {
	quiet := element{&reading{}, from.path, from.value}
	return d.resolve(quiet, kind)
}

const responseRequest = "http://hl7.org/fhir/StructureDefinition/messageheader-response-request"

func (head resource) reply() Reply {
	r := Reply{Message: head.id, Wanted: head.extension(responseRequest, "valueCode"), Endpoint: head.at("source", "endpoint").text()}
	if r.Message == "" {
		r.Message = strings.TrimPrefix(head.fullURL, "urn:uuid:")
	}
	if !fhirID(r.Message) {
		r.Message = ""
	}
	if coding := head.at("eventCoding"); coding.at("system").text() == notificationEvent && fhirID(coding.at("code").text()) {
		r.Event = coding.at("code").text()
	}
	return r
}

// supported refuses what the hub would have to undo: corrections and retractions.
func (head resource) supported() bool {
	head.modifiers()
	if head.at("reason").coded(messageReasonBars, "update", "delete") {
		head.at("reason").problem("not-supported", "This hub takes no corrections and retractions by message yet. Nothing was changed: please phone those who were told.")
		return false
	}
	return true
}

// origin is who the message says that it comes from.
func (d *document) origin(head resource, message string) events.Origin {
	from := events.Origin{Message: message}
	for _, who := range []element{head.at("sender"), head.at("responsible")} {
		if from.Sender != "" {
			break
		}
		if org := d.peek(who, "Organization"); org != nil {
			from.Sender, from.ODS = org.at("name").short(events.MaxName), org.identifier(odsCode)
		}
		from.Sender = cmp.Or(from.Sender, who.at("display").short(events.MaxName))
	}
	from.Sender = cmp.Or(from.Sender, head.at("source", "name").short(events.MaxName))
	return from
}

// identifier is the value of a resource's identifier of a system, "" where it is too long to be one.
func (r resource) identifier(system string) string {
	for _, id := range r.at("identifier").each() {
		if value := id.at("value").text(); id.at("system").text() == system && len(value) <= 32 {
			return value
		}
	}
	return ""
}

// focus is the resources of these types among those that the header says the message is about.
func (d *document) focus(head resource, kinds ...string) (found []*resource) {
	list, lost := head.at("focus"), false
	for _, f := range list.each() {
		r := d.resolve(f)
		lost = lost || r == nil
		if r != nil && slices.Contains(kinds, r.kind) {
			r.modifiers()
			found = append(found, r)
		}
	}
	if len(found) == 0 && !lost {
		list.problem("required", "The header must say what the message is about: "+strings.Join(kinds, " or ")+".")
	}
	return found
}

// about holds that everything is about one patient, the only one in the message (hazard: wrong patient).
func (d *document) about(subject element) {
	who := d.resolve(subject, "Patient")
	switch {
	case who == nil:
	case d.patient == nil:
		d.patient = who
	case d.patient.path != who.path:
		subject.problem("business-rule", "This is about another patient than the rest of the message. Send one message for each patient.")
	}
}

// common reads what every message has.
func (d *document) common(head resource, out *Incoming) {
	if d.patient == nil {
		return // complained of
	}
	for _, r := range d.entries {
		if r.kind == "Patient" && r.path != d.patient.path {
			r.problem("business-rule", "The message holds two patients. Send one message for each.")
		}
	}
	d.patient.modifiers()
	out.Patient = d.patient.details()
	out.Words = d.words(out)
	for _, e := range []element{d.bundle, head.element, d.patient.element} {
		e.marks(out)
	}
}

// marks are the labels that change who may see a message, or whether it is one at all.
func (e element) marks(out *Incoming) {
	labels := append(e.at("meta", "tag").each(), e.at("meta", "security").each()...)
	for _, label := range labels {
		out.Test = out.Test || label.isCode(actReason, "HTEST")
		out.Restricted = out.Restricted || label.isCode(confidentiality, "R", "V")
	}
}

// words joins the texts of the Communications about the patient.
func (d *document) words(out *Incoming) string {
	var texts []string
	var last element
	for _, r := range d.entries {
		if r.kind != "Communication" {
			continue
		}
		r.modifiers()
		if subject := r.at("subject"); !subject.missing() {
			d.about(subject)
		}
		if r.at("status").isOneOf("entered-in-error", "not-done") {
			r.at("status").problem("not-supported", "This says that it was not said. Leave it out of the message.")
		}
		for _, p := range r.at("payload").each() {
			last = p.at("contentString")
			if text := last.text(); text != "" {
				texts = append(texts, text)
			} else if last.missing() {
				out.Notes = append(out.Notes, Issue{Severity: "warning", Code: "not-supported", Expression: p.path,
					Diagnostics: "Only texts are passed on, no attachments and references."})
			}
		}
	}
	words := strings.Join(texts, "\n")
	if utf8.RuneCountInString(words) > events.MaxWords {
		last.problem("too-long", "The texts of the message are longer than 1000 characters together. They are refused, because a text that is cut can say the opposite: shorten them.")
	}
	return words
}

func (e element) isOneOf(codes ...string) bool { return slices.Contains(codes, e.text()) }
