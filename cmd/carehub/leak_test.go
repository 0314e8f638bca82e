package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var leakLabels atomic.Int64

// leavesNoGoroutine has the test fail whose town, made after this call, leaves a goroutine behind once all that it cleans
// up has been. They are told by a label, which goroutines hand on: other tests run at the same time.
func leavesNoGoroutine(t *testing.T) {
	t.Helper()
	label := fmt.Sprint(leakLabels.Add(1))
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("town", label)))
	t.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background())
		http.DefaultClient.CloseIdleConnections()
		left, most := labelled(t, label), time.Now().Add(2*time.Second)
		for pause := time.Millisecond; len(left) > 0 && time.Now().Before(most); pause = min(2*pause, 100*time.Millisecond) {
			time.Sleep(pause) // some have been told to end and are about to
			left = labelled(t, label)
		}
		for _, goroutines := range left {
			t.Errorf("left behind: %s", goroutines)
		}
	})
}

// everybodys are goroutines that the first who needs them starts, and that go on for as long as anybody does.
var everybodys = []string{"\tos/signal.loop+", "nats-server/v2/server/ats.Register"}

// labelled are the goroutines with a label, those of the same stack together, as in a profile.
func labelled(t *testing.T, label string) (found []string) {
	t.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		shared := func(function string) bool { return strings.Contains(stack, function) }
		if strings.Contains(stack, fmt.Sprintf("%q:%q", "town", label)) && !slices.ContainsFunc(everybodys, shared) {
			found = append(found, stack)
		}
	}
	return found
}

// unlabelled does what outlives the test that happens to need it first.
func unlabelled(do func()) {
	var done sync.WaitGroup
	done.Go(func() {
		pprof.SetGoroutineLabels(context.Background())
		do()
	})
	done.Wait()
}

// TestGoroutineIsLeftBehind: what is looked for would be found.
func TestGoroutineIsLeftBehind(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	ended := make(chan struct{})
	label := fmt.Sprint(leakLabels.Add(1))
	pprof.Do(t.Context(), pprof.Labels("town", label), func(context.Context) {
		go func() { // it starts another, as most do
			go func() { defer close(ended); <-end }()
		}()
	})
	waitUntil(t, "it is found", func() bool { return len(labelled(t, label)) == 1 })
	close(end)
	<-ended
	waitUntil(t, "it has gone", func() bool { return len(labelled(t, label)) == 0 })
}
