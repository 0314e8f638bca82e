package events

import "time"

// Answer is what a named person says of an event that their team was told of.
type Answer string

// The answers. A machine gives none: that it took a message says nothing of a person.
const (
	Seen     Answer = "seen"
	Acting   Answer = "acting"
	NotForUs Answer = "declined" // not our patient: the next step runs at once
)

// Known reports whether a is an answer.
func (a Answer) Known() bool { return a == Seen || a == Acting || a == NotForUs }

// MaxLine is the most runes of what a person adds to an answer, and MaxAnswerer of their name and of their role.
const (
	MaxLine     = 200
	MaxAnswerer = 80
)

// Ack is a person's answer for one recipient of an event.
type Ack struct {
	Answer Answer    `json:"answer"`
	Name   string    `json:"name"` // of the person, never empty
	Role   string    `json:"role,omitempty"`
	Line   string    `json:"line,omitempty"`
	At     time.Time `json:"at"`
	Via    string    `json:"via"` // page, api or fhir
}

// Acknowledge is what a rule asks of a recipient: that a person there answers in time, and who is told if nobody does. It
// is frozen with the plan.
type Acknowledge struct {
	Within time.Duration `json:"within"`
	// Steps are rows of the plan, by index, that are told one after another, each with the same time to answer.
	Steps []int `json:"steps,omitempty"`
	// Any says that an answer of any recipient of the event is enough.
	Any bool `json:"any,omitempty"`
}
