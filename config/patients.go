package config

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"carehub/config/strict"
	"carehub/events"
)

// Patient is one entry of patients.yaml. Identifying: it goes into messages to recipients and nowhere else.
type Patient struct {
	Name      string      `yaml:"name,required"`
	Born      strict.Date `yaml:"born,required"`
	Gender    string      `yaml:"gender"`
	NHSNumber string      `yaml:"nhs_number"`
	Basis     *Basis      `yaml:"basis"`
	Summary   *Summary    `yaml:"summary"`
	// Restricted keeps carers out: none is told of the patient, and none may log or see, whatever the rules say.
	Restricted bool `yaml:"restricted"`
	// Deceased is the day on which the patient died. From then on nobody has to answer, and nobody is told because others do not.
	Deceased strict.Date `yaml:"deceased"`
}

// Basis is why the hub may hold and pass on what it is told of a patient.
type Basis struct {
	Kind  string      `yaml:"kind,required"`
	By    string      `yaml:"by,required"` // who gave it
	On    strict.Date `yaml:"on,required"`
	Until strict.Date `yaml:"until"`
}

// Summary is what a family chose to tell of the patient's health. It is not a clinical record.
type Summary struct {
	Conditions []string    `yaml:"conditions"`
	Respect    *Respect    `yaml:"respect"`
	Reviewed   strict.Date `yaml:"reviewed,required"` // when somebody last checked it
}

// Respect says whether there is a ReSPECT form, and where.
type Respect struct {
	Exists bool   `yaml:"exists,required"`
	Where  string `yaml:"where"`
}

// Patients are the patients of a hub by their id.
type Patients map[string]PatientEntry

// PatientEntry is a patient and where patients.yaml says so.
type PatientEntry struct {
	Patient
	Pos strict.Pos
}

var (
	// FHIR R4 administrative-gender.
	genders = []string{"male", "female", "other", "unknown"}
	bases   = []string{"consent", "lpa-health", "best-interests"}
)

// PatientsFile is where patients are named. It is private and may be missing where a folder is checked without secrets.
const PatientsFile = "patients.yaml"

// LoadPatients reads patients.yaml; nil means that there was nothing to read. Its messages quote nothing of it. now is in the hub's time zone.
func LoadPatients(folder *strict.Folder, now time.Time) Patients {
	top, ok := folder.ReadPrivate(PatientsFile)
	if !ok {
		return nil
	}
	var entries strict.Map[strict.Node]
	_ = top.Decode(&entries) // reported
	patients := make(Patients, len(entries))
	same := newSameness(folder)
	for _, entry := range entries {
		var p Patient
		_ = entry.V.Decode(&p) // reported
		p.check(entry.V, now)
		if !events.ValidPatient(entry.Key) {
			folder.Report(strict.BadID, entry.Pos, "a patient's id must be p- and 2 to 32 of a-z and 0-9")
			continue
		}
		_, twice := patients[entry.Key] // reported
		patients[entry.Key] = PatientEntry{p, entry.Pos}
		if !twice {
			same.check(patients[entry.Key], entry.V)
		}
	}
	return patients
}

func (p Patient) check(node strict.Node, now time.Time) {
	if p.Gender != "" && !slices.Contains(genders, p.Gender) {
		node.Report(strict.BadValue, "gender", "must be one of %s", strings.Join(genders, ", "))
	}
	if p.NHSNumber != "" && !ValidNHSNumber(p.NHSNumber) {
		node.Report(strict.BadValue, "nhs_number", "is not an NHS number: ten digits of which the last checks the others")
	}
	if p.Born != "" && string(p.Born) > now.Format(time.DateOnly) {
		node.Report(strict.BadValue, "born", "is in the future")
	}
	switch {
	case p.Deceased != "" && string(p.Deceased) > now.Format(time.DateOnly):
		node.Report(strict.BadValue, "deceased", "is in the future")
	case p.Deceased != "" && p.Deceased < p.Born:
		node.Report(strict.BadValue, "deceased", "is before they were born")
	}
	if p.Basis != nil {
		p.Basis.check(node, now)
	}
	if p.Summary != nil {
		p.Summary.check(node, now)
	}
}

func (b *Basis) check(node strict.Node, now time.Time) {
	if b.Kind != "" && !slices.Contains(bases, b.Kind) {
		node.Report(strict.BadValue, "basis.kind", "must be one of %s", strings.Join(bases, ", "))
	}
	switch {
	case b.Until != "" && b.Until < b.On:
		node.Report(strict.BadValue, "basis.until", "is before the day it was given on")
	case b.Until.Past(now):
		node.Warn(strict.BasisEnded, "basis.until", "is over, and the hub goes on all the same: ask anew, or take the patient out")
	case b.Until.Soon(now):
		node.Warn(strict.BasisEnding, "basis.until", "is within 30 days: ask anew in time")
	}
}

// check keeps the summary short: it is read in a hurry, and goes into every full message.
func (s *Summary) check(node strict.Node, now time.Time) {
	if string(s.Reviewed) > now.Format(time.DateOnly) {
		node.Report(strict.BadValue, "summary.reviewed", "is in the future")
	}
	if len(s.Conditions) > events.MaxConditions {
		node.Report(strict.BadValue, "summary.conditions", "may list at most %d: name the main ones", events.MaxConditions)
	}
	for _, c := range s.Conditions {
		if strings.TrimSpace(c) == "" || utf8.RuneCountInString(c) > events.MaxCondition {
			node.Report(strict.BadValue, "summary.conditions", "must each have 1 to %d characters", events.MaxCondition)
			break
		}
	}
	if s.Respect != nil && utf8.RuneCountInString(s.Respect.Where) > events.MaxCondition {
		node.Report(strict.BadValue, "summary.respect.where", "may have at most %d characters", events.MaxCondition)
	}
	if s.Respect != nil && !s.Respect.Exists && s.Respect.Where != "" {
		node.Report(strict.Conflict, "summary.respect.where", "says where a form is that does not exist")
	}
}

// events is the summary as events know it; nil for nil.
func (s *Summary) events() *events.Summary {
	if s == nil {
		return nil
	}
	out := &events.Summary{Conditions: s.Conditions, Reviewed: string(s.Reviewed)}
	switch {
	case s.Respect == nil:
	case s.Respect.Exists:
		out.Respect, out.Where = events.RespectExists, s.Respect.Where
	default:
		out.Respect = events.RespectNone
	}
	return out
}

// ValidNHSNumber checks the length and the Modulus 11 check digit of the NHS Data Dictionary: the first nine digits
// weighted 10 to 2; eleven less the remainder is the check digit, 11 counts as 0, and 10 is never issued.
func ValidNHSNumber(s string) bool {
	if len(s) != 10 {
		return false
	}
	sum := 0
	for i, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
		// The check digit itself has weight one, so that a valid number adds up to a multiple of eleven.
		sum += (10 - i) * int(c-'0')
	}
	return sum > 0 && sum%11 == 0
}

// Events returns the patient as events know them.
func (p Patient) Events(id string) events.Patient {
	return events.Patient{ID: id, Name: p.Name, Born: string(p.Born), NHSNumber: p.NHSNumber, Gender: p.Gender, Summary: p.Summary.events()}
}

// Hint is how a person recognises a patient's id on a terminal: initials and year of birth.
func (p Patient) Hint() string {
	var initials strings.Builder
	for _, word := range strings.Fields(p.Name) {
		initials.WriteString(string([]rune(word)[0]))
	}
	year, _, _ := strings.Cut(string(p.Born), "-")
	return strings.ToUpper(initials.String()) + " " + year
}
