// Package compare says what a change of the rules means: for whom, of which events, somebody is told who was not, or is not who
// was. It compares two sides, each of which answers who is told, and knows no names but those that the sides give it: of
// organisations, never of patients or carers.
//
// The files: compare.go compares two sets of rules, group.go makes few lines of many differences, text.go and markdown.go write
// them; tally.go counts what past events would have been.
package compare

import (
	"cmp"
	"fmt"
	"slices"

	"carehub/events"
	"carehub/routing"
)

// Row is one recipient of an event, as far as two sides can differ.
type Row struct {
	ID        string
	Name      string // of an organisation; for a carer, and where it is not known, the id
	Rule      string // file:line
	Reachable bool   // by more than a phone
	Logs      bool   // may log for the patient, and is not told of what they log
	Mandatory bool   // may not be lost
	How       string // by which channels, in order, how much they tell, and with which documents
	Times     string // urgency, and after how long the next channel and an alarm
	Ask       string // for an answer, and who is told if there is none; empty where nobody has to answer
}

// Side is one set of rules.
type Side interface {
	Patients() []string // that have rules, sorted
	Rows(patient string, kind events.Kind, on routing.Occasion) []Row
}

// Pair is two sides to compare.
type Pair struct {
	Old, New Side
	// Same reports whether nothing at all can differ for a patient, so that it need not be looked for.
	Same func(patient string) bool
	// Occasions stand for all circumstances in which either side's rules of a patient differ.
	Occasions func(patient string) []routing.Occasion
	// Accepted names what may be lost, as p-7f3k/admission, or p-7f3k for every kind.
	Accepted []string
}

// What a change is.
const (
	Nobody     = "nobody"     // is told any more, or nobody but whoever logged it
	Must       = "mandatory"  // a mandatory recipient is lost, no longer mandatory, or left without a channel
	Accepted   = "accepted"   // one of the two, accepted by name
	Lost       = "lost"       // a recipient
	Gained     = "gained"     // a recipient
	Escalation = "escalation" // who has to answer, and who is told if nobody does
	Channels   = "channels"   // by which channels, and how much they tell
	Times      = "times"      // how urgent it is, and when the next channel is tried and an alarm raised
	Mark       = "mark"       // a recipient becomes mandatory
)

// Report is what differs.
type Report struct {
	Patients int            `json:"patients"` // compared
	Counts   map[string]int `json:"counts"`   // of patients, by what a change is
	Changes  []Change       `json:"changes"`
	Refused  bool           `json:"refused"` // there is a Nobody or Must
	// Unused are acceptances of what is not lost.
	Unused []string `json:"unused"`
}

// Change is one change, and all the patients that it is the same for.
type Change struct {
	What     string   `json:"what"`
	When     string   `json:"when"` // admission, fall (nights)
	Effects  []Effect `json:"effects"`
	Patients []string `json:"patients"`
	// Rules are for each patient what decided: file:line on the side that has it.
	Rules []string `json:"rules"`
}

// Effect is what a change means for one recipient. ID is empty where nobody is told.
type Effect struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Was  string `json:"was"`
	Now  string `json:"now"`
}

// Diff compares the two sides.
func (p Pair) Diff() Report {
	c := collector{accepted: map[string]bool{}}
	for _, a := range p.Accepted {
		c.accepted[a] = false
	}
	patients := slices.Concat(p.Old.Patients(), p.New.Patients())
	slices.Sort(patients)
	patients = slices.Compact(patients)
	for _, patient := range patients {
		if !p.Same(patient) {
			c.groups(patient, p.patient(patient, &c))
		}
	}
	return c.report(len(patients))
}

// patient finds all differences for one patient.
func (p Pair) patient(patient string, c *collector) *findings {
	occasions := p.Occasions(patient)
	f := &findings{occasions: occasions, found: map[finding]*extent{}}
	for _, kind := range events.Routed {
		for i, on := range occasions {
			f.kind, f.on = kind, i
			f.compare(p.Old.Rows(patient, kind, on), p.New.Rows(patient, kind, on), func() bool { return c.accepts(patient, kind) })
		}
	}
	return f
}

// compare finds the differences of one kind of event on one occasion.
func (f *findings) compare(old, now []Row, accepted func() bool) {
	for _, was := range old {
		is, still := find(now, was.ID)
		switch {
		case !still:
			f.add(Lost, was, Effect{}, was.Rule)
			if was.Mandatory {
				f.refuse(Must, was, Effect{Was: mandatory, Now: "lost"}, accepted())
			}
			continue
		case was.Ask != is.Ask:
			f.add(Escalation, was, Effect{Was: cmp.Or(was.Ask, "nobody has to answer"), Now: cmp.Or(is.Ask, "nobody has to answer")}, is.Rule)
		}
		if was.How != is.How {
			f.add(Channels, was, Effect{Was: was.How, Now: is.How}, is.Rule)
		}
		if was.Times != is.Times {
			f.add(Times, was, Effect{Was: was.Times, Now: is.Times}, is.Rule)
		}
		switch {
		case was.Mandatory && !is.Mandatory:
			f.refuse(Must, was, Effect{Was: mandatory, Now: optional}, accepted())
		case was.Mandatory && was.Reachable && !is.Reachable:
			f.refuse(Must, was, Effect{Was: mandatory, Now: "without a channel"}, accepted())
		case is.Mandatory && !was.Mandatory:
			f.add(Mark, was, Effect{Was: optional, Now: mandatory}, is.Rule)
		}
	}
	for _, is := range now {
		if _, before := find(old, is.ID); !before {
			f.add(Gained, is, Effect{}, is.Rule)
		}
	}
	if slices.Contains(events.Kinds, f.kind) && reaches(old) && !reaches(now) { // of a document nobody has to hear
		f.refuse(Nobody, Row{}, Effect{Was: "reached somebody", Now: Nobody}, accepted())
	}
}

func (f *findings) refuse(what string, was Row, effect Effect, accepted bool) {
	if accepted {
		what = Accepted
	}
	f.add(what, was, effect, was.Rule)
}

// What a recipient is, in an effect.
const (
	mandatory = "mandatory"
	optional  = "not mandatory"
)

func find(rows []Row, id string) (Row, bool) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.ID == id })
	if i < 0 {
		return Row{}, false
	}
	return rows[i], true
}

// reaches reports whether somebody hears of the event, whoever logs it.
func reaches(rows []Row) bool {
	reached := 0
	for _, r := range rows {
		if r.Reachable && !r.Logs {
			return true
		}
		if r.Reachable {
			reached++
		}
	}
	return reached > 1 // of two who may log, one has not
}

// Ways says by which channels somebody is told, as Row.How has it.
func Ways(channels []events.Channel) string {
	how := ""
	for i, c := range channels {
		if i > 0 {
			how += ", then "
		}
		how += c.Key
		if c.Content != "" {
			how += fmt.Sprintf(" (%s)", c.Content)
		}
	}
	return cmp.Or(how, "by phone only")
}
