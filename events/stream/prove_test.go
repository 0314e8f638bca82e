package stream

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnchanged: a record is somebody's for as long as it was written lately, by the clock of whoever looks at it.
func TestUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLeases(&Store{}, LeaseTimes{})
		for _, step := range []struct {
			after time.Duration
			hub   string
			seq   uint64
			want  bool
		}{
			{0, "another", 1, false},
			{l.times.proof() - 1, "another", 1, false},
			{1, "another", 1, true},
			{0, "another", 2, false},
			{l.times.proof(), "another", 3, false},
			{l.times.proof(), "another", 3, true},
			{0, "", 4, true},
			{0, l.id, 5, true},
		} {
			time.Sleep(step.after)
			if got := l.unchanged(1, step.hub, step.seq, time.Now()); got != step.want {
				t.Errorf("record %d of %q: %v", step.seq, step.hub, got)
			}
		}
	})
}

// TestProofEndsBeforeAnother: whoever wrote a record stops a margin before another may take it, whatever became of beats.
func TestProofEndsBeforeAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner, other := NewLeases(&Store{}, LeaseTimes{}), NewLeases(&Store{}, LeaseTimes{})
		h := &holding{}
		owner.held[1] = h
		began := time.Now()
		other.unchanged(1, owner.id, 7, time.Now()) // at once, the acknowledgement is still under way
		time.Sleep(owner.times.Beat)
		owner.won(h, 0, began)
		stopped := time.Duration(0)
		for ; owner.MayStart(1); stopped = time.Since(began) {
			time.Sleep(time.Millisecond)
		}
		if other.unchanged(1, owner.id, 7, time.Now()) || stopped != owner.times.proof()-owner.times.Margin {
			t.Errorf("stopped after %v", stopped)
		}
		time.Sleep(owner.times.Margin)
		if !other.unchanged(1, owner.id, 7, time.Now()) {
			t.Error("not free a margin later")
		}
	})
}

// TestProvedWithoutAGap: a hub whose beats are not taken may go on all the time, if its records are written as soon as in a cluster
// that is busy.
func TestProvedWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLeases(&Store{}, LeaseTimes{})
		l.held[1] = &holding{proved: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var writes atomic.Int32
		go func() {
			defer close(ended)
			l.proveLoop(ctx, func(_ context.Context, _ int, h *holding) {
				began := time.Now()
				time.Sleep(300 * time.Millisecond)
				l.won(h, 0, began)
				writes.Add(1)
			})
		}()
		for range 10_000 {
			if !l.MayStart(1) {
				t.Fatalf("may not start after %d writes", writes.Load())
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-ended
		if n := writes.Load(); n < 19 || n > 20 {
			t.Errorf("%d writes in ten seconds", n)
		}
	})
}
