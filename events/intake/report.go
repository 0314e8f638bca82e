package intake

import (
	"context"
	"encoding/json"
	"time"

	"carehub/events"
)

// Report is an event as another system's message tells it. Its JSON form is stored in what is held, and the hash of that
// form tells a repeat from a reused id: a field that is added must be left out when empty.
type Report struct {
	Kind     events.Kind    `json:"kind"`
	Because  events.Kind    `json:"because,omitempty"`
	Occurred time.Time      `json:"occurred"`
	Place    string         `json:"place,omitempty"`
	Class    string         `json:"class,omitempty"` // of the encounter; see events.Event
	Words    string         `json:"words,omitempty"`
	Test     bool           `json:"test,omitempty"`
	From     events.Origin  `json:"from"`
	Patient  events.Details `json:"about"`
	// Restricted says that its sender marks it as more confidential than is usual: a person decides.
	Restricted bool `json:"restricted,omitempty"`
}

// hash leaves the class out: of a message that came before the hub read it, a repeat is still the same.
func (r Report) hash() string {
	r.Class = ""
	told, _ := json.Marshal(r) // strings, bools and a time within the calendar always marshal
	return events.Hash(told)
}

// key is the idempotency key of a message's event. No Idempotency-Key of POST /events has a space.
func (r Report) key() string { return "message " + r.From.Message }

// report takes in an event that a message tells of a patient, as it was received: a message that is told again gives the
// first event. decided says that a person, not the details, matched it to the patient.
func (in *Intake) report(ctx context.Context, desk Desk, by events.Actor, patient string, r Report, decided bool) (Result, error) {
	n := entry{in: in, desk: desk, by: by, asked: r.hash(), said: r.Occurred}
	n.now = in.clock().In(n.desk.Zone()).Truncate(time.Millisecond)
	n.event = events.Event{ID: events.NewID(by, patient, r.key()), Patient: patient, Kind: r.Kind, Because: r.Because,
		Place: r.Place, Class: r.Class, Words: r.Words, Test: r.Test, By: by, From: new(r.From)}
	switch n.authority = n.desk.May(by, patient, n.now); {
	case decided:
		n.flag(events.FlagMatched)
	case n.authority == Ended:
		n.flag(events.FlagAuthorityEnded)
	}
	n.time()
	if in.pace.over(by, n.now) {
		n.flag(events.FlagRate)
	}
	return n.store(ctx)
}
