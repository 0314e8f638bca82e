package email

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"

	"carehub/events"
	"carehub/events/fhir"
)

// letter is what a message tells, before it is laid out as plain text or HTML. Empty parts are left out.
type letter struct {
	Lang   string // BCP 47
	Title  string
	Lead   []string // paragraphs
	Family *family  // what the family says of the patient's health
	Facts  []fact
	Quoted string   // introduces Words
	Words  []string // lines of the logger's own
	Notes  []string // what to beware of
	Link   string
	Action string // what is done at the link
	Foot   []string
}

type fact struct{ Label, Value string }

// family is the patient's summary, which stands before everything else but what happened.
type family struct {
	Title string // what it is, and what it is not
	Facts []fact
}

// Fixed words. They are tested, as they keep people from relying on email for what it cannot do.
const (
	testWords   = "TEST: this is only a test. Please do not act on it."
	notForHelp  = "We do not use email for emergencies. This message does not call an ambulance: if someone needs help now, call 999."
	readAction  = "Read the message"
	linkWords   = "The link is for you alone. Please do not pass it on."
	unconfirmed = "family carer, not clinically confirmed"
	familyHeld  = "Summary held by the family, not clinically confirmed; last checked %s"
)

// compose decides what each content level tells. Less is the default: anything but summary and full is a link.
func compose(d events.Delivery, m fhir.Message) letter {
	if isWelsh(d) {
		return bareInWelsh(d, m)
	}
	var l letter
	switch {
	case m.Event.Kind == events.Alarm:
		l = alarm(d, m)
	case d.Content == events.ContentFull:
		l = about(d, m, full(m))
	case d.Content == events.ContentSummary:
		l = about(d, m, summary(m))
	default:
		l = about(d, m, bare(d, m))
	}
	if words := m.Event.Correction.Words(); words != "" && (d.Content == events.ContentFull || d.Content == events.ContentSummary) {
		l.Lead = append([]string{words}, l.Lead...)
	}
	if d.Test || m.Event.Test {
		l.Lead = append([]string{testWords}, l.Lead...)
	}
	l.Lang = english
	return l
}

// about adds what every message about a patient has.
func about(d events.Delivery, m fhir.Message, l letter) letter {
	if d.Urgent {
		l.Lead = append([]string{"This is urgent."}, l.Lead...)
	}
	if d.Link != nil {
		l.Link = d.Link()
	}
	l.Action = readAction
	l.Foot = append([]string{linkWords}, foot(d, m, "messages about this person")...)
	return l
}

// bare says that there is something to read, and nothing of what it is.
func bare(d events.Delivery, m fhir.Message) letter {
	return letter{
		Title: "A message about someone in your care",
		Lead:  []string{fmt.Sprintf("%s has a message for %s about someone in your care. Please read it at the link.", m.Hub.Name, d.Name)},
	}
}

// alarm is about no patient and leads nowhere.
func alarm(d events.Delivery, m fhir.Message) letter {
	l := letter{Title: "Somebody could not be told", Lead: []string{m.Event.Words}, Foot: foot(d, m, "messages that somebody could not be told")}
	if d.Notice {
		l.Title, l.Foot = "Something needs your attention", foot(d, m, "messages about the hub itself")
	}
	return l
}

// summary tells what happened to someone whom only those who know the patient will recognise.
func summary(m fhir.Message) letter {
	who := initials(m.Patient.Name)
	if len(m.Patient.Born) >= 4 {
		who += ", born in " + m.Patient.Born[:4] + ","
	}
	return letter{
		Title: "About someone in your care",
		Lead:  []string{who + " " + happened(m.Event) + "."},
		Facts: append(whenAndWhere(m.Event), fact{"Reported by", reporter(m.By)}),
		Notes: cautions(m.Event),
	}
}

func full(m fhir.Message) letter {
	l := letter{
		Title: "About someone in your care",
		Lead:  []string{cmp.Or(m.Patient.Name, "The patient") + " " + happened(m.Event) + "."},
		Notes: cautions(m.Event),
	}
	if s := m.Patient.Summary; s != nil {
		l.Family = &family{fmt.Sprintf(familyHeld, birthday(s.Reviewed)),
			[]fact{{"Main conditions", strings.Join(s.Conditions, "; ")}, {"ReSPECT form", form(*s)}}}
	}
	l.Facts = []fact{{"Name", m.Patient.Name}, {"Born", birthday(m.Patient.Born)}, {"NHS number", grouped(m.Patient.NHSNumber)}}
	l.Facts = append(l.Facts, whenAndWhere(m.Event)...)
	l.Facts = append(l.Facts, fact{"Reported by", named(m.By)}, fact{"Their phone", m.By.Phone})
	if m.Event.Words != "" {
		l.Quoted = "In the carer's own words:"
		if m.By.Kind != events.Carer {
			l.Quoted = "In the sender's own words:"
		}
		l.Words = strings.FieldsFunc(m.Event.Words, func(r rune) bool { return r == '\n' || r == '\r' })
	}
	return l
}

// form says whether there is a ReSPECT form; "" where nobody has said.
func form(s events.Summary) string {
	switch {
	case s.Respect == events.RespectExists && s.Where != "":
		return "exists; kept: " + s.Where
	case s.Respect == events.RespectExists:
		return "exists"
	case s.Respect == events.RespectNone:
		return "there is none"
	}
	return ""
}

// happened continues a sentence that begins with the patient.
func happened(ev events.Event) string {
	what := map[events.Kind]string{
		events.Admission:  "was admitted to hospital",
		events.Attendance: "was seen but not admitted",
		events.Discharge:  "was discharged",
		events.Fall:       "had a fall",

		events.DocumentAdded: "has a document that was passed on",
	}[ev.Kind]
	if ev.Because == events.Fall {
		what += " because of a fall"
	}
	return cmp.Or(what, "has news")
}

func whenAndWhere(ev events.Event) []fact {
	happened := moment(ev.Occurred, ev.Occurred)
	if ev.Has(events.FlagLate) {
		happened = "LATE: " + happened
	}
	facts := []fact{{"Happened", happened}, {"Logged", moment(ev.Recorded, ev.Occurred)}}
	if ev.Said != nil {
		facts = append(facts, fact{"Time as given", moment(*ev.Said, ev.Occurred)})
	}
	return append(facts, fact{"Where", ev.Place})
}

// reporter says whose word it is without naming anyone.
func reporter(by events.Person) string {
	if by.Kind == events.Carer {
		return "a " + unconfirmed
	}
	return "a connected system, not checked by this hub"
}

func named(by events.Person) string {
	who := by.Name
	if by.Kind != events.Carer {
		return who + ", a connected system, not checked by this hub"
	}
	if by.Relationship != "" {
		who += " (" + by.Relationship + ")"
	}
	return who + ", " + unconfirmed
}

// cautions are the event's flags as sentences, in the order the event carries them.
func cautions(ev events.Event) []string {
	var out []string
	for _, f := range ev.Flags {
		if words, ok := flagWords[f]; ok {
			out = append(out, words)
		}
	}
	return out
}

var flagWords = map[events.Flag]string{
	events.FlagLate:           "This is late information: it was logged two hours or more after it happened.",
	events.FlagClock:          "The time is uncertain: the reporter's clock was wrong, so the time shown is when it was logged.",
	events.FlagRate:           "This reporter is logging more often than usual. Please check.",
	events.FlagAuthorityEnded: "The reporter's authority to log for this person has ended.",
	events.FlagMatched:        "A person decided whom this is about: the details of the patient that came with it did not agree with what is known here.",
	events.FlagRepeat:         "This may be a repeat: the same was logged less than 15 minutes before.",
}

// foot is what every message ends with: how to reach a person, what email is not for, and why it came.
func foot(d events.Delivery, m fhir.Message, why string) []string {
	ask := "Reply to this message"
	if m.Hub.Phone != "" {
		ask = "Phone " + m.Hub.Phone + " or reply to this message"
	}
	return []string{
		fmt.Sprintf("Reference %s. %s to reach a person at %s.", d.Ref, ask, m.Hub.Name),
		notForHelp,
		fmt.Sprintf("You get this because %s has %s down for %s. If that is wrong, please tell us.", m.Hub.Name, d.Name, why),
	}
}

// initials of a name: T. E.
func initials(name string) string {
	var out []string
	for _, word := range strings.Fields(name) {
		first, _ := utf8.DecodeRuneInString(word)
		out = append(out, string(first)+".")
	}
	return cmp.Or(strings.Join(out, " "), "Someone in your care")
}

// grouped prints an NHS number as people read it: 3, 3 and 4 digits.
func grouped(n string) string {
	if len(n) != 10 {
		return n
	}
	return n[:3] + " " + n[3:6] + " " + n[6:]
}

func birthday(born string) string {
	t, err := time.Parse(time.DateOnly, born)
	if err != nil {
		return born
	}
	return t.Format("2 January 2006")
}

// moment prints t in the zone of in, with weekday and offset, so that nobody has to guess either.
func moment(t, in time.Time) string {
	const day = "Monday 2 January 2006, 15:04"
	t = t.In(in.Location())
	if _, offset := t.Zone(); offset == 0 {
		return t.Format(day) + " (UTC)"
	}
	return t.Format(day + " (UTC-07:00)")
}

//go:embed letter.html
var page string

var pageTemplate = template.Must(template.New("letter").Parse(page))

func (l letter) html() (string, error) {
	var b strings.Builder
	err := pageTemplate.Execute(&b, l)
	return b.String(), err
}
