package compare_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/routing"
	"carehub/routing/compare"
)

var update = flag.Bool("update", false, "write the reports, to be read before they are kept")

// rules are rows by patient, kind and occasion; any is every kind, and an empty occasion all of them.
type rules map[[3]string][]compare.Row

const anything = "any"

func (r rules) Patients() []string {
	ids := map[string]bool{}
	for at := range r {
		ids[at[0]] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

func (r rules) Rows(patient string, kind events.Kind, on routing.Occasion) (rows []compare.Row) {
	for _, k := range []string{anything, string(kind)} {
		for _, o := range []string{"", on.Name} {
			rows = append(rows, r[[3]string{patient, k, o}]...)
		}
	}
	return rows
}

func named(id, name string) compare.Row {
	return compare.Row{ID: id, Name: name, Rule: "routing/p.yaml:4", Reachable: true, How: "webhook"}
}

var (
	surgery = named("surgery", "The *Surgery*")
	hospice = named("hospice", "Hospice")
	nurses  = named("nurses", "Nurses")
	tom     = named("tom", "tom")
	phone   = compare.Row{ID: "phone", Name: "Duty line"}
)

func (p pair) diff(accepted ...string) compare.Report {
	return compare.Pair{Old: p.old, New: p.now, Accepted: accepted, Same: func(patient string) bool { return patient == "p-same" },
		Occasions: func(string) []routing.Occasion {
			return []routing.Occasion{{Name: "days", Hours: "days"}, {Name: "nights", Hours: "nights"}}
		}}.Diff()
}

type pair struct{ old, now rules }

// town is a change of everything at once.
func town() pair {
	must, full, asked := hospice, surgery, nurses
	must.Mandatory, full.How, asked.Ask = true, "webhook, then email (full)", "an answer within 30m, else Duty line"
	logger := tom
	logger.Logs = true
	p := pair{rules{}, rules{}}
	set := func(r rules, patient, kind, on string, rows ...compare.Row) { r[[3]string{patient, kind, on}] = rows }
	for _, patient := range []string{"p-a", "p-b", "p-c"} {
		set(p.old, patient, anything, "", surgery, nurses)
		set(p.now, patient, anything, "", full, asked)
		set(p.old, patient, "admission", "nights", hospice)
		set(p.now, patient, "discharge", "", tom)
	}
	set(p.old, "p-d", anything, "", must)
	set(p.now, "p-d", anything, "", surgery)
	set(p.old, "p-e", anything, "", surgery, tom)
	set(p.now, "p-e", "admission", "", phone)
	set(p.now, "p-e", "fall", "", logger)
	set(p.now, "p-e", "discharge", "", surgery)
	set(p.now, "p-e", "attendance", "", surgery, tom)
	set(p.old, "p-f", "fall", "days", must)
	set(p.now, "p-f", "fall", "days", hospice)
	cut, later := must, surgery
	cut.Reachable, cut.How, later.Times = false, "by phone only", "urgent, an alarm after 1h"
	set(p.old, "p-g", "fall", "", must, surgery)
	set(p.now, "p-g", "fall", "", cut, later)
	set(p.old, "p-same", anything, "", surgery)
	set(p.now, "p-new", "fall", "", surgery)
	return p
}

// TestDiff: all sorts of changes, as text and as a comment, are those in testdata.
func TestDiff(t *testing.T) {
	var text, markdown, accepted strings.Builder
	r := town().diff()
	r.Text(&text)
	r.Markdown(&markdown)
	town().diff("p-d", "p-e/fall", "p-e/admission", "p-f", "p-g", "p-a/fall").Markdown(&accepted)
	for name, got := range map[string]string{"diff.txt": text.String(), "diff.md": markdown.String(), "accepted.md": accepted.String()} {
		golden(t, name, got)
	}
	if !r.Refused {
		t.Error("what reaches nobody was not refused")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		t.Errorf("%s: %v\n%s", name, err, got)
	}
}

// TestAccepted: by name, and only then, a loss is no reason to refuse. Of patients whose loss was not accepted it still is.
func TestAccepted(t *testing.T) {
	if r := town().diff("p-d", "p-e/fall", "p-e/admission", "p-f", "p-g"); r.Refused || r.Counts[compare.Accepted] != 4 || len(r.Unused) != 0 {
		t.Errorf("refused: %v, %v, unused %v", r.Refused, r.Counts, r.Unused)
	}
	if r := town().diff("p-d", "p-e/fall", "p-f", "p-g"); !r.Refused {
		t.Error("an admission of p-e reaches nobody, which nobody accepted")
	}
}

func TestNoDifference(t *testing.T) {
	p := town()
	p.now = p.old
	var text strings.Builder
	p.diff().Text(&text)
	if !strings.HasPrefix(text.String(), "Nobody is told more, less or otherwise (8 compared).\n") {
		t.Error(text.String())
	}
}

// TestTally: messages a day count days without any, a recipient with several rows counts once, and days are those of the zone.
func TestTally(t *testing.T) {
	zone := time.FixedZone("", 3600)
	since := time.Date(2026, 11, 1, 0, 0, 0, 0, zone)
	tally := &compare.Tally{Since: since, Until: since.AddDate(0, 0, 3), Label: strings.ToUpper}
	fall := func(patient string, at time.Duration, was, now []string) {
		tally.Add(events.Event{Patient: patient, Kind: events.Fall, Recorded: since.Add(at).UTC()}, was, now)
	}
	fall("p-a", 0, []string{"surgery", "tom"}, []string{"surgery", "hospice"})
	fall("p-a", time.Hour, []string{"surgery"}, []string{"surgery", "hospice"})
	fall("p-b", 25*time.Hour, []string{"surgery", "tom"}, nil)
	fall("p-b", 26*time.Hour, []string{"surgery"}, []string{"hospice", "surgery"})
	fall("p-b", 74*time.Hour, nil, []string{"hospice"})
	tally.Leave("for they are tests")
	var text strings.Builder
	tally.Simulation().Text(&text, 2)
	golden(t, "tally.txt", text.String())
}

// TestEmptyTally: no event is no trouble.
func TestEmptyTally(t *testing.T) {
	tally := &compare.Tally{Since: time.Unix(0, 0), Until: time.Unix(0, 0)}
	if s := tally.Simulation(); s.Events != 0 || s.Recipient == nil {
		t.Errorf("got %+v", s)
	}
}
