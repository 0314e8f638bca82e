package receipts

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
)

var (
	london = func() *time.Location {
		zone, err := time.LoadLocation("Europe/London")
		if err != nil {
			panic(err)
		}
		return zone
	}()
	ruth   = events.Actor{Kind: events.Carer, ID: "ruth"}
	eve    = events.Actor{Kind: events.Carer, ID: "eve"}
	friday = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
)

// source holds one event and the states of its recipients.
type source struct {
	mu       sync.Mutex
	stored   events.Stored
	receipts []events.Receipt
	fail     error
	ticks    map[chan struct{}]bool
}

// admission is an event with a surgery and a hospice to tell, both being told.
func admission() *source {
	surgery := events.Recipient{ID: "riverside-surgery", Name: "Riverside Surgery", Phone: "01234 567890", Rule: "routing/p-7f3k.yaml:4",
		Channels: []events.Channel{{Key: "webhook", Type: "webhook"}}}
	hospice := events.Recipient{ID: "hospice", Name: "The Hospice", Rule: "routing/p-7f3k.yaml:4",
		Channels: []events.Channel{{Key: "email", Type: "email"}}}
	id := events.NewID(ruth, "p-7f3k", "k")
	return &source{
		stored: events.Stored{Record: events.Record{
			Event: events.Event{ID: id, Patient: "p-7f3k", Kind: events.Admission, Stay: id, Occurred: friday, Recorded: friday, By: ruth, Words: "secret words"},
			Plan:  events.Plan{Rules: "rules-1", Recipients: []events.Recipient{surgery, hospice}},
		}},
		receipts: []events.Receipt{
			{Recipient: surgery, Outcome: events.Outcome{State: events.Trying, At: friday}},
			{Recipient: hospice, Outcome: events.Outcome{State: events.Trying, At: friday}},
		},
		ticks: map[chan struct{}]bool{},
	}
}

func (s *source) id() string { return s.stored.Record.Event.ID }

func (s *source) Find(_ context.Context, id string) (events.Stored, error) {
	if s.fail != nil {
		return events.Stored{}, s.fail
	}
	if id != s.id() {
		return events.Stored{}, &events.Error{Kind: events.NotFound, Message: "no"}
	}
	return s.stored, nil
}

func (s *source) Receipts(context.Context, events.Stored) ([]events.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.receipts), nil
}

func (s *source) Timeline(context.Context, string, events.Place, int) ([]events.Stored, error) {
	return []events.Stored{s.stored}, nil
}

func (s *source) Watch(string) (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tick := make(chan struct{}, 1)
	s.ticks[tick] = true
	return tick, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ticks, tick)
	}
}

// set changes the state of recipient i and ticks.
func (s *source) set(i int, o events.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receipts[i].Outcome = o
	for tick := range maps.Keys(s.ticks) {
		select {
		case tick <- struct{}{}:
		default:
		}
	}
}

func (s *source) watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ticks)
}

func viewer(s Source) Viewer {
	return Viewer{
		Source: s,
		Phones: func(string) []string { return []string{"01234 567890"} },
		Zone:   func() *time.Location { return london },
		Clock:  func() time.Time { return friday },
	}
}

// bearer takes the ids of ruth and eve as their tokens.
func bearer(r *http.Request) (events.Actor, error) {
	switch r.Header.Get("Authorization") {
	case "Bearer ruth":
		return ruth, nil
	case "Bearer eve":
		return eve, nil
	}
	return events.Actor{}, errors.New("unknown token")
}

func mustGet(t *testing.T, url, token string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}
