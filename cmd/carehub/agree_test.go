package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/intake"
	"carehub/events/stream"
	"carehub/routing/cases"
	"carehub/routing/compare"
)

// TestEverybodyAgrees: for any rules and any event, whom the hub plans to tell as it takes the event in is whom who names, what
// routes test holds the rules to, what simulate counts, and what routes diff says that another set of rules changes.
func TestEverybodyAgrees(t *testing.T) {
	t.Parallel()
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		writeTown(t, dir)
	}
	rapid.Check(t, func(rt *rapid.T) {
		e := drawEvent(rt)
		var both [2]rulings
		for i, dir := range dirs {
			both[i] = drawRules(rt, dir)
			both[i].now = e.Recorded.Add(-time.Hour)
		}
		plan := taken(rt, both[0].folder, e)
		told, steps := ids(plan, false), ids(plan, true)
		if said := saidByWho(rt, both[0].folder, e); !slices.Equal(said, told) {
			rt.Errorf("the hub tells %v, who says %v", told, said)
		}
		agreesWithCases(rt, both[0].folder, dirs[0], e, told, steps)
		agreesWithSimulation(rt, both, e, plan)
		agreesWithDiff(rt, both, e)
	})
}

var townspeople = []string{"surgery", "nurses", "hospice", "duty-line", "ruth", "tom"}

// writeTown writes all of a folder but its rules.
func writeTown(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{
		"hub.yaml": "name: Riverside\ncontact: {phone: \"01234\", email: help@hub.example}\nalarms: {notify: [nurses]}\nurl: https://hub.example\n" +
			"mail: {host: smtp.example, from: care@hub.example}\n",
		"subscribers/surgery.yaml":   "id: surgery\nname: Surgery\nchannels: [{email: {to: team@surgery.example}}]\nquiet_hours: {from: \"22:00\", to: \"07:00\"}\n",
		"subscribers/nurses.yaml":    "id: nurses\nname: Nurses\nchannels: [{email: {to: team@nurses.example}}]\n",
		"subscribers/hospice.yaml":   "id: hospice\nname: Hospice\nchannels: [{email: {to: team@hospice.example, content: summary}}, {email: {to: night@hospice.example}}]\n",
		"subscribers/duty-line.yaml": "id: duty-line\nname: Duty line\nphone: \"01234\"\n",
		"carers.yaml": "ruth: {name: Ruth Example, relationship: daughter, channels: [{email: {to: ruth@home.example}}]}\n" +
			"tom: {name: Tom Example, relationship: grandson, channels: [{email: {to: tom@home.example}}]}\n",
		"patients.yaml": "p-7f3k: {name: Thomas Example, born: 1941-03-11}\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	for _, sub := range []string{"routing", cases.Folder} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// drawRules writes rules into a folder and reads it. Some of what the check says of such rules would keep a hub from starting;
// what the rules mean is no other for that.
func drawRules(t *rapid.T, dir string) rulings {
	var text strings.Builder
	text.WriteString("patient: p-7f3k\nlogged_by: {ruth: {may: log}, tom: {may: log}, hospice: {may: log}}\nrules:\n")
	for range rapid.IntRange(1, 6).Draw(t, "rules") {
		text.WriteString(drawRule(t))
	}
	if err := os.WriteFile(filepath.Join(dir, "routing/p-7f3k.yaml"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := "groups:\n  pathway: [surgery, nurses]\n"
	if rapid.Bool().Draw(t, "defaults") {
		defaults += "defaults:\n" + strings.Replace(drawRule(t), "  - ", "  - name: standing\n    ", 1)
		if rapid.Bool().Draw(t, "mandatory") {
			defaults += "    mandatory: true\n"
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "routing.yaml"), []byte(defaults), 0o600); err != nil {
		t.Fatal(err)
	}
	f, problems := loadFolder(dir, loadOptions{noSecrets: true, types: channelTypes})
	for _, p := range problems {
		if !p.Warning && !p.Gap && !slices.Contains([]strict.Code{strict.DeadRule, strict.AddsNothing, strict.Escalation, strict.Twice}, p.Code) {
			t.Fatalf("%s\n%s", p, text.String())
		}
	}
	return rulings{f, f.today()}
}

func drawRule(t *rapid.T) string {
	some := func(label string, from []string) string {
		return strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 3, rapid.ID).Draw(t, label), ", ")
	}
	rule := fmt.Sprintf("  - on: [%s]\n    notify: [%s]\n", some("on", []string{"admission", "attendance", "discharge", "fall"}),
		some("notify", append([]string{"pathway"}, townspeople...)))
	for _, key := range []string{
		`hours: {from: "22:00", to: "07:00"}`, `hours: [{days: [mon-fri], from: "08:00", to: "18:30"}, {days: [sun]}]`, `hours: {days: sat, from: "12:00", to: "02:15", zone: America/New_York}`,
		`when: {place: riverside hospital}`, `when: {class: IMP}`, `until: 2026-10-25`, `until: 2026-10-30`, `content: link`, `attach: [letter]`,
	} {
		name, _, _ := strings.Cut(key, ":")
		if !strings.Contains(rule, "    "+name+":") && rapid.IntRange(0, 9).Draw(t, key) == 0 {
			rule += "    " + key + "\n"
		}
	}
	if rapid.Bool().Draw(t, "asks") {
		rule += fmt.Sprintf("    acknowledge: {within: %dm, else: [%s], any: %v}\n", rapid.IntRange(1, 90).Draw(t, "within"), some("else", townspeople), rapid.Bool().Draw(t, "any"))
	}
	return rule
}

func drawEvent(t *rapid.T) events.Event {
	e := events.Event{Patient: "p-7f3k", Kind: rapid.SampledFrom(events.Kinds).Draw(t, "kind")}
	if e.Kind.OpensStay() {
		e.Because = rapid.SampledFrom([]events.Kind{"", events.Fall}).Draw(t, "because")
	}
	e.By.ID = rapid.SampledFrom([]string{"ruth", "tom", "hospice"}).Draw(t, "by")
	if e.By.Kind = events.Carer; e.By.ID == "hospice" {
		e.By.Kind = events.System
	}
	e.Place = rapid.SampledFrom([]string{"", "Riverside Hospital"}).Draw(t, "place")
	hours := rapid.IntRange(0, 24*14).Draw(t, "hours")
	e.Recorded = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours) * time.Hour)
	return e
}

// taken is the plan that is stored when the hub takes an event in.
func taken(t *rapid.T, f *folder, e events.Event) events.Plan {
	store := stream.NewMemory(1)
	in := intake.New(memoryStore{store}, func() intake.Desk { return desk{f, nil} }, func() time.Time { return e.Recorded })
	result, err := in.Log(context.Background(), e.By, intake.Request{Patient: e.Patient, Kind: e.Kind, Because: e.Because, Place: e.Place, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Find(context.Background(), result.Stored.Record.Event.ID)
	if err != nil {
		t.Fatal(err)
	}
	return stored.Record.Plan
}

// memoryStore is a store in memory as the doors use it.
type memoryStore struct{ *stream.Memory }

func (m memoryStore) Latest(ctx context.Context, patient string, kind events.Kind) (events.Event, bool, error) {
	st, found, err := m.Memory.Latest(ctx, patient, kind)
	return st.Record.Event, found, err
}

func ids(plan events.Plan, steps bool) (all []string) {
	for _, r := range plan.Recipients {
		if r.Step == steps {
			all = append(all, r.ID)
		}
	}
	return all
}

// saidByWho is whom carehub who names, read from what it prints.
func saidByWho(t *rapid.T, f *folder, e events.Event) (told []string) {
	var out strings.Builder
	q := question{patient: e.Patient, kind: e.Kind, because: e.Because, by: e.By.ID, place: e.Place, at: e.Recorded}
	if err := f.answer(&out, q); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(out.String(), "\nTold:\n")
	list, rest, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(list, "\n") {
		if id := strings.Fields(line)[0]; id != "nobody;" {
			told = append(told, id)
		}
	}
	_, text, _ = strings.Cut(rest, "Not told:\n")
	list, _, _ = strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(list, "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && slices.Contains(told, fields[0]) {
			t.Errorf("%s is told, and is not", fields[0])
		}
	}
	return told
}

// agreesWithCases has a case that expects just what happens, which holds, and ones that expect a little less or more, which do not.
func agreesWithCases(t *rapid.T, f *folder, dir string, e events.Event, told, steps []string) {
	run := func(told, steps []string) []cases.Failure {
		text := fmt.Sprintf("cases:\n  - {patient: p-7f3k, on: %s, by: %s, at: %q, told: [%s], steps: [%s]", e.Kind, e.By.ID, e.Recorded.Format(time.RFC3339),
			strings.Join(told, ", "), strings.Join(steps, ", "))
		if e.Because != "" {
			text += ", because: " + string(e.Because)
		}
		if e.Place != "" {
			text += ", place: " + e.Place
		}
		if err := os.WriteFile(filepath.Join(dir, cases.Folder, "a.yaml"), []byte(text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		all, problems := f.cases(&strict.Folder{Dir: dir, NoSecrets: true})
		if problems.Failed() || len(all) != 1 {
			t.Fatal(problems)
		}
		return f.expected(all)
	}
	if failed := run(told, steps); len(failed) > 0 {
		t.Errorf("the hub tells %v, and the test says %+v", told, failed)
	}
	if len(told) > 0 && len(run(told[1:], steps)) != 1 {
		t.Error("a case passes that does not expect all who are told")
	}
	for _, id := range townspeople {
		if !slices.Contains(told, id) && len(run(append(slices.Clone(told), id), steps)) != 1 {
			t.Errorf("a case passes that expects %s", id)
		}
	}
}

// agreesWithSimulation puts the event through the rules by which it was taken in, which changes nothing, and through others.
func agreesWithSimulation(t *rapid.T, both [2]rulings, e events.Event, plan events.Plan) {
	for i, rules := range both {
		tally := &compare.Tally{Since: e.Recorded, Until: e.Recorded, Label: rules.label}
		put(tally, events.Record{Event: e, Plan: plan}, rules)
		would := ids(taken(t, rules.folder, e), false)
		for _, r := range tally.Simulation().Recipient {
			is, was := slices.Contains(would, r.ID), slices.Contains(ids(plan, false), r.ID)
			if (r.Now.Messages == 1) != is || (r.Gained.Events == 1) != (is && !was) || (r.Lost.Events == 1) != (was && !is) {
				t.Errorf("by rules %d %s would be told: %v, and the simulation says %+v", i, r.ID, is, r)
			}
		}
	}
}

// agreesWithDiff: what a hub tells that runs by the one or the other, of an event that none of them logged, differs as diff says;
// and diff says nothing that does not come about on one of the occasions.
func agreesWithDiff(t *rapid.T, both [2]rulings, e events.Event) {
	e.Because, e.By = "", events.Actor{}
	changed := func(e events.Event, into map[string]bool) {
		old, now := ids(both[0].Plan(e), false), ids(both[1].Plan(e), false)
		for _, id := range slices.Concat(old, now) {
			if slices.Contains(old, id) != slices.Contains(now, id) {
				into[id] = true
			}
		}
	}
	this, want := map[string]bool{}, map[string]bool{}
	changed(e, this)
	for _, o := range occasions("p-7f3k", both[0], both[1]) {
		at := e
		at.Recorded, at.Place, at.Class = o.At, o.Place, o.Class
		changed(at, want)
	}
	got := map[string]bool{}
	for _, c := range difference(both[0], both[1], nil).Changes {
		if c.What != compare.Lost && c.What != compare.Gained || !strings.Contains(c.When, string(e.Kind)) && !strings.HasPrefix(c.When, "every event") {
			continue
		}
		for _, effect := range c.Effects {
			got[effect.ID] = true
		}
	}
	for id := range this {
		if !got[id] {
			t.Errorf("of %s at %s it changes for %s, and diff knows only of %v", e.Kind, e.Recorded, id, got)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("of %s it changes for %v, and diff says for %v", e.Kind, want, got)
	}
	if r := difference(both[0], both[0], nil); len(r.Changes) > 0 {
		t.Errorf("rules differ from themselves: %+v", r.Changes)
	}
}
