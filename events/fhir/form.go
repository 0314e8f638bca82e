package fhir

import (
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// form is all that decides how a message is laid out, but for the texts in its blanks. Messages of one form are one
// template, which is made from the form alone: nothing of a message can get into another.
type form struct {
	hub                 events.Sender
	kind, because, ends events.Kind
	flags               string
	test, alone         bool
	correction          events.Correction
	urgency             events.Urgency
	gender              string
	by                  events.ActorKind
	given, givenBy      int // how many given names
	summary             bool
	conditions          int // of the summary
	respect             events.Respect
	filled              uint64 // which blanks are not empty, a bit for each
}

// form returns false for a message with documents or too many blanks, which is to be laid out by itself.
func (m *draft) form(blanks []*string) (form, bool) {
	f := form{
		hub: m.Hub, kind: m.Event.Kind, because: m.Event.Because, ends: m.Event.Ends, test: m.Event.Test, correction: m.Event.Correction, alone: m.alone,
		urgency: m.Urgency, gender: m.Patient.Gender, by: m.By.Kind, given: len(m.patientName.given), givenBy: len(m.byName.given),
	}
	for _, flag := range m.Event.Flags {
		f.flags += " " + string(flag)
	}
	if s := m.Patient.Summary; s != nil {
		f.summary, f.conditions, f.respect = true, len(s.Conditions), s.Respect
	}
	for i, blank := range blanks {
		if *blank != "" {
			f.filled |= 1 << i
		}
	}
	return f, len(blanks) <= maxTemplated && len(m.Event.Documents) == 0
}

// draft is a message of the form with slots for its texts.
func (f form) draft() *draft {
	d := &draft{Message: Message{Hub: f.hub, Urgency: f.urgency}}
	d.Event.Kind, d.Event.Because, d.Event.Ends, d.Event.Test = f.kind, f.because, f.ends, f.test
	d.Event.Correction, d.alone = f.correction, f.alone
	for _, flag := range strings.Fields(f.flags) {
		d.Event.Flags = append(d.Event.Flags, events.Flag(flag))
	}
	d.Patient.Gender, d.By.Kind = f.gender, f.by
	d.patientName.given, d.byName.given = make([]string, f.given), make([]string, f.givenBy)
	if f.summary {
		d.Patient.Summary = &events.Summary{Conditions: make([]string, f.conditions), Respect: f.respect}
		d.summary.conditions = make([]string, f.conditions)
	}
	for i, blank := range d.blanks() {
		if f.filled&(1<<i) != 0 {
			*blank = slot(i)
		}
	}
	if d.said.words != "" {
		d.Event.Said = &time.Time{}
	}
	return d
}

// maxForms is how many templates are kept, some 12 KB each. A hub's messages have a few dozen forms; beyond that all start
// afresh.
const maxForms = 256

var forms struct {
	sync.RWMutex
	known map[form]*template
}

func (f form) template() (*template, error) {
	forms.RLock()
	t := forms.known[f]
	forms.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := newTemplate(f.draft().bundle())
	if err != nil {
		return nil, err
	}
	forms.Lock()
	defer forms.Unlock()
	if forms.known == nil || len(forms.known) >= maxForms {
		forms.known = map[form]*template{}
	}
	forms.known[f] = t
	return t, nil
}

func (m *draft) encode() ([]byte, error) {
	blanks := m.blanks()
	form, ok := m.form(blanks)
	if !ok {
		return marshal(m.bundle())
	}
	t, err := form.template()
	if err != nil {
		return nil, err
	}
	var f filling
	size := t.fill(&f, func(i int) string { return *blanks[i] })
	return t.append(make([]byte, 0, size), &f), nil
}
