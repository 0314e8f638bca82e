package signup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream"
	"carehub/subscribers"
)

const hubURL = "https://hub.example"

// world is a hub's Subscriptions on a store in memory: providers gp and hospice, a carer ruth, and endpoints that behave as
// told.
type world struct {
	*Service
	t     *testing.T
	store *stream.Memory
	logs  bytes.Buffer
	mux   *http.ServeMux

	mu     sync.Mutex
	named  map[string][]string // patients that the rules name a provider for
	behave func(*http.Request) (int, error)
	posts  []post
	alarms []events.About
	reads  []string // patients of whom $events has said something
	stored map[string]events.Stored
}

// post is one request to an endpoint.
type post struct {
	at     time.Time
	url    string
	header http.Header
	body   string
}

func newWorld(t *testing.T) *world {
	return newHub(t, stream.NewMemory(1))
}

// newHub is another hub on the same store.
func newHub(t *testing.T, store *stream.Memory) *world {
	w := &world{t: t, store: store, mux: http.NewServeMux(), named: map[string][]string{"gp": {"p-7f3k", "p-22"}, "hospice": {"p-33"}},
		stored: map[string]events.Stored{}}
	w.Service = New(Options{Hub: hubURL, Version: "1", Store: store, Notices: store, Desk: w, Client: w,
		AllowPlain: func(host string) bool { return host == "10.0.0.1" },
		Reachable: func(_ context.Context, host string) error {
			if host == "private.example" {
				return &events.Failure{Reason: events.ReasonAddress, Permanent: true}
			}
			return nil
		},
		Mine: func(string) bool { return true },
		Audit: func(_ context.Context, r Recall) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reads = append(w.reads, r.By+" "+r.Patient)
			return nil
		},
		Alarm: w.alarm, Find: w.find, Permits: permits, Clock: time.Now,
		Log: slog.New(slog.NewTextHandler(&w.logs, nil)),
	})
	w.Routes(w.mux.HandleFunc)
	return w
}

func (w *world) Provider(id string) (subscribers.Subscriber, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.named[id]
	return subscribers.Subscriber{ID: id, Name: "The " + id, Phone: "01234"}, ok
}

func (w *world) Concerns(provider, patient string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.named[provider], patient)
}

func (w *world) MayBeTold(rec *events.Record, provider string) bool {
	return w.Concerns(provider, rec.Event.Patient)
}

func (w *world) alarm(_ context.Context, about events.About) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms = append(w.alarms, about)
	return nil
}

func (w *world) find(_ context.Context, id string) (events.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st, ok := w.stored[id]
	if !ok {
		return st, &events.Error{Kind: events.NotFound}
	}
	return st, nil
}

// alarmed is what the admin has heard of.
func (w *world) alarmed() []events.About {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.alarms)
}

// names has the rules name a provider for these patients; none takes it out of the register.
func (w *world) names(provider string, patients ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.named[provider] = patients; len(patients) == 0 {
		delete(w.named, provider)
	}
}

// permits takes the token for the name.
func permits(r *http.Request, _, _ string) (events.Actor, error) {
	id := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch id {
	case "":
		return events.Actor{}, &events.Error{Kind: events.Unauthenticated, Message: "Send a token."}
	case "ruth":
		return events.Actor{Kind: events.Carer, ID: id}, nil
	}
	return events.Actor{Kind: events.System, ID: id}, nil
}

// Do is the other side of all endpoints.
func (w *world) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	behave := w.behave
	w.posts = append(w.posts, post{time.Now(), r.URL.String(), r.Header.Clone(), string(body)})
	w.mu.Unlock()
	status := http.StatusOK
	if behave != nil {
		status, err = behave(r)
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
}

func (w *world) answers(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behave = func(*http.Request) (int, error) { return status, nil }
}

func (w *world) sent() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.posts)
}

// ask sends a request as a provider and returns the answer.
func (w *world) ask(as, method, path, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+as)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

// run follows, numbers and keeps, until the test ends.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var parts sync.WaitGroup
	known, numbered := make(chan struct{}), make(chan struct{})
	parts.Go(func() { _ = w.Registry.Follow(ctx, func() { close(known) }) })
	parts.Go(func() { _ = w.Numbers.Follow(ctx, func() { close(numbered) }) })
	<-known
	<-numbered
	parts.Go(func() { _ = w.Numbers.Run(ctx) })
	parts.Go(func() { _ = w.Keep(ctx) })
	return func() { cancel(); parts.Wait() }
}

// wanted is a Subscription that all is well with; replace changes it: old, new, old, new.
func wanted(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`{"resourceType":"Subscription","status":"requested","reason":"Ours",` +
		`"criteria":"https://hub.example/fhir/SubscriptionTopic/any",` +
		`"channel":{"type":"rest-hook","endpoint":"https://gp.example/hook","payload":"application/fhir+json",` +
		`"_payload":{"extension":[{"url":"` + contentExtension + `","valueCode":"id-only"}]}}}`)
}

// make subscribes as gp and returns the id.
func (w *world) subscribe(body string) string {
	w.t.Helper()
	rec := w.ask("gp", "POST", "/fhir/Subscription", body)
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil {
		w.t.Fatal(err)
	}
	return made.ID
}

// happens stores an event about a patient, and returns it as the engine would hand it over.
func (w *world) happens(n int, patient string, kind events.Kind) events.Delivery {
	w.t.Helper()
	at := time.Date(2026, 11, 25, 14, n, 7, 0, time.UTC)
	e := events.Event{ID: events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, patient, fmt.Sprint(n)), Patient: patient, Kind: kind,
		Occurred: at, Recorded: at, By: events.Actor{Kind: events.Carer, ID: "ruth"}}
	if kind.OpensStay() {
		e.Stay = e.ID
	}
	message, err := fhir.Encode(fhir.Message{Event: e, Urgency: events.Urgent,
		Patient: events.Patient{ID: patient, Name: "Thomas Example", Born: "1941-03-11"},
		By:      events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter"},
		Hub:     events.Sender{Name: "Hub", URL: hubURL, Phone: "01234 567890"}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.stored[e.ID] = events.Stored{Record: events.Record{Event: e}, Message: message}
	w.mu.Unlock()
	return events.Delivery{ID: events.DeliveryID(e.ID, "x"), Event: e.ID, Kind: kind, Recorded: at, Message: message}
}

// send numbers an event for a Subscription and sends it, as the engine does.
func (w *world) send(id string, d events.Delivery) error {
	w.t.Helper()
	<-w.Ask(d.Event, []string{id})
	s, ok := w.Lookup(id)
	if !ok {
		return errors.New("not registered")
	}
	return s.Channels[0].Endpoint.Send(w.t.Context(), d)
}
