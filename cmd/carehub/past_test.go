package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPast: what became of past events, and what other rules would have made of them, is the same whether or not the hub is
// running, and nothing that a carer wrote is in it.
func TestPast(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("routing/p-7f3k.yaml", "    notify: [riverside-surgery, district-nurses, hospice, frailty-team]",
		"    notify: [riverside-surgery, district-nurses, hospice]\n    acknowledge: {within: 30m, else: [duty-line]}")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(other, "routing/p-7f3k.yaml")
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, rules, strings.Replace(string(text), "district-nurses, hospice]", "frailty-team]", 1))

	w.start()
	ruth := w.token("ruth")
	admission := w.logs(ruth, `{"patient": "dad", "kind": "admission", "words": "He is awake.", "place": "Riverside Hospital"}`).ID
	fall := w.logs(ruth, `{"patient": "dad", "kind": "fall"}`).ID
	w.logs(ruth, `{"patient": "dad", "kind": "discharge", "test": true}`)
	w.settled(ruth, admission)
	w.settled(ruth, fall)

	yesterday := time.Now().AddDate(0, 0, -1).Format(time.DateOnly)
	ask := func() (said []string) {
		return []string{
			w.carehub("who", "--event", admission, "--dir", w.dir),
			w.carehub("simulate", "--since", yesterday, "--config", other, "--dir", w.dir),
		}
	}
	running := ask()
	w.stop()
	stopped := ask()
	for i, said := range running {
		if said != stopped[i] {
			t.Errorf("the running hub says\n%s\nits store\n%s", said, stopped[i])
		}
		if strings.Contains(said, "awake") || strings.Contains(said, "Thomas") {
			t.Errorf("this names the patient, or quotes the carer: %s", said)
		}
	}
	clock := regexp.MustCompile(`(\w{3} \d+ \w{3}( \d{4})? )?\d\d:\d\d`)
	for i, want := range []string{
		admission + `
p-7f3k: admission, logged by ruth, at TIME (Europe/London)

Told:
  riverside-surgery  TIME  webhook, then email (link) at TIME  routing/p-7f3k.yaml:12  received at TIME by webhook
  district-nurses    TIME  webhook                              routing/p-7f3k.yaml:12  received at TIME by webhook
  hospice            TIME  fhir, then email (link) at TIME     routing/p-7f3k.yaml:12  received at TIME by fhir
`, `2 events of 1 patient since TIME. Nothing was sent.
Left out: 1 event, for they are tests.

Would lose:
  District nurses: 1 event of 1 patient (admission)
  Riverside Hospice: 1 event of 1 patient (admission)

Would gain:
  Frailty team: 1 event of 1 patient (admission)
`,
	} {
		if got := clock.ReplaceAllString(running[i], "TIME"); !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	for _, want := range []string{"duty-line  not told so far: it is their turn at ", "The rules were those of today", "Today the same people would be told."} {
		if !strings.Contains(running[0], want) {
			t.Errorf("%q is not in\n%s", want, running[0])
		}
	}

	w.edit("routing/p-7f3k.yaml", "district-nurses, hospice]", "frailty-team]")
	said := w.carehub("who", "--event", admission, "--dir", w.dir)
	for _, want := range []string{"The rules were others than today's", "Today's folder would say otherwise:", "- hospice", "+ frailty-team"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	cmd := rootCommand()
	cmd.SetArgs([]string{"who", "--event", "ev-7f3k-" + strings.Repeat("a", 26), "--dir", w.dir})
	if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != "there is no event with this id" {
		t.Errorf("of an event that is not there: %v", err)
	}
}
