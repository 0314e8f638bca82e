package receipts

import (
	"context"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// Source is where events and the states of their recipients are read.
type Source interface {
	// Find returns the event, or an *events.Error of kind NotFound.
	Find(ctx context.Context, id string) (events.Stored, error)
	// Receipts are the states of all recipients of s as they are now.
	Receipts(ctx context.Context, s events.Stored) ([]events.Receipt, error)
	// Timeline are the newest events of a patient before a place, newest first; the zero Place is after everything.
	Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
	// Watch ticks after each change of this event until stop is called.
	Watch(id string) (changed <-chan struct{}, stop func())
}

// View is an event and who has been told of it, as JSON of the API.
type View struct {
	ID       string        `json:"id"`
	Patient  string        `json:"patient"`
	Kind     events.Kind   `json:"kind"`
	Because  events.Kind   `json:"because,omitempty"`
	Stay     string        `json:"stay,omitempty"`
	Occurred time.Time     `json:"occurred"`
	Recorded time.Time     `json:"recorded"`
	Flags    []events.Flag `json:"flags,omitempty"`
	// Corrects is the event that this one takes back or puts right.
	Corrects   string            `json:"corrects,omitempty"`
	Correction events.Correction `json:"correction,omitempty"`
	// CorrectedBy is the event that corrects this one; it is said where one event is asked for.
	CorrectedBy string       `json:"corrected_by,omitempty"`
	Rules       string       `json:"rules"`
	State       events.State `json:"state,omitempty"` // unrouted, where nobody is set up to be told
	Message     string       `json:"message"`
	Recipients  []Recipient  `json:"recipients"`
}

// Recipient is one row of a View.
type Recipient struct {
	ID      string       `json:"id"`
	For     string       `json:"for,omitempty"` // whose FHIR Subscription it is, if it is one
	Name    string       `json:"name"`
	Channel string       `json:"channel,omitempty"` // that State speaks of
	State   events.State `json:"state"`
	Words   string       `json:"words"`
	At      time.Time    `json:"at"`
	Rule    string       `json:"rule"`
	Ack     *events.Ack  `json:"ack,omitempty"` // what a person there has answered
}

// Settled reports whether the hub is done with every recipient.
func (v View) Settled() bool {
	for _, r := range v.Recipients {
		if !r.State.Final() {
			return false
		}
	}
	return true
}

// Viewer makes views.
type Viewer struct {
	Source Source
	Phones func(patient string) []string // whom to phone when nobody can be told
	Zone   func() *time.Location         // that words are in
	Clock  func() time.Time
}

// View is a stored event with the states of its recipients as they are now.
func (v Viewer) View(ctx context.Context, s events.Stored) (View, error) {
	receipts, err := v.Source.Receipts(ctx, s)
	if err != nil {
		return View{}, err
	}
	e := s.Record.Event
	view := View{
		ID: e.ID, Patient: e.Patient, Kind: e.Kind, Because: e.Because, Stay: e.Stay, Occurred: e.Occurred, Recorded: e.Recorded,
		Flags: e.Flags, Corrects: e.Corrects, Correction: e.Correction, Rules: s.Record.Plan.Rules, Recipients: make([]Recipient, 0, len(receipts)),
	}
	var phones []string
	if e.Has(events.FlagUnrouted) {
		view.State, phones = events.Unrouted, v.Phones(e.Patient)
	}
	view.Message = Message(page.English, e, phones)
	now, zone := v.Clock(), v.Zone()
	for _, r := range events.Shown(receipts) {
		view.Recipients = append(view.Recipients, Recipient{
			ID: r.ID, For: r.For, Name: r.Name, Channel: r.Channel, State: r.State, Words: Words(page.English, r, now, zone), At: r.At, Rule: r.Rule, Ack: r.Ack,
		})
	}
	return view, nil
}
