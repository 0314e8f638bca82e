package routing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
	"carehub/events"
	"carehub/routing"
)

// during is rules by which the hospice is told of a fall at some hours and the surgery at any, in a hub in London.
func during(t *testing.T, hours string) *routing.Rules {
	t.Helper()
	text := "-- routing/p-7f3k.yaml --\npatient: p-7f3k\nlogged_by: {ruth: {may: log}}\nrules:\n" +
		"  - on: [admission, attendance, discharge, fall]\n    notify: surgery\n" +
		"  - on: fall\n    notify: hospice\n    hours: " + hours + "\n"
	folder := &strict.Folder{Dir: stricttest.Write(t, txtar.Parse([]byte(text)))}
	rules := routing.Load(folder, known(), now.In(london(t)))
	if problems := folder.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return rules
}

func london(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestHours: what the clock on the wall shows decides, over midnight, over the end of the week, and in the nights in which it is changed.
func TestHours(t *testing.T) {
	const night = `{days: [mon-fri], from: "18:30", to: "08:00"}`
	for _, c := range []struct {
		hours, at string
		told      bool
	}{
		{night, "2026-11-27T18:29:59Z", false}, // a Friday
		{night, "2026-11-27T18:30:00Z", true},
		{night, "2026-11-28T07:59:59Z", true}, // until Saturday morning
		{night, "2026-11-28T08:00:00Z", false},
		{night, "2026-11-28T19:00:00Z", false},
		{night, "2026-11-30T07:00:00Z", false}, // Monday morning belongs to Sunday night
		{night, "2026-07-06T17:30:00Z", true},  // 18:30 in summer
		{`{days: [fri-mon]}`, "2026-11-26T23:59:00Z", false},
		{`{days: [fri-mon]}`, "2026-11-27T00:00:00Z", true},
		{`{days: [fri-mon]}`, "2026-11-30T23:59:00Z", true},
		{`{days: [fri-mon]}`, "2026-12-01T00:00:00Z", false},
		{`[{days: sat}, {days: [mon-fri], from: "09:00", to: "17:00"}]`, "2026-11-28T23:00:00Z", true},
		{`[{days: sat}, {days: [mon-fri], from: "09:00", to: "17:00"}]`, "2026-11-27T16:59:00Z", true},
		{`[{days: sat}, {days: [mon-fri], from: "09:00", to: "17:00"}]`, "2026-11-29T12:00:00Z", false},
		{`{from: "09:00", to: "17:00", zone: America/New_York}`, "2026-11-27T13:59:00Z", false},
		{`{from: "09:00", to: "17:00", zone: America/New_York}`, "2026-11-27T14:00:00Z", true},
		// On 25 October 2026 there is an hour from 01:00 twice, and on 28 March 2027 none.
		{`{from: "01:00", to: "02:00"}`, "2026-10-25T00:30:00Z", true},
		{`{from: "01:00", to: "02:00"}`, "2026-10-25T01:30:00Z", true},
		{`{from: "01:00", to: "02:00"}`, "2026-10-25T02:00:00Z", false},
		{`{from: "01:15", to: "01:45"}`, "2027-03-28T00:59:59Z", false},
		{`{from: "01:15", to: "01:45"}`, "2027-03-28T01:00:00Z", false},
		{`{from: "22:00", to: "01:30"}`, "2027-03-28T00:59:59Z", true},
		{`{from: "22:00", to: "01:30"}`, "2027-03-28T01:00:00Z", false}, // which is 02:00
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		matches, _ := during(t, c.hours).Match(routing.Asked{Patient: "p-7f3k", Kind: events.Fall, LoggedBy: "ruth", At: at})
		told := slices.ContainsFunc(matches, func(m routing.Match) bool { return m.Recipient == "hospice" })
		if told != c.told {
			t.Errorf("%s at %s: told %v", c.hours, c.at, told)
		}
	}
}

// TestNamesAsOfNow: whoever was told of what came in by night may know of it by day, and of its correction; a rule that has ended since
// tells nobody any more.
func TestNamesAsOfNow(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(`
-- routing/p-7f3k.yaml --
patient: p-7f3k
logged_by: {ruth: {may: log}}
rules:
  - on: [admission, attendance, discharge, fall]
    notify: surgery
  - on: fall
    notify: hospice
    hours: {from: "22:00", to: "06:00"}
    until: 2026-11-30
    acknowledge: {within: 1h, else: tom}
`)))
	night := routing.Asked{Patient: "p-7f3k", Kind: events.Fall, LoggedBy: "ruth", At: now.Add(15 * time.Hour)}
	if !rules.Names("hospice", night, night.At) || !rules.IsStep("tom", night, night.At) {
		t.Error("the end of a rule takes back what came in before")
	}
	noon, after := now.AddDate(0, 0, 1), now.AddDate(0, 0, 8)
	if !rules.Names("hospice", night, noon) || !rules.IsStep("tom", night, noon) {
		t.Error("by day nobody may hear of what came in by night")
	}
	if rules.Names("hospice", night, after) || rules.IsStep("tom", night, after) {
		t.Error("a rule that has ended still names somebody")
	}
	if got := rules.Recipients("p-7f3k", noon); !slices.Equal(got, []string{"surgery", "hospice"}) {
		t.Errorf("got %v", got)
	}
	if got := rules.Recipients("p-7f3k", after); !slices.Equal(got, []string{"surgery"}) {
		t.Errorf("afterwards got %v", got)
	}
}

// TestOccasions: every sort of hour, place and class that rules tell apart is there once, what needs no name first.
func TestOccasions(t *testing.T) {
	rules := during(t, `{days: [mon-fri], from: "18:30", to: "08:00"}`)
	var got []string
	for _, o := range rules.Occasions("p-7f3k", now) {
		got = append(got, fmt.Sprintf("%s: %s", o.At.Format("Mon 15:04"), o.Name))
	}
	want := []string{"Mon 09:00: tue-fri 08:00-18:30, from sat 08:00 to mon 18:30", "Mon 18:30: mon-fri 18:30-08:00"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	plain := during(t, `{from: "01:00", to: "02:00"}`)
	if got := plain.Occasions("p-7f3k", now, rules); len(got) != 4 {
		t.Errorf("two sets of rules: got %v", got)
	}
	if got := load(t, txtar.Parse([]byte(sound))).Occasions("p-7f3k", now); len(got) != 1 || got[0].Name != "" {
		t.Errorf("rules that always hold: got %v", got)
	}
}

// TestOccasionsBeforeTheEnd: a rule that ends on Sunday is seen in force at the sort of hours that come tonight.
func TestOccasionsBeforeTheEnd(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(`
-- routing/p-7f3k.yaml --
patient: p-7f3k
logged_by: {ruth: {may: log}}
rules:
  - on: [admission, attendance, discharge, fall]
    notify: surgery
  - on: fall
    notify: hospice
    hours: {from: "18:30", to: "08:00"}
    until: 2026-12-27
`)))
	seen := false
	for _, o := range rules.Occasions("p-7f3k", time.Date(2026, 12, 21, 12, 0, 0, 0, time.UTC)) {
		matches, _ := rules.Match(routing.Asked{Patient: "p-7f3k", Kind: events.Fall, At: o.At})
		seen = seen || slices.ContainsFunc(matches, func(m routing.Match) bool { return m.Recipient == "hospice" })
	}
	if !seen {
		t.Error("on no occasion is the night cover told")
	}
}

// TestStepsOfTheirRule: somebody who is told if others do not answer has the place and ceiling of the rule that asks, and only
// while it holds.
func TestStepsOfTheirRule(t *testing.T) {
	rules := load(t, txtar.Parse([]byte(`
-- routing/p-7f3k.yaml --
patient: p-7f3k
logged_by: {ruth: {may: log}}
rules:
  - on: [admission, attendance, discharge, fall]
    notify: surgery
  - on: fall
    notify: surgery
    content: link
    hours: {from: "22:00", to: "06:00"}
    acknowledge: {within: 1h, else: tom}
`)))
	asked := routing.Asked{Patient: "p-7f3k", Kind: events.Fall, LoggedBy: "ruth", At: now.Add(15 * time.Hour)}
	steps := rules.Steps(asked)
	if len(steps) != 1 || steps[0].Rule != "routing/p-7f3k.yaml:6" || steps[0].Content != events.ContentLink {
		t.Errorf("by night: %+v", steps)
	}
	asked.At = now
	x, _ := rules.Explain(asked, []string{"tom"})
	if len(rules.Steps(asked)) != 0 || len(x.NotTold) != 1 || !strings.HasPrefix(x.NotTold[0].Why, "not at this hour") {
		t.Errorf("by day: %+v", x.NotTold)
	}
}
