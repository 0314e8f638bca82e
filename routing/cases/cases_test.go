package cases_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
	"carehub/events"
	"carehub/routing"
	"carehub/routing/cases"
)

var known = cases.Known{Patients: []string{"p-7f3k", "p-9x2m"}, IDs: []string{"hospice", "nurses", "ruth", "surgery", "tom"}, Zone: time.UTC}

func TestBroken(t *testing.T) {
	stricttest.Broken(t, "testdata/broken/*.txtar", func(folder *strict.Folder) { cases.Load(folder, known) })
}

// hub tells the surgery and Tom of everything, by night the nurses too; Ruth is told of the first patient's if nobody answers.
type hub struct{}

func (hub) Patients() []string { return known.Patients }

func (hub) Occasions(string) []routing.Occasion {
	return []routing.Occasion{{Name: "days", At: noon}, {Name: "nights", At: noon.Add(12 * time.Hour)}}
}

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func (hub) Plan(e events.Event) (plan events.Plan) {
	add := func(id, rule string, channels ...string) {
		r := events.Recipient{ID: id, Rule: rule}
		for _, key := range channels {
			r.Channels = append(r.Channels, events.Channel{Key: key})
		}
		plan.Recipients = append(plan.Recipients, r)
	}
	add("surgery", "routing/p.yaml:4", "webhook", "email")
	if e.By.ID != "tom" {
		add("tom", "routing/p.yaml:4", "email")
	}
	if e.Recorded.Hour() < 7 {
		add("nurses", "routing/p.yaml:7", "webhook")
	}
	if e.Patient == "p-7f3k" {
		plan.Recipients[0].Acknowledge = &events.Acknowledge{Within: time.Hour, Steps: []int{len(plan.Recipients)}}
		add("ruth", "routing/p.yaml:4", "email")
		plan.Recipients[len(plan.Recipients)-1].Step = true
	}
	return plan
}

func (hub) WhyNot(e events.Event, id string) string {
	return id + " is not named for " + string(e.Kind)
}

// TestRun runs testdata/run.txtar: cases, and what fails of them.
func TestRun(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/run.txtar")
	if err != nil {
		t.Fatal(err)
	}
	folder := &strict.Folder{Dir: stricttest.Write(t, archive)}
	all := cases.Load(folder, known)
	if problems := folder.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	var got strings.Builder
	for _, f := range cases.Run(all, hub{}) {
		fmt.Fprintf(&got, "%s: %s: %s\n", f.Pos, f.Case, f.Event)
		for _, d := range f.Problems {
			fmt.Fprintf(&got, "  %s %s %s %s\n", d.What, d.ID, d.Why, d.Rule)
		}
	}
	if i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "failures" }); got.String() != string(archive.Files[i].Data) {
		t.Errorf("got:\n%s", got.String())
	}
}

// TestManyFailures: a case that fails for everybody is not told of everybody.
func TestManyFailures(t *testing.T) {
	archive := txtar.Parse([]byte("-- routing/tests/all.yaml --\ncases:\n  - {patient: all, on: fall, told: []}\n  - {patient: all, on: fall, told: []}\n"))
	all := cases.Load(&strict.Folder{Dir: stricttest.Write(t, archive)}, known)
	if got := cases.Run(all, crowd{}); len(got) != 2*cases.Most {
		t.Errorf("got %d failures", len(got))
	}
}

// crowd is a hub with many patients.
type crowd struct{ hub }

func (crowd) Patients() []string { return slices.Repeat([]string{"p-7f3k"}, 1000) }

func TestNoCases(t *testing.T) {
	folder := &strict.Folder{Dir: t.TempDir()}
	if all := cases.Load(folder, known); len(all) > 0 || len(folder.Problems()) > 0 {
		t.Errorf("got %v, %v", all, folder.Problems())
	}
}

func TestMoment(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"2026-07-01 09:00": "2026-07-01T08:00:00Z", "2026-07-01T09:00:00+02:00": "2026-07-01T07:00:00Z", "9am": "", "2026-02-30 09:00": ""} {
		got, ok := cases.Moment(text, london)
		if ok != (want != "") || ok && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q is %v %v, want %q", text, got, ok, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("cases:\n  - {patient: p-7f3k, on: fall, told: [], channels: {tom: email}, at: \"2026-11-28 23:30\"}\n")
	f.Add("cases: [{patient: [all], on: [fall, admission], because: fall, steps: [ruth], not_told: tom}]")
	dir := stricttest.Write(f, &txtar.Archive{Files: []txtar.File{{Name: "routing/tests/a.yaml"}}})
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "routing/tests/a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		folder := &strict.Folder{Dir: dir}
		if all := cases.Load(folder, known); !folder.Problems().Failed() {
			cases.Run(all, hub{})
		}
	})
}
