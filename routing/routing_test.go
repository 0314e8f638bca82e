package routing_test

import (
	"fmt"
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
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// known is a hub with three providers to be told by message, one of them with a second channel and one by mail only, one by phone only, two carers and one patient.
func known() routing.Known {
	return routing.Known{
		Reachable: map[string]bool{"surgery": true, "nurses": true, "hospice": true, "duty-line": false, "ruth": true, "tom": true},
		Inboxes:   map[string]bool{"nurses": true, "ruth": true, "tom": true},
		Several:   map[string]bool{"surgery": true},
		Whole:     map[string]string{"hospice": "webhook"},
		Urgent:    map[events.Kind]bool{events.Fall: true, events.Admission: true},
		Patients:  map[string]strict.Pos{"p-7f3k": {File: "patients.yaml", Line: 1, Column: 1}},

		FallbackAfter: map[events.Kind]time.Duration{events.Fall: 5 * time.Minute, events.Discharge: 90 * time.Minute},
	}
}

func TestBroken(t *testing.T) {
	stricttest.Broken(t, "testdata/broken/*.txtar", func(folder *strict.Folder) {
		k := known()
		if folder.Has("routing/p-5hut.yaml") { // who is restricted
			k.Patients["p-5hut"] = strict.Pos{File: "patients.yaml", Line: 3, Column: 1}
			k.Carers, k.Restricted = map[string]bool{"ruth": true, "tom": true}, map[string]bool{"p-5hut": true}
			delete(k.Patients, "p-7f3k")
		}
		if folder.Has("routing/p-9x2m.yaml") {
			k.Patients["p-9x2m"] = strict.Pos{File: "patients.yaml", Line: 2, Column: 1}
		}
		routing.Load(folder, k, now)
	})
}

func load(t testing.TB, archive *txtar.Archive) *routing.Rules {
	t.Helper()
	folder := &strict.Folder{Dir: stricttest.Write(t, archive)}
	rules := routing.Load(folder, known(), now)
	if problems := folder.Problems(); problems.Failed() {
		t.Fatal(problems)
	}
	return rules
}

// loadAnyway loads rules of which the check may say that some do nothing.
func loadAnyway(t testing.TB, archive *txtar.Archive) *routing.Rules {
	t.Helper()
	return routing.Load(&strict.Folder{Dir: stricttest.Write(t, archive)}, known(), now)
}

// TestStories runs testdata/stories: rules, an event in the words of who, and who is told of it.
func TestStories(t *testing.T) {
	names, _ := filepath.Glob("testdata/stories/*.txtar")
	if len(names) == 0 {
		t.Fatal("no stories")
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { story(t, name) })
	}
}

func story(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, f := range archive.Files {
		parts[f.Name] = string(f.Data)
	}
	e := event(parts["event"])
	got, ok := load(t, archive).Explain(e, []string{"hospice", "nurses", "ruth", "surgery", "tom"})
	var told, not strings.Builder
	for _, m := range got.Told {
		fmt.Fprintf(&told, "%s by %s%s\n", m.Recipient, m.Rule, given(m))
	}
	for _, n := range got.NotTold {
		fmt.Fprintf(&not, "%s: %s\n", n.ID, n.Why)
	}
	if !ok || told.String() != parts["told"] || not.String() != parts["not told"] {
		t.Errorf("%s\ntold:\n%s\nnot told:\n%s", archive.Comment, told.String(), not.String())
	}
}

// given is what a rule gives beside the message.
func given(m routing.Match) (words string) {
	if m.Content != "" {
		words += ", content " + string(m.Content)
	}
	if len(m.Attach) > 0 {
		words += ", attach " + strings.Join(m.Attach, " ")
	}
	if m.Mandatory {
		words += ", mandatory"
	}
	return words
}

// event reads "p-7f3k admission because of fall, logged by ruth, at 2026-11-23T09:00:00Z, place A B, class IMP".
func event(line string) (e routing.Asked) {
	line, rest, _ := strings.Cut(strings.TrimSpace(line), ", at ")
	for i, part := range strings.Split(rest, ", ") {
		switch word, value, _ := strings.Cut(part, " "); {
		case i == 0:
			e.At, _ = time.Parse(time.RFC3339, part)
		case word == "place":
			e.Place = value
		case word == "class":
			e.Class = value
		}
	}
	words := strings.Fields(strings.ReplaceAll(line, ",", ""))
	e.Patient, e.Kind = words[0], events.Kind(words[1])
	for i, w := range words[2:] {
		switch w {
		case "of":
			e.Because = events.Kind(words[i+3])
		case "by":
			e.LoggedBy = words[i+3]
		}
	}
	return e
}

const sound = `
-- routing/p-7f3k.yaml --
patient: p-7f3k
logged_by:
  ruth: {as: [dad, "Mr O'Neill"], may: [log, see]}
  tom: {as: [Großvater], may: log, until: 2026-11-22}
  nurses: {may: [see], until: 2026-11-23}
rules:
  - on: [admission, attendance, discharge, fall]
    notify: [surgery, nurses]
`

func TestMatchKnowsNoOtherPatient(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(sound)))
	if _, ok := rules.Match(routing.Asked{Patient: "p-9x2m", Kind: events.Fall, LoggedBy: "ruth"}); ok {
		t.Error("matched an unknown patient")
	}
	if m, ok := rules.Match(routing.Asked{Patient: "p-7f3k", Kind: events.Alarm, LoggedBy: "ruth"}); !ok || len(m) != 0 {
		t.Errorf("got %v %v, want a known patient and nobody", m, ok)
	}
}

func TestResolve(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(sound)))
	for _, c := range []struct{ actor, ref, want string }{
		{"ruth", "dad", "p-7f3k"},
		{"ruth", "DAD", "p-7f3k"},
		{"ruth", " dad ", "p-7f3k"},
		{"ruth", "mr  o’neill", "p-7f3k"},
		{"tom", "GROSSVATER", "p-7f3k"},
		{"tom", "p-7f3k", "p-7f3k"},
		{"tom", "dad", ""},
		{"ruth", "dada", ""},
		{"ruth", "da", ""},
		{"nurses", "", ""},
		{"nobody", "dad", ""},
		{"ruth", "p-9x2m", ""},
	} {
		got, ok := rules.Resolve(c.actor, c.ref)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s says %q: got %q", c.actor, c.ref, got)
		}
	}
	if got := rules.Aliases("ruth"); !slices.Equal(got, []string{"dad", "Mr O'Neill"}) {
		t.Errorf("got %v", got)
	}
}

func TestMay(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(sound)))
	late := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		actor string
		right routing.Right
		want  routing.Authority
	}{
		{"ruth", routing.Log, routing.Allowed},
		{"ruth", routing.See, routing.Allowed},
		{"tom", routing.Log, routing.Ended},
		{"tom", routing.See, routing.No},
		{"nurses", routing.See, routing.Allowed}, // through the last minute of the day
		{"surgery", routing.Log, routing.No},
	} {
		if got := rules.May(c.actor, "p-7f3k", c.right, late); got != c.want {
			t.Errorf("may %s %s: got %v, want %v", c.actor, c.right, got, c.want)
		}
	}
	if rules.May("ruth", "p-9x2m", routing.Log, late) != routing.No {
		t.Error("ruth may log for an unknown patient")
	}
	if rules.May("nurses", "p-7f3k", routing.See, late.Add(time.Minute)) != routing.Ended {
		t.Error("the nurses' authority does not end with the day")
	}
}

func TestHash(t *testing.T) {
	hash := func(text string) string { return load(t, txtar.Parse([]byte(text))).Hash() }
	first := hash(sound)
	if again := hash(strings.Replace(sound, "rules:", "# who is told\nrules:", 1)); again != first {
		t.Error("a comment changed the hash")
	}
	if other := hash(strings.Replace(sound, "[surgery, nurses]", "[nurses, surgery]", 1)); other == first {
		t.Error("another order of recipients has the same hash")
	}
}

// TestWithoutPrivateFiles: in CI, where carers are not known, a logger is taken to be one, and anybody else may be.
func TestWithoutPrivateFiles(t *testing.T) {
	text := strings.Replace(sound, "[surgery, nurses]", "[surgery, tom, timm]", 1)
	folder := &strict.Folder{Dir: stricttest.Write(t, txtar.Parse([]byte(text)))}
	routing.Load(folder, routing.Known{Reachable: map[string]bool{"surgery": true}, NoCarers: true}, now.AddDate(-1, 0, 0))
	want := `routing/p-7f3k.yaml:8:28: warning: "timm" is no subscriber and logs for nobody: only carers.yaml, which is not here, could say who this is`
	if got := folder.Problems().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
