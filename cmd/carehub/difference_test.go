package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing/compare"
)

// crowd writes a folder with the rules of many patients. Those of every nth are edited by edit.
func crowd(tb testing.TB, patients, nth int, edit func(string) string) rulings {
	tb.Helper()
	dir := tb.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	write("hub.yaml", "name: Riverside\ncontact: {phone: \"01234\", email: help@hub.example}\nalarms: {notify: [nurses]}\nurl: https://hub.example\n"+
		"mail: {host: smtp.example, from: care@hub.example}\n")
	for _, id := range []string{"surgery", "nurses", "hospice", "frailty"} {
		write("subscribers/"+id+".yaml", fmt.Sprintf("id: %s\nname: The %s\nchannels: [{email: {to: team@%s.example}}]\n", id, id, id))
	}
	for n := range patients {
		text := fmt.Sprintf("patient: p-%05d\nlogged_by: {carer: {may: log}}\nrules:\n  - on: [admission, attendance, discharge]\n    notify: [surgery, nurses, hospice]\n"+
			"  - on: fall\n    notify: [frailty, surgery]\n    acknowledge: {within: 30m, else: [nurses]}\n", n)
		if nth > 0 && n%nth == 0 {
			text = edit(text)
		}
		write(fmt.Sprintf("routing/p-%05d.yaml", n), text)
	}
	return load(tb, dir)
}

func load(tb testing.TB, dir string) rulings {
	tb.Helper()
	r, err := side{name: dir, dir: dir}.load(tb.Context(), loadOptions{noPrivate: true})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// TestManyDifferences: what is the same for hundreds of patients is one line, and takes no time for those whose rules are as before.
func TestManyDifferences(t *testing.T) {
	old := crowd(t, 300, 0, nil)
	now := crowd(t, 300, 3, func(text string) string { return strings.Replace(text, "nurses, hospice]", "nurses]", 1) })
	r := difference(old, now, nil)
	var text strings.Builder
	r.Text(&text)
	want := `100 patients lose a recipient (300 compared).

100 patients lose a recipient:
  p-00000, p-00003, p-00006, p-00009, p-00012 and 95 more admission, attendance, discharge: − The hospice  [routing/p-00000.yaml:4]

Who may log or see, addresses and alarm recipients are not compared.
`
	if text.String() != want || r.Refused {
		t.Errorf("got\n%s", text.String())
	}
}

// TestTimesDiffer: an alarm that comes later is a difference though the rules are the same.
func TestTimesDiffer(t *testing.T) {
	old, now := crowd(t, 2, 0, nil), crowd(t, 2, 0, nil)
	fall := now.hub.Kinds[events.Fall]
	fall.AlarmAfter *= 2
	now.hub.Kinds[events.Fall] = fall
	if r := difference(old, now, nil); r.Counts[compare.Times] != 2 || len(r.Changes) != 1 {
		t.Errorf("got %+v", r)
	}
}

// BenchmarkDifference compares the rules of 10,000 patients: as they were, a hundredth of them edited, and all of them, because a
// subscriber has changed.
func BenchmarkDifference(b *testing.B) {
	edit := func(text string) string { return strings.Replace(text, "nurses, hospice]", "nurses]", 1) }
	old, some, all := crowd(b, 10_000, 0, nil), crowd(b, 10_000, 100, edit), crowd(b, 10_000, 1, edit)
	for name, now := range map[string]rulings{"none": old, "hundredth": some, "all": all} {
		b.Run(name, func(b *testing.B) {
			var r compare.Report
			for b.Loop() {
				r = difference(old, now, nil)
			}
			if r.Patients != 10_000 {
				b.Fatal(r)
			}
		})
	}
}

// TestRunCases: rules are good for a hub when they do what the cases beside them expect, and when these can be read.
func TestRunCases(t *testing.T) {
	r := crowd(t, 2, 0, nil)
	for text, want := range map[string]string{
		"cases: [{patient: all, on: fall, told: [frailty, surgery], steps: [nurses]}]":    "",
		"cases: [{patient: p-00001, on: fall, told_at_least: [hospice]}]":                 "hospice is not told: no rule for fall names them; named for admission, attendance and discharge at routing/p-00001.yaml:4",
		"cases: [{patient: p-00001, on: fall, told_at_least: [hospise]}]":                 `routing/tests/a.yaml:1:54: unknown recipient "hospise"; did you mean "hospice"?`,
		"cases: [{patient: p-00001, on: admission, told_at_least: [hospice], by: carer}]": "", // who logs is a carer, wherever carers.yaml is
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "routing/tests"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "routing/tests/a.yaml"), text)
		err := testRules(r.folder, &strict.Folder{Dir: dir})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestPictureNamesWhen: a picture says in few words when somebody is told who is not always told: until a rule ends, after it, at a place.
func TestPictureNamesWhen(t *testing.T) {
	r := crowd(t, 1, 1, func(text string) string {
		return strings.Replace(text, "  - on: fall\n", "  - {on: fall, notify: [nurses], when: {place: home}}\n  - {on: fall, notify: [hospice], until: 2099-03-01}\n  - on: fall\n", 1)
	})
	all, known := desk{r.folder, nil}.picture("p-00000")
	got := map[string]string{}
	for _, one := range all {
		got[one.Name] = strings.Join(one.Kinds[events.Fall].When, "; ")
	}
	want := map[string]string{"The surgery": "", "The frailty": "", "The nurses": "", "The hospice": "now"}
	if !known || !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}
