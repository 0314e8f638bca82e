package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// world is a hub with one event, of which two hear, as an admin sees it.
type world struct {
	Options
	audited []Access
	failing error // of the audit trail
}

func newWorld() *world {
	w := &world{}
	clock := func() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }
	id := events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "k")
	st := events.Stored{Seq: 1, Record: events.Record{Event: events.Event{ID: id, Patient: "p-7f3k", Kind: events.Fall, Recorded: clock().Add(-time.Hour),
		Place: "Riverside Hospital", Words: "He fell."}}}
	receipts := []events.Receipt{
		{Recipient: events.Recipient{ID: "hospice", Name: "Hospice"}, Outcome: events.Outcome{State: events.Retrying}},
		{Recipient: events.Recipient{ID: "nurses", Name: "Nurses"}, Outcome: events.Outcome{State: events.Acknowledged, Ack: &events.Ack{Name: "Jo", Line: "We ring Thomas."}}},
	}
	w.Options = Options{
		Writer: page.Writer{Log: slog.New(slog.DiscardHandler), Hub: func() events.Sender { return events.Sender{Name: "Riverside"} }},
		Required: func(next func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				next(rw, r, page.Session{Actor: events.Actor{Kind: events.System, ID: "desk"}, Name: "Ann", CSRF: "c"})
			}
		},
		Admin: func(by events.Actor) bool { return by.ID == "desk" }, Called: func(events.Actor, string) string { return "" },
		Partitions: func() []events.Partition { return []events.Partition{{}} },
		Last:       func(context.Context, int) (uint64, error) { return 1, nil },
		At:         func(context.Context, events.Place) (events.Stored, bool, error) { return st, true, nil },
		Find:       func(context.Context, string) (events.Stored, error) { return st, nil },
		Timeline:   func(context.Context, string, int) ([]events.Stored, error) { return []events.Stored{st}, nil },
		Alarms:     func(context.Context, int) ([]events.Stored, error) { return nil, nil },
		Receipts:   func(context.Context, events.Stored) ([]events.Receipt, error) { return receipts, nil },
		Words: func(_ page.Lang, r events.Receipt, _ time.Time, _ *time.Location) string {
			said := string(r.State) + " " + r.Name
			if r.Ack != nil {
				said += r.Ack.Line
			}
			return said
		},
		Barred:     func(*events.Record, string) bool { return false },
		MayRepeat:  func(context.Context, events.Stored, string) error { return nil },
		Recipients: func() []Recipient { return nil }, Name: func(id string) string { return id },
		Patients: func() []string { return []string{"p-7f3k"} },
		Told: func(string) ([]Told, bool) {
			return []Told{{Name: "Hospice", Means: []string{"fhir", "email"}, Kinds: map[events.Kind]Cell{
				events.Fall: {Answer: 90 * time.Minute, Mandatory: true, Rule: "routing.yaml:3"}, events.Admission: {Step: 2, Rule: "routing/p-7f3k.yaml:9"}}}}, true
		},
		Watchers: func() []string { return []string{"On call"} },
		Config:   func() Config { return Config{Running: "abc"} }, Ready: func() (bool, string) { return true, "" },
		Audit: func(_ context.Context, a Access) error { w.audited = append(w.audited, a); return w.failing },
		Zone:  func() *time.Location { return time.UTC }, Clock: clock, Log: slog.New(slog.DiscardHandler),
	}
	return w
}

func (w *world) get(t *testing.T, path string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	New(w.Options).Routes(mux.HandleFunc)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

// TestNothingIsShownThatIsNotOnRecord, not even to an admin.
func TestNothingIsShownThatIsNotOnRecord(t *testing.T) {
	w := newWorld()
	if status, said := w.get(t, "/admin/patients/p-7f3k"); status != http.StatusOK || !strings.Contains(said, "Hospice") {
		t.Errorf("status %d: %s", status, said)
	}
	want := Access{By: events.Actor{Kind: events.System, ID: "desk"}, Name: "Ann", Interaction: "read", Type: "CareTeam", ID: "p-7f3k", Patient: "p-7f3k", From: "192.0.2.1", At: w.Clock()}
	if len(w.audited) != 1 || w.audited[0] != want {
		t.Errorf("%+v", w.audited)
	}
	w.failing = errors.New("the disk is full")
	for _, path := range []string{"/admin", "/admin/rows", "/admin/live", "/admin/patients/p-7f3k", "/admin/alarms", "/admin/recipients"} {
		if status, said := w.get(t, path); status != http.StatusServiceUnavailable || strings.Contains(said, "Hospice") || strings.Contains(said, "p-7f3k") {
			t.Errorf("%s: status %d: %s", path, status, said)
		}
	}
}

// TestNothingThatWasSaid: neither what a carer wrote, nor where it was, nor what somebody answered the family.
func TestNothingThatWasSaid(t *testing.T) {
	w := newWorld()
	id := events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "k")
	for _, path := range []string{"/admin", "/admin/rows", "/admin/events/" + id, "/admin/patients/p-7f3k"} {
		status, said := w.get(t, path)
		if status != http.StatusOK || !strings.Contains(said, "retrying Hospice") || !strings.Contains(said, "acknowledged Nurses") {
			t.Errorf("%s: status %d: %s", path, status, said)
		}
		for _, private := range []string{"He fell", "Riverside Hospital", "Thomas"} {
			if strings.Contains(said, private) {
				t.Errorf("%s tells %s", path, private)
			}
		}
	}
}

// TestPictureSaysWhatItShows: each cell in words too, for whoever does not see it.
func TestPictureSaysWhatItShows(t *testing.T) {
	_, said := newWorld().get(t, "/admin/patients/p-7f3k")
	for _, want := range []string{"Told at once. A person there is to answer within 90m. No patient&#39;s file can take this away. routing.yaml:3",
		"Told only if nobody answers, as number 2. routing/p-7f3k.yaml:9", `<th scope="row">Hospice`, "their system, by FHIR, then email", "On call", "✓★"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
	if n := strings.Count(said, "Not told."); n != 3 {
		t.Errorf("%d cells are empty", n)
	}
}

// TestPictureSaysWhen: what is not always so says when it is.
func TestPictureSaysWhen(t *testing.T) {
	w := newWorld()
	told := Told{Name: "Duty line"}
	told.Add(events.Fall, Cell{Rule: "routing.yaml:3"})
	told.Only(events.Fall, []string{"mon-fri 18:30-08:00", "at home"})
	told.Add(events.Discharge, Cell{Rule: "routing.yaml:4"})
	told.Add(events.Discharge, Cell{Rule: "routing.yaml:5"})
	w.Options.Told = func(string) ([]Told, bool) { return []Told{told}, true }
	_, said := w.get(t, "/admin/patients/p-7f3k")
	for _, want := range []string{"Told at once. Only mon-fri 18:30-08:00; at home. routing.yaml:3", "Told at once. routing.yaml:4", "Fall: mon-fri 18:30-08:00; at home"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
}

// TestRefusedEditIsOnEveryPage, with what is wrong, as check says it.
func TestRefusedEditIsOnEveryPage(t *testing.T) {
	w := newWorld()
	problems := []string{"routing/p-7f3k.yaml:9:14: unknown recipient <b>"}
	for range 11 {
		problems = append(problems, "another")
	}
	w.Options.Config = func() Config { return Config{Running: "abc", Failed: problems} }
	for _, path := range []string{"/admin", "/admin/rows", "/admin/alarms", "/admin/patients"} {
		status, said := w.get(t, path)
		if status != http.StatusOK || !strings.Contains(said, "The newest edit was refused") || strings.Contains(said, "<b>") || !strings.Contains(said, "and 2 more") {
			t.Errorf("%s: status %d: %s", path, status, said)
		}
	}
}

// TestGapsAreOnEveryPage, as check says them, unless there is worse to say.
func TestGapsAreOnEveryPage(t *testing.T) {
	w := newWorld()
	config := Config{Running: "abc", Gaps: []string{"routing/p-7f3k.yaml:1:1: a fall reaches nobody"}}
	w.Options.Config = func() Config { return config }
	if _, said := w.get(t, "/admin"); !strings.Contains(said, "The configuration in force has gaps") || !strings.Contains(said, "a fall reaches nobody") {
		t.Error(said)
	}
	config.Failed = []string{"hub.yaml:1:1: this file is empty"}
	if _, said := w.get(t, "/admin"); !strings.Contains(said, "The newest edit was refused") || strings.Contains(said, "has gaps") {
		t.Error(said)
	}
}

// TestOpenAlarms: what nobody can tell counts as open while it is news, an alarm about whom the rules keep out does not, and a store
// that fails is no quiet.
func TestOpenAlarms(t *testing.T) {
	w := newWorld()
	alarm := func(about events.About, age time.Duration) events.Stored {
		return events.Stored{Record: events.Record{Event: events.Event{Kind: events.Alarm, Recorded: w.Clock().Add(-age)}, Plan: events.Plan{About: &about}}}
	}
	st, _ := w.Find(t.Context(), "")
	late := events.About{Event: st.Record.Event.ID, Recipient: "hospice", Reason: events.ReasonOverdue}
	all := []events.Stored{alarm(late, time.Hour), alarm(events.About{Event: "reload-1", Reason: events.ReasonReload}, time.Hour),
		alarm(events.About{Event: "reload-2", Reason: events.ReasonReload}, 8*24*time.Hour)}
	w.Alarms = func(context.Context, int) ([]events.Stored, error) { return all, nil }
	config := Config{Since: w.Clock().Add(-2 * time.Hour), Failed: []string{"hub.yaml:1:1: this file is empty"}}
	w.Options.Config = func() Config { return config }
	if open, more, err := New(w.Options).openAlarms(t.Context()); open != 2 || more || err != nil {
		t.Errorf("%d open, more %v, %v", open, more, err)
	}
	w.Barred = func(*events.Record, string) bool { return true }
	if open, _, err := New(w.Options).openAlarms(t.Context()); open != 1 || err != nil {
		t.Errorf("%d open, %v", open, err)
	}
	for _, settled := range []Config{{Since: w.Clock()}, {Since: w.Clock(), Failed: config.Failed}} { // the second is of another edit
		config = settled
		if open, _, err := New(w.Options).openAlarms(t.Context()); open != 0 || err != nil {
			t.Errorf("%d open after the folder was put right, %v", open, err)
		}
	}
	for len(all) < mostAlarms+1 {
		all = append([]events.Stored{alarm(late, time.Hour)}, all...)
	}
	all = all[:mostAlarms-1]
	all = append(all, alarm(late, time.Hour))
	if _, said := w.get(t, "/admin"); !strings.Contains(said, "None of the newest 30 alarms is open.") {
		t.Error(said)
	}
	w.Find = func(context.Context, string) (events.Stored, error) {
		return events.Stored{}, errors.New("the store is away")
	}
	if status, _ := w.get(t, "/admin"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
}
