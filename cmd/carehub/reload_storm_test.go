package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/intake"
)

// storm is a hub whose rules for two patients are edited a hundred times a second while events come in.
type storm struct {
	t      *testing.T
	dir    string
	rules  map[string]map[string][]string // by hash: by patient, who is told
	logged []string
}

// stormers are who the rules tell, one set or another.
var stormers = [][]string{{"surgery"}, {"nurses"}, {"surgery", "nurses"}, {"nurses", "surgery"}}

func stormFile(patient string, set int) string {
	return "patient: " + patient + "\nlogged_by: {ruth: {as: [dad " + patient + "], may: [log, see]}}\n" +
		"rules:\n  - {on: [admission, attendance, discharge, fall], notify: [" + strings.Join(stormers[set], ", ") + "]}\n"
}

func newStorm(t *testing.T, receivers ...*provider) *storm {
	s := &storm{t: t, dir: newProcess(t, 2, receivers...).dir, rules: map[string]map[string][]string{}}
	for a := range stormers {
		for b := range stormers {
			writeFile(t, s.path("p-0000"), stormFile("p-0000", a))
			writeFile(t, s.path("p-0001"), stormFile("p-0001", b))
			f, err := loadForUse(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			s.rules[f.hash()] = map[string][]string{"p-0000": stormers[a], "p-0001": stormers[b]}
		}
	}
	if len(s.rules) != len(stormers)*len(stormers) {
		t.Fatalf("%d rule sets", len(s.rules))
	}
	return s
}

func (s *storm) path(patient string) string {
	return filepath.Join(s.dir, "routing", patient+".yaml")
}

// edit makes the nth edit: a third of them are broken, by a name that nobody has or by a file that is only half there.
func (s *storm) edit(n int) {
	patient := []string{"p-0000", "p-0001"}[n%2]
	text := stormFile(patient, n/3%len(stormers))
	switch n % 6 {
	case 2:
		text = strings.Replace(text, "notify: [", "notify: [nobody-here, ", 1)
	case 5:
		text = text[:len(text)/2]
	}
	part := s.path(patient) + ".part"
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
	if err := os.Rename(part, s.path(patient)); err != nil {
		s.t.Error(err)
	}
}

// TestReloadStorm: whatever is edited while events come in, each is planned by one rule set that was whole and valid.
func TestReloadStorm(t *testing.T) {
	surgery, nurses := newProvider(t, "surgery"), newProvider(t, "nurses")
	s := newStorm(t, surgery, nurses)
	f, err := loadForUse(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(f, slog.New(slog.DiscardHandler))
	defer h.close()
	if err := h.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.reloads.every = 4 * time.Millisecond // an edit lasts for two looks
	ctx, stop := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- h.run(ctx) }()
	s.rage(h)
	s.check(h)
	stop()
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// rage edits for two seconds, and logs events all the while.
func (s *storm) rage(h *hub) {
	over := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer close(over)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := range 200 {
			s.edit(n)
			<-tick.C
		}
	})
	work.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			default:
			}
			result, err := h.intake.Log(s.t.Context(), events.Actor{Kind: events.Carer, ID: "ruth"},
				intake.Request{Patient: []string{"p-0000", "p-0001"}[n/2%2], Kind: "fall", Key: fmt.Sprint("storm-", n)})
			if err != nil {
				s.t.Error(err)
				return
			}
			s.logged = append(s.logged, result.Stored.Record.Event.ID)
		}
	})
	work.Wait()
}

// check proves each plan from the hash that it records.
func (s *storm) check(h *hub) {
	state, seen := h.reloads.state(), map[string]bool{}
	for _, id := range s.logged {
		st, err := h.archive.Find(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		plan := st.Record.Plan
		want, valid := s.rules[plan.Rules]
		if !valid {
			s.t.Errorf("%s was planned by rules that never were: %s", id, plan.Rules)
			continue
		}
		seen[plan.Rules] = true
		var told []string
		for _, r := range plan.Recipients {
			told = append(told, r.ID)
		}
		if !slices.Equal(told, want[st.Record.Event.Patient]) {
			s.t.Errorf("%s: told %v, by %s they are %v", id, told, plan.Rules, want[st.Record.Event.Patient])
		}
	}
	s.t.Logf("%d events by %d rule sets; %d reloads, %d refused", len(s.logged), len(seen), state.Loaded, state.Refused)
	if len(seen) < 2 || state.Refused == 0 {
		s.t.Errorf("%d rule sets, %d refused: no storm", len(seen), state.Refused)
	}
}
