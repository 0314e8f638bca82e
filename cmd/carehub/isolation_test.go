package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneHangsOneIsDead: of four providers one accepts and never answers, one refuses connections. The other two are told
// of everything, in order, before the first attempt at the one that hangs has even ended.
func TestOneHangsOneIsDead(t *testing.T) {
	const patients, each = 4, 50
	gp, nurses := newProvider(t, "gp"), newProvider(t, "nurses")
	hangs, dead := newProvider(t, "hangs"), newProvider(t, "dead")
	var ended atomic.Int64
	answer := make(chan struct{})
	hangs.before = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-answer:
			return false
		case <-r.Context().Done():
			ended.Add(1)
			return true
		}
	}
	dead.server.Close()
	hub := newProcess(t, patients, hangs, dead, gp, nurses)
	hub.start()

	logged := logEach(t, hub, patients, each)
	for _, r := range []*provider{gp, nurses} {
		waitUntil(t, r.id+" has everything", func() bool { _, n := r.count(); return n == patients*each })
		inOrder(t, r, logged)
		if arrived, different := r.count(); arrived != different {
			t.Errorf("%s got %d messages of %d events", r.id, arrived, different)
		}
	}
	if n := ended.Load(); n > 0 || hangs.tried() == 0 {
		t.Errorf("meanwhile the hub gave up %d of %d attempts at the one that hangs", n, hangs.tried())
	}
	for id, want := range map[string][]string{"gp": {"received"}, "nurses": {"received"}, "hangs": {"trying", "retrying"}, "dead": {"retrying"}} {
		waitUntil(t, id+" is as it should be", func() bool { return slices.Contains(want, hub.state(logged[0][0], id)) })
	}
	close(answer)
	waitUntil(t, "the one that hung has everything", func() bool { _, n := hangs.count(); return n == patients*each })
	inOrder(t, hangs, logged)
	hub.stop()
}

// logEach logs events for each patient, patients side by side, and returns the ids of each in order.
func logEach(t *testing.T, hub *process, patients, each int) [][]string {
	t.Helper()
	logged := make([][]string, patients)
	var loggers sync.WaitGroup
	for n := range patients {
		loggers.Go(func() {
			for i := range each {
				id, err := logOne(hub, fmt.Sprintf("key-%d-%d", n, i), fmt.Sprintf(`{"patient": "p-%04d", "kind": "fall", "words": "%d"}`, n, i))
				if err != nil {
					t.Error(err)
				}
				logged[n] = append(logged[n], id)
			}
		})
	}
	loggers.Wait()
	return logged
}

// inOrder holds the first arrivals of each patient's events to the order in which they were logged.
func inOrder(t *testing.T, r *provider, logged [][]string) {
	t.Helper()
	for n, want := range logged {
		if got := r.firsts(fmt.Sprintf("p-%04d", n)); !slices.Equal(got, want) {
			t.Errorf("%s: patient %d: %d arrivals, not the %d events in their order", r.id, n, len(got), len(want))
		}
	}
}

// state asks the hub how one recipient of an event stands.
func (p *process) state(event, recipient string) string {
	p.t.Helper()
	var view struct {
		Recipients []struct{ ID, State string }
	}
	p.get("/events/"+event, &view)
	for _, r := range view.Recipients {
		if r.ID == recipient {
			return r.State
		}
	}
	return ""
}
