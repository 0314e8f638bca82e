package fhir

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"carehub/events"
)

func invalid(message string) error {
	return &events.Error{Kind: events.Invalid, Message: message}
}

// check holds for every message that Encode writes and Decode returns.
func (m Message) check() error {
	ev := m.Event
	switch {
	case !ev.Kind.Known():
		return invalid("the message is of no kind that this hub knows")
	case !events.ValidPatient(ev.Patient) || ev.Patient != m.Patient.ID || ev.Patient != events.PatientOf(ev.ID):
		return invalid("the event, its id and the patient given do not belong together")
	case !timed(ev.Occurred) || !timed(ev.Recorded) || ev.Said != nil && !timed(*ev.Said):
		return invalid("a time is missing or outside the calendar")
	case ev.Because != "" && (ev.Because != events.Fall || !ev.Kind.OpensStay()):
		return invalid("only an admission or attendance can be because of something, and only of a fall")
	case ev.Ends != "" && (ev.Ends != events.Attendance || ev.Kind != events.Discharge):
		return invalid("only a discharge can end something, and only an attendance is said")
	case (ev.Corrects != "") != ev.Correction.Known() || ev.Correction != "" && !ev.Correction.Known():
		return invalid("a correction names what it corrects, and what was wrong with it")
	case !ev.Kind.OfStay() && ev.Stay != "":
		return invalid("a fall or a document has no stay")
	case !documented(ev):
		return invalid("a document is not described as it should be, or there are too many or none")
	case utf8.RuneCountInString(ev.Words) > events.MaxWords || utf8.RuneCountInString(ev.Place) > events.MaxPlace:
		return invalid("the words or the place are too long")
	case ev.From != nil && !sourced(*ev.From, m.By.Kind):
		return invalid("where the event came from is not named, or by too long a name")
	case m.Urgency != "" && priorities[m.Urgency] == nil:
		return invalid("the urgency is neither urgent nor routine")
	}
	for _, f := range ev.Flags {
		if !events.ValidName(string(f)) || f == testFlag {
			return invalid("a flag is not a name")
		}
	}
	return m.checkPeople()
}

// sourced holds for where an event came from.
func sourced(o events.Origin, by events.ActorKind) bool {
	return by == events.System && o.Message != "" && len(o.Message) <= 2*events.MaxKey && len(o.ODS) <= 32 &&
		utf8.RuneCountInString(o.Sender) <= events.MaxName
}

func (m Message) checkPeople() error {
	by := events.Actor{Kind: m.By.Kind, ID: m.By.ID}
	switch {
	case by != m.Event.By || by.ID == "":
		return invalid("the event was logged by another actor than the one given")
	case by.Kind != events.Carer && by.Kind != events.System:
		return invalid("only a carer or a system can log an event")
	case by.Kind == events.System && m.By.Relationship != "":
		return invalid("a system has no relationship to the patient")
	case m.Patient.Gender != "" && genders[m.Patient.Gender] == nil:
		return invalid("the gender is none of FHIR's")
	case m.Patient.Born != "" && !dated(m.Patient.Born):
		return invalid("the date of birth is not a date")
	case m.Patient.Summary != nil && !summed(*m.Patient.Summary):
		return invalid("the patient's summary has no date, or too much in it")
	}
	return checkHub(m.Hub)
}

// summed holds for a summary that can be written and read back.
func summed(s events.Summary) bool {
	respect := s.Respect == events.RespectExists || s.Where == "" && (s.Respect == events.RespectUnsaid || s.Respect == events.RespectNone)
	return dated(s.Reviewed) && respect && utf8.RuneCountInString(s.Where) <= events.MaxCondition && len(s.Conditions) <= events.MaxConditions &&
		!slices.ContainsFunc(s.Conditions, func(c string) bool { return c == "" || utf8.RuneCountInString(c) > events.MaxCondition })
}

// checkHub makes sure that a recipient can see who writes, and phone or write back.
func checkHub(h events.Sender) error {
	switch {
	case h.Name == "":
		return invalid("the hub has no name")
	case !baseURL(h.URL):
		return invalid("the hub has no usable URL")
	case h.Phone == "" && h.Email == "":
		return invalid("the hub has neither phone nor email")
	}
	return nil
}

func baseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		!strings.HasSuffix(s, "/") && !strings.ContainsFunc(s, unicode.IsSpace)
}

// timed reports whether FHIR can write the time: years of four digits, offsets of whole minutes up to 14 hours.
func timed(t time.Time) bool {
	_, offset := t.Zone()
	return !t.IsZero() && t.Year() >= 1 && t.Year() <= 9999 && offset%60 == 0 && max(offset, -offset) <= 14*60*60
}

func dated(s string) bool {
	t, err := time.Parse(time.DateOnly, s)
	return err == nil && t.Year() >= 1
}

// clean makes every text one that FHIR can carry.
func (m Message) clean() Message {
	for _, s := range []*string{
		&m.Event.Place, &m.Event.Words, &m.Event.Stay,
		&m.Patient.ID, &m.Patient.Name, &m.Patient.NHSNumber,
		&m.By.ID, &m.By.Name, &m.By.Relationship, &m.By.Phone,
	} {
		*s = clean(*s)
	}
	m.Hub = cleanHub(m.Hub)
	m.Patient.Summary = cleanSummary(m.Patient.Summary)
	if m.Event.From != nil {
		o := *m.Event.From
		m.Event.From = &events.Origin{Message: clean(o.Message), Sender: clean(o.Sender), ODS: clean(o.ODS)}
	}
	return m
}

// cleanSummary is a clean copy: the summary is the configuration's.
func cleanSummary(s *events.Summary) *events.Summary {
	if s == nil {
		return nil
	}
	out := &events.Summary{Respect: s.Respect, Where: clean(s.Where), Reviewed: s.Reviewed}
	for _, c := range s.Conditions {
		out.Conditions = append(out.Conditions, clean(c))
	}
	return out
}

func cleanHub(h events.Sender) events.Sender {
	for _, s := range []*string{&h.Name, &h.URL, &h.Phone, &h.Email, &h.Version} {
		*s = clean(*s)
	}
	return h
}

// clean trims, and puts a space for what a FHIR string may not hold: the characters below 32 but for tab and line ends,
// and any white space that is not one of those (FHIR R4, 2.24.0.1). A bad byte becomes U+FFFD. The words stay readable,
// and a carer's event is not refused for a byte that nobody saw.
func clean(s string) string {
	if plain(s) {
		return strings.TrimSpace(s)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return r
		case unicode.IsSpace(r), unicode.IsControl(r), r == '\uFEFF', r == '\uFFFE', r == '\uFFFF':
			return ' '
		}
		return r
	}, s))
}

// plain reports whether s is printable ASCII, as most texts are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
