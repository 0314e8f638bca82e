package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKilledUnderLoad kills the hub's process again and again while carers log, and then asks the receivers: is every
// acknowledged event at every one of them, first arrivals in order per patient, repeats with the same id and bytes?
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const kills, patients = 8, 6
	receivers := []*provider{newProvider(t, "gp"), newProvider(t, "nurses"), newProvider(t, "hospice"), newProvider(t, "frailty")}
	var busy atomic.Int64
	receivers[3].before = func(w http.ResponseWriter, _ *http.Request) bool { // one of them is busy every now and then
		if busy.Add(1)%50 != 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	hub := newProcess(t, patients, receivers...)
	hub.start()

	stop := make(chan struct{})
	acked := make([][]string, patients)
	var loggers sync.WaitGroup
	for n := range patients {
		loggers.Go(func() { acked[n] = logUntil(t, hub, n, stop) })
	}
	for range kills {
		time.Sleep(time.Duration(100+rand.IntN(700)) * time.Millisecond) // how long the hub lives is the experiment
		hub.kill()
		hub.start()
	}
	close(stop)
	loggers.Wait()

	total := 0
	for _, ids := range acked {
		total += len(ids)
	}
	for _, r := range receivers {
		waitUntil(t, r.id+" has everything", func() bool { _, n := r.count(); return n >= total })
		for n, ids := range acked {
			patient := fmt.Sprintf("p-%04d", n)
			if got := r.firsts(patient); !slices.Equal(got, ids) {
				t.Errorf("%s: first arrivals of %s are not the acknowledged events in their order: %d and %d", r.id, patient, len(got), len(ids))
			}
		}
	}
	repeats := 0
	for _, r := range receivers {
		arrived, different := r.count()
		repeats += arrived - different
	}
	t.Logf("%d kills, %d events acknowledged, %d deliveries, %d repeats", kills, total, 4*total, repeats)
	hub.stop()
}

// logUntil logs one event after another for a patient, each until it is acknowledged, and returns their ids.
func logUntil(t *testing.T, hub *process, patient int, stop chan struct{}) (acked []string) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return acked
		default:
		}
		kind := []string{"admission", "discharge"}[n%2]
		body := fmt.Sprintf(`{"patient": "p-%04d", "kind": %q, "place": "Riverside Hospital", "words": "event %d"}`, patient, kind, n)
		id, err := logOne(hub, fmt.Sprintf("key-%d-%d", patient, n), body)
		if err != nil {
			t.Error(err)
			return acked
		}
		acked = append(acked, id)
	}
}

// logOne repeats a request with its key until the hub says that the event is stored.
func logOne(hub *process, key, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		status, answer, err := hub.post(ctx, key, body)
		switch {
		case err == nil && (status == http.StatusCreated || status == http.StatusOK):
			return answer["id"].(string), nil
		case err == nil && status != http.StatusServiceUnavailable:
			return "", fmt.Errorf("status %d: %v", status, answer)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
