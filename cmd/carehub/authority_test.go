package main

import (
	"strings"
	"testing"
	"time"

	"carehub/config/strict"
)

// TestNearness: thirty days, seven days and one day before an end, and once it is over, whatever hour and zone it is.
func TestNearness(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	const last = strict.Date("2027-03-28") // the clocks change on it
	for day, want := range map[string]string{
		"2027-02-25": "", "2027-02-26": "30d", "2027-03-20": "30d", "2027-03-21": "7d", "2027-03-26": "7d", "2027-03-27": "1d",
		"2027-03-28": "1d", "2027-03-29": "over", "2027-04-27": "over", "2027-04-28": "",
	} {
		for _, clock := range []string{" 00:00", " 23:59"} {
			today, err := time.ParseInLocation("2006-01-02 15:04", day+clock, london)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := nearness(last, today); got != want {
				t.Errorf("%s%s: %q, want %q", day, clock, got, want)
			}
		}
	}
}

// TestDueEndings: what ends on one day is one alarm, in words that name ids alone.
func TestDueEndings(t *testing.T) {
	today := time.Date(2027, 6, 23, 12, 0, 0, 0, time.UTC)
	var all []ending
	for range namedEndings - 1 {
		all = append(all, ending{"tom", "p-7f3k", "2027-06-30"})
	}
	all = append(all, ending{"", "p-9x2m", "2027-06-30"}, ending{"ruth", "p-7f3k", "2027-06-30"}, ending{"ruth", "p-7f3k", "2029-06-30"})
	due := dueEndings(all, today)
	if len(due) != 1 || due[0].stage != "7d" || len(due[0].what) != namedEndings+1 {
		t.Fatalf("got %+v", due)
	}
	for _, part := range []string{"Wednesday 30 June 2027 is the last day of what tom may do for p-7f3k; ", "; the consent or other basis for p-9x2m; and 1 more. "} {
		if !strings.Contains(due[0].words(), part) {
			t.Errorf("%q is not in %q", part, due[0].words())
		}
	}
}
