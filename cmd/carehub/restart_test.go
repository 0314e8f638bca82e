package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
)

// TestParkedSurvives: what a provider that is down has not been told waits on disk, over a stop in order and over a
// kill, and reaches it in order, under the ids and with the bytes of the first attempt.
func TestParkedSurvives(t *testing.T) {
	t.Parallel()
	const patients, each = 3, 10
	gp, down := newProvider(t, "gp"), newProvider(t, "down")
	var up atomic.Bool
	down.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if up.Load() {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	hub := newProcess(t, patients, gp, down)
	hub.start()
	logged := logEach(t, hub, patients, each)
	waitUntil(t, "gp has everything", func() bool { _, n := gp.count(); return n == patients*each })

	for _, end := range []func(){hub.stop, hub.kill} {
		waitUntil(t, "all is parked", func() bool { return hub.parked() == patients*each })
		tried := down.tried()
		waitUntil(t, "it has been tried again", func() bool { return down.tried() > tried })
		end()
		hub.start()
	}
	up.Store(true)
	waitUntil(t, "everything has arrived", func() bool { _, n := down.count(); return n == patients*each })
	inOrder(t, down, logged)
	inOrder(t, gp, logged)
	waitUntil(t, "nothing waits any more", func() bool { return hub.parked() == 0 })
	hub.stop()
}

// TestReadBeforeLoaded: whoever asks before the engine has read its ledger never hears that somebody was not told who was,
// and what the ledger knows is not forgotten for having been asked about.
func TestReadBeforeLoaded(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	id := ""
	for range 20 { // more than share a record of the ledger
		id = w.says(ruth, "dad fell").ID
	}
	w.settled(ruth, id)
	w.stop()

	h := w.open()
	st, err := h.store.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	early, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // an engine that does not run need not answer
	defer cancel()
	if r, err := h.engine.Receipts(early, st); err == nil && r[1].State != events.Received {
		t.Errorf("before the ledger is read the surgery, which was told, is %s", r[1].State)
	}
	on, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.engine.Run(on) }() // which an early stop makes an error
	r, err := h.engine.Receipts(t.Context(), st)
	stop()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	if r[1].State != events.Received {
		t.Errorf("afterwards it is %s", r[1].State)
	}
}

// parked is how many deliveries the hub says are waiting on disk.
func (p *process) parked() int {
	p.t.Helper()
	resp, err := http.Get(p.url + "/readyz")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var ready struct{ Parked int }
	if err := json.NewDecoder(resp.Body).Decode(&ready); err != nil {
		p.t.Fatal(err)
	}
	return ready.Parked
}
