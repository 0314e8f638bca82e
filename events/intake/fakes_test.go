package intake

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// memory is a Store.
type memory struct {
	mu     sync.Mutex
	stored []events.Stored
	fail   error // of the next writes
	lost   error // of the next writes, which are stored all the same
	reads  int
}

func (m *memory) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := cmp.Or(m.fail, ctx.Err()); err != nil {
		return events.Stored{}, false, err
	}
	for _, s := range m.stored {
		if s.Record.Event.ID == rec.Event.ID {
			return s, false, nil
		}
	}
	s := events.Stored{Seq: uint64(len(m.stored) + 1), Record: rec, Message: message}
	m.stored = append(m.stored, s)
	return s, m.lost == nil, m.lost
}

func (m *memory) Latest(_ context.Context, patient string, kind events.Kind) (found events.Event, ok bool, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	for _, s := range m.stored {
		if e := s.Record.Event; e.Patient == patient && e.Kind == kind {
			found, ok = e, true
		}
	}
	return found, ok, nil
}

func (m *memory) Timeline(_ context.Context, patient string, _ events.Place, limit int) (found []events.Stored, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	for _, s := range slices.Backward(m.stored) {
		if s.Record.Event.Patient == patient && len(found) < limit {
			found = append(found, s)
		}
	}
	return found, nil
}

// desk knows ruth, her dad p-7f3k and mum p-2b9c (of whom nobody is told); tom, whose authority has ended; and the
// system of a ward.
type desk struct{ registry }

var (
	ruth = events.Actor{Kind: events.Carer, ID: "ruth"}
	tom  = events.Actor{Kind: events.Carer, ID: "tom"}
	eve  = events.Actor{Kind: events.Carer, ID: "eve"}
	ward = events.Actor{Kind: events.System, ID: "ward"}
)

func (desk) Aliases(by events.Actor) map[string]string {
	switch by {
	case ruth:
		return map[string]string{"dad": "p-7f3k", "mum": "p-2b9c"}
	case tom:
		return map[string]string{"grandad": "p-7f3k"}
	}
	return nil
}

func (d desk) Resolve(by events.Actor, who string) (string, error) {
	if who == "p-7f3k" || who == "p-2b9c" {
		return who, nil
	}
	if patient, ok := d.Aliases(by)[who]; ok {
		return patient, nil
	}
	return "", errors.New("unknown")
}

func (desk) May(by events.Actor, patient string, _ time.Time) Authority {
	switch {
	case by == ruth, by == ward && patient == "p-7f3k":
		return Allowed
	case by == tom && patient == "p-7f3k":
		return Ended
	}
	return No
}

func (desk) Plan(e events.Event) events.Plan {
	plan := events.Plan{Rules: "rules-1", Hub: "https://hub.example", Renderer: events.Renderer, Urgency: events.Urgent}
	if e.Patient == "p-7f3k" {
		plan.Recipients = []events.Recipient{
			{ID: "riverside-surgery", Name: "Riverside Surgery", Rule: "routing/p-7f3k.yaml:4", Channels: []events.Channel{{Key: "webhook", Type: "webhook"}}},
			{ID: "duty-line", Name: "Duty line", Rule: "routing/p-7f3k.yaml:4"},
		}
	}
	return plan
}

func (desk) People(e events.Event) (events.Patient, events.Person, events.Sender) {
	return events.Patient{ID: e.Patient, Name: "Thomas Example", Born: "1941-03-11"},
		events.Person{ID: e.By.ID, Kind: e.By.Kind, Name: "Ruth Example"},
		events.Sender{Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123"}
}

func (desk) Zone() *time.Location { return london }

func (desk) Phones(string) []string { return []string{"01234 567890"} }

// friday is when most tests happen.
var friday = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)

// opened is an intake over an empty store with a clock that the test moves.
func opened() (*Intake, *memory, *time.Time) {
	store, now := &memory{}, new(friday)
	return New(store, func() Desk { return desk{} }, func() time.Time { return *now }), store, now
}

func (m *memory) Find(_ context.Context, id string) (events.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.stored {
		if s.Record.Event.ID == id {
			return s, nil
		}
	}
	return events.Stored{}, &events.Error{Kind: events.NotFound, Message: "There is no such event."}
}
