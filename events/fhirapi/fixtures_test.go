package fhirapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/fhirapi"
	"carehub/events/stream"
)

const nhs = "https://fhir.nhs.uk/Id/nhs-number"

var (
	sender = events.Sender{Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123", Version: "0.1.0"}
	thomas = events.Patient{ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018"}
	other  = events.Patient{ID: "p-8g4m", Name: "Olive Other", NHSNumber: "9990000026"}
	ruth   = events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter"}
	began  = time.Date(2026, 7, 12, 2, 14, 7, 0, time.FixedZone("", 3600))
)

// ward is a store with events, and the API over it for the frailty team, whom the rules name for Thomas and for nobody else.
type ward struct {
	t     testing.TB
	store *stream.Memory
	api   *fhirapi.API
	mux   *http.ServeMux

	told    func(*events.Record) bool // beside what the plan says
	trail   []fhirapi.Access
	failing error // of the trail
}

func newWard(t testing.TB) *ward {
	w := &ward{t: t, store: stream.NewMemory(4), mux: http.NewServeMux(), told: func(*events.Record) bool { return true }}
	w.api = &fhirapi.API{
		Source: w.store, Key: make([]byte, 32), Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Permits: w.permits,
		Names:   func(by events.Actor, patient string) bool { return by.ID == "frailty-team" && patient == thomas.ID },
		Told: func(_ context.Context, by events.Actor, st events.Stored) (bool, error) {
			rec := &st.Record
			named := slices.ContainsFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.Is(by.ID) })
			return named && rec.Event.Patient == thomas.ID && w.told(rec), nil
		},
		Identified: func(number string) string {
			return map[string]string{thomas.NHSNumber: thomas.ID, other.NHSNumber: other.ID}[number]
		},
		Organization: func(_ events.Actor, id string) (string, bool) { return "Frailty team", id == "frailty-team" },
		Hub:          func() events.Sender { return sender }, Zone: func() *time.Location { return time.UTC },
		Audit: func(_ context.Context, a fhirapi.Access) error {
			w.trail = append(w.trail, a)
			return w.failing
		},
	}
	w.api.Register(func(pattern string, handler func(http.ResponseWriter, *http.Request)) {
		w.mux.HandleFunc(pattern, handler)
	})
	w.mux.HandleFunc("/fhir/", w.api.Elsewhere(func(r *http.Request) []string {
		if r.URL.Path == "/fhir/Patient/p-7f3k" {
			return []string{"GET", "HEAD"}
		}
		return nil
	}))
	return w
}

func (w *ward) permits(r *http.Request, resource, access string) (events.Actor, error) {
	switch r.Header.Get("Authorization") {
	case "":
		return events.Actor{}, &events.Error{Kind: events.Unauthenticated, Message: "Send a token."}
	case "Bearer narrow":
		return events.Actor{Kind: events.System, ID: "frailty-team"}, &events.Error{Kind: events.Forbidden, Message: "Not in scope."}
	}
	return events.Actor{Kind: events.System, ID: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}, nil
}

// logs stores an event about a patient, n minutes after the first could have been, that recipients are told of.
func (w *ward) logs(about events.Patient, kind events.Kind, stay string, n int, recipients ...string) events.Event {
	w.t.Helper()
	by := events.Actor{Kind: ruth.Kind, ID: ruth.ID}
	at := began.Add(time.Duration(n) * time.Minute)
	e := events.Event{ID: events.NewID(by, about.ID, at.String()+string(kind)), Patient: about.ID, Kind: kind, Stay: stay,
		Occurred: at.Add(-time.Minute), Recorded: at, By: by, Place: "Riverside Hospital", Words: "He is awake."}
	if kind.OpensStay() && stay == "" {
		e.Stay = e.ID
	}
	message, err := fhir.Encode(fhir.Message{Event: e, Patient: about, By: ruth, Hub: sender, Urgency: events.Urgent})
	if err != nil {
		w.t.Fatal(err)
	}
	plan := events.Plan{Hub: sender.URL}
	for _, id := range recipients {
		plan.Recipients = append(plan.Recipients, events.Recipient{ID: id, Name: "Name of " + id})
	}
	if _, _, err := w.store.Publish(w.t.Context(), events.Record{V: 1, Event: e, Plan: plan}, message); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// ask makes one request as the frailty team, unless a header says otherwise. Headers are name and value in turn.
func (w *ward) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer frailty-team")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
		if pair[1] == "" {
			r.Header.Del(pair[0])
		}
	}
	answer := httptest.NewRecorder()
	w.mux.ServeHTTP(answer, r)
	return answer
}

func (w *ward) get(path string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.ask(http.MethodGet, "/fhir/"+path, "", headers...)
}

// set is a Bundle of search results.
type set struct {
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string `json:"fullUrl"`
		Resource struct {
			ResourceType, ID string
			Meta             struct{ VersionID string }
			Issue            []struct{ Code, Diagnostics string }
		}
		Search struct{ Mode string }
	}
}

func (s set) link(relation string) string {
	for _, l := range s.Link {
		if l.Relation == relation {
			return strings.TrimPrefix(l.URL, sender.URL)
		}
	}
	return ""
}

func (s set) ids() (ids []string) {
	for _, e := range s.Entry {
		if e.Search.Mode == "match" {
			ids = append(ids, e.Resource.ID)
		}
	}
	return ids
}

func (w *ward) set(answer *httptest.ResponseRecorder) (s set) {
	w.t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, json.Unmarshal(body, &s)); err != nil || answer.Code != http.StatusOK {
		w.t.Fatalf("status %d: %v: %s", answer.Code, err, body)
	}
	return s
}

func (w *ward) search(query string) set {
	w.t.Helper()
	return w.set(w.get(query))
}
