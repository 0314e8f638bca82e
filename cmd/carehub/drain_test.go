package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrainUnderLoad: a hub that is asked to end while carers log answers what it has begun, lets the attempts in flight
// end and exits with 0; the next one goes on, and every acknowledged event arrives, first arrivals in order.
func TestDrainUnderLoad(t *testing.T) {
	const patients, rounds = 4, 3
	quick, slow := newProvider(t, "quick"), newProvider(t, "slow")
	var begun, cut atomic.Int64
	slow.before = func(_ http.ResponseWriter, r *http.Request) bool {
		begun.Add(1)
		select {
		case <-time.After(20 * time.Millisecond): // slow is what it is
			return false
		case <-r.Context().Done():
			cut.Add(1)
			return true
		}
	}
	hub := newProcess(t, patients, quick, slow)
	hub.start()
	stop := make(chan struct{})
	acked := make([][]string, patients)
	var loggers sync.WaitGroup
	for n := range patients {
		loggers.Go(func() { acked[n] = logUntil(t, hub, n, stop) })
	}
	for range rounds {
		before := begun.Load()
		waitUntil(t, "attempts are in flight", func() bool { return begun.Load() > before+10 })
		hub.stop() // fails unless it exits with 0
		hub.start()
	}
	close(stop)
	loggers.Wait()
	for n, ids := range acked {
		for _, r := range []*provider{quick, slow} {
			patient := fmt.Sprintf("p-%04d", n)
			waitUntil(t, r.id+" has everything", func() bool { return len(r.firsts(patient)) >= len(ids) })
			if got := r.firsts(patient); !slices.Equal(got, ids) {
				t.Errorf("%s: first arrivals of %s are not the acknowledged events in their order: %d and %d", r.id, patient, len(got), len(ids))
			}
		}
	}
	if cut.Load() != 0 {
		t.Errorf("%d attempts were cut off within the grace", cut.Load())
	}
	arrived, different := slow.count()
	if arrived != different {
		t.Errorf("%d of %d deliveries were repeated: what is known at the end was not written", arrived-different, different)
	}
	hub.stop()
	log := hub.logged()
	if down := strings.Count(log, `"msg":"hub is down"`); down != rounds+1 || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the hub went down %d times in order; its log:\n%s", down, log)
	}
}
