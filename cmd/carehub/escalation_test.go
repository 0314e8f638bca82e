package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/intake"
)

// TestNobodyAnswersOverRestarts: on the embedded store, with a hub that is away when the time to answer is over, in order once and
// once killed, the next step is told as soon as it is back, once; the alarm people when that does not answer either. In quiet hours
// nobody has to answer.
func TestNobodyAnswersOverRestarts(t *testing.T) {
	team, duty := newProvider(t, "team"), newProvider(t, "duty")
	hub := newProcess(t, 2, team, duty)
	for _, patient := range []string{"p-0000", "p-0001"} {
		rules := filepath.Join(hub.dir, "routing", patient+".yaml")
		text, err := os.ReadFile(rules)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, rules, strings.Replace(string(text), "notify: [team, duty]", "notify: [team], acknowledge: {within: 1m, else: [duty]}", 1))
	}

	reader := hub.run("token", "create", "--system", "duty", "--dir", hub.dir)
	quiet := hub.stores("p-0001", events.Discharge, "quiet", func(r *events.Recipient) {
		now := time.Now().UTC()
		r.Quiet = &events.Quiet{From: now.Add(-time.Hour).Format("15:04"), To: now.Add(3 * time.Hour).Format("15:04"), Zone: "UTC"}
	})
	var asked []string
	mayCome := 2
	for i, end := range []func(){hub.stop, hub.kill} {
		id := hub.stores("p-0000", events.Fall, fmt.Sprintf("key-%d", i), func(*events.Recipient) {})
		asked = append(asked, id)
		hub.start()
		waitUntil(t, "the team has been told", func() bool { return hub.state(id, "team") == string(events.Received) })
		told := time.Now()
		end()
		arrived, _ := duty.count()
		before := arrived > i // on a busy machine their time is over before the hub's
		waitUntil(t, "their time is over", func() bool { return time.Since(told) > stepTime })
		hub.start()
		waitUntil(t, "the next step has been told", func() bool { return hub.state(id, "duty") == string(events.Received) })
		waitUntil(t, "the team is said not to have answered", func() bool { return hub.state(id, "team") == string(events.Unacknowledged) })
		if !before {
			waitUntil(t, "the step is counted", func() bool { return hub.metric(t, "carehub_escalations_total") == "1" })
		} else if i == 1 { // killed, it may tell the step again
			mayCome++
		}
		hub.stop()
	}
	hub.start()
	for path, want := range map[string]int{"Communication/" + asked[0]: http.StatusOK, "Patient/p-0000": http.StatusOK, "Communication/" + quiet: http.StatusNotFound,
		"Patient/p-0001": http.StatusNotFound} { // who was told as a step reads it, and nothing that they were not told
		if got := hub.reads(reader, path); got != want {
			t.Errorf("to the step %s is %d, want %d", path, got, want)
		}
	}
	waitUntil(t, "the alarm has come", func() bool { return len(team.firsts(events.HubPatient)) == len(asked) })
	if got := duty.firsts("p-0000"); strings.Join(got, " ") != strings.Join(asked, " ") {
		t.Errorf("the step was told of %v, want %v", got, asked)
	}
	if arrived, _ := duty.count(); arrived < len(asked) || arrived > mayCome {
		t.Errorf("the step was told %d times of %d events", arrived, len(asked))
	}
	if team, duty := hub.state(quiet, "team"), hub.state(quiet, "duty"); team != string(events.Waiting) || duty != "" {
		t.Errorf("in quiet hours the team is %s and the step %q", team, duty)
	}
	hub.stop()
}

// stepTime is what the rule gives each step here; a file of rules cannot ask for so little.
const stepTime = 2 * time.Second

// stores puts an event into the store of a hub that does not run, as a carer's would be, but for how little time its first
// recipient has to answer.
func (p *process) stores(patient string, kind events.Kind, key string, change func(*events.Recipient)) (id string) {
	p.t.Helper()
	f, err := loadForUse(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	h := newHub(f, slog.New(slog.DiscardHandler))
	defer h.close()
	if err := h.open(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	ruth := events.Actor{Kind: events.Carer, ID: "ruth"}
	would, err := h.intake.Log(p.t.Context(), ruth, intake.Request{Patient: patient, Kind: kind, Key: key, DryRun: true})
	if err != nil {
		p.t.Fatal(err)
	}
	rec := would.Stored.Record
	rec.Plan.Recipients[0].Acknowledge.Within = stepTime
	change(&rec.Plan.Recipients[0])
	if _, _, err := h.archive.Publish(p.t.Context(), rec, would.Stored.Message); err != nil {
		p.t.Fatal(err)
	}
	return rec.Event.ID
}

// reads is the status that a provider's system gets for what it reads over FHIR.
func (p *process) reads(token, path string) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/fhir/"+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
