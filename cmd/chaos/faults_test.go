package main

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestMachineGone: its hub and its server are dead at the same time, and both are back.
func TestMachineGone(t *testing.T) {
	h, node := &hub{}, &process{}
	sleeps := func(p *process, name string, ready func() bool) {
		*p = process{name: name, args: []string{"sleep", "300"}, log: filepath.Join(t.TempDir(), "log"), ready: func(context.Context) bool { return ready() }}
		if err := p.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
	}
	together := false
	sleeps(&h.process, "hub", func() bool { return true })
	sleeps(node, "node", func() bool { together = h.running == nil; return true })
	pids := func() []int { return []int{h.running.Process.Pid, node.running.Process.Pid} }
	before := pids()

	w := &world{settings: settings{faults: "machine", nats: 1, down: time.Millisecond}, hubs: []*hub{h}, nats: []*process{node}}
	if !slices.ContainsFunc(w.possible(), func(f fault) bool { return f.name == "machine gone" }) {
		t.Error("-faults machine loses none")
	}
	s := &storm{w: w, rnd: rand.New(rand.NewPCG(1, 1))} // #nosec G404 -- a test
	if err := s.loseMachine(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := pids(); !together || after[0] == before[0] || after[1] == before[1] {
		t.Errorf("dead together: %t; processes %v, then %v", together, before, after)
	}
	if len(s.kills) != 1 || s.kills[0].again.Sub(s.kills[0].at) < w.down {
		t.Errorf("kills of hubs: %v", s.kills)
	}
}
