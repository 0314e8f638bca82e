package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/config"
	"carehub/events"
)

// TestHeadline: initials and year of birth are for somebody at a terminal, nowhere else.
func TestHeadline(t *testing.T) {
	f := &folder{patients: config.Patients{"p-7f3k": {Patient: config.Patient{Name: "Thomas Example", Born: "1941-03-11"}}}}
	q := question{patient: "p-7f3k", kind: "fall"}
	if got := f.headline(q, true); got != "p-7f3k (TE 1941): fall" {
		t.Errorf("at a terminal: %s", got)
	}
	if got := f.headline(q, false); got != "p-7f3k: fall" {
		t.Errorf("elsewhere: %s", got)
	}
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(new(strings.Builder)) {
		t.Error("taken for a terminal")
	}
	t.Setenv("CI", "true")
	if isTerminal(os.Stdout) {
		t.Error("nobody watches a terminal in CI")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 10 * time.Hour: "10h",
	} {
		if got := short(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestTurn: a step is said to be spared only once it is certain that they are not told.
func TestTurn(t *testing.T) {
	now := time.Now()
	told := func(state events.State) []events.Outcome {
		return []events.Outcome{{State: state, At: now}, {State: events.Spared, At: now}, {State: events.Spared, At: now}}
	}
	channel := []events.Channel{{Key: "email"}}
	s := sheet{times: &times{now}, plan: events.Plan{Recipients: []events.Recipient{
		{ID: "gp", Channels: channel, Acknowledge: &events.Acknowledge{Within: time.Hour, Steps: []int{1, 2}}},
		{ID: "duty", Step: true}, {ID: "tom", Step: true, Channels: channel}}}}
	for state, want := range map[events.State]time.Duration{events.Sent: time.Hour, events.Refused: 0, events.Acknowledged: -1} {
		s.outcomes = told(state)
		for _, step := range []int{1, 2} { // the first can only be phoned
			at, comes := s.turn(step)
			if comes != (want >= 0) || comes && !at.Equal(now.Add(want)) {
				t.Errorf("%s: step %d comes %v, at %s", state, step, comes, at.Sub(now))
			}
			if spared := strings.HasPrefix(s.became(step), "spared"); spared == comes {
				t.Errorf("%s: step %d: %s", state, step, s.became(step))
			}
		}
	}
	s.times.at = now.Add(-3 * time.Hour)
	s.outcomes = []events.Outcome{{State: events.Sent, At: s.times.at}, {State: events.Spared}, {State: events.Spared}}
	if _, comes := s.turn(1); comes {
		t.Error("a turn that is over is said to come")
	}
}
