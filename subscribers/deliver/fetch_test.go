package deliver_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// TestBacklogIsReadOnce: what has waited because all of its recipients did not answer is read back once for all of them when they
// do, and goes out in order.
func TestBacklogIsReadOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to := []string{"gp", "nurses", "hospice", "frailty"}
		w := newWorld(t, to...)
		answers := make(chan struct{})
		for _, r := range to {
			w.behaves(r+"/webhook", func(events.Delivery) error { <-answers; time.Sleep(10 * time.Millisecond); return nil })
		}
		h := newHooked(w)
		var mu sync.Mutex
		read := map[string]int{} // by partition and sequence
		h.reads(func(_ context.Context, p int, seq uint64) error {
			time.Sleep(20 * time.Millisecond) // a store elsewhere
			mu.Lock()
			defer mu.Unlock()
			read[fmt.Sprint(p, "/", seq)]++
			return nil
		})
		w.run(h.on)
		logged := map[string][]string{} // by patient
		for n := range 800 {
			patient := fmt.Sprintf("p-%04d", n%16)
			logged[patient] = append(logged[patient], w.log(events.Admission, patient, to...).Record.Event.ID)
		}
		pass(20 * time.Second)
		close(answers)
		pass(time.Hour)
		for _, r := range to {
			told := map[string][]string{}
			for _, a := range w.diary {
				if a.to == r+"/webhook" {
					told[a.patient] = append(told[a.patient], a.event)
				}
			}
			for patient, ids := range logged {
				if !slices.Equal(told[patient], ids) {
					t.Errorf("%s was told of %d events of %s, of %d, or in another order", r, len(told[patient]), patient, len(ids))
				}
			}
		}
		reads := 0
		for _, n := range read {
			reads += n
		}
		if last := w.diary[len(w.diary)-1].after; last > 22*time.Second { // one second is what the endpoints take
			t.Errorf("the last was told %v after the first event", last)
		}
		if reads > len(read)*5/4 {
			t.Errorf("%d reads of %d events", reads, len(read))
		}
		w.stop()
	})
}

// TestReadBackByTheNext: whoever waits for an event that another has begun to read back does not depend on that one's patience.
func TestReadBackByTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		h := newHooked(w)
		e := w.run(h.on)
		st := w.log(events.Admission, "p-7f3k", "gp")
		w.pushOut("p-7f3k")
		var reads atomic.Int32
		h.reads(func(ctx context.Context, _ int, _ uint64) error {
			if reads.Add(1) == 1 {
				<-ctx.Done()
				return &events.Error{Kind: events.Unavailable, Message: "x", Err: ctx.Err()}
			}
			return nil
		})
		request, hangUp := context.WithCancel(t.Context())
		var first, second error
		var asked sync.WaitGroup
		asked.Go(func() { _, first = e.Withdraw(request, st.Place()) })
		settle()
		asked.Go(func() { _, second = e.Withdraw(t.Context(), st.Place()) })
		settle()
		hangUp()
		asked.Wait()
		if first == nil || second != nil || reads.Load() != 2 {
			t.Errorf("the first had %v, the second %v, after %d reads", first, second, reads.Load())
		}
		w.stop()
	})
}

// TestStaysInMemoryForAMinute: an event that nobody needs is at hand for who comes back for it soon, and gone from memory later
// even if nothing pushes it out.
func TestStaysInMemoryForAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		h := newHooked(w)
		var reads atomic.Int32
		h.reads(func(context.Context, int, uint64) error { reads.Add(1); return nil })
		e := w.run(h.on)
		first := w.log(events.Admission, "p-7f3k", "gp")
		pass(50 * time.Second)
		second := w.log(events.Discharge, "p-7f3k", "gp")
		for _, want := range []struct {
			after         time.Duration
			first, second int32
		}{{0, 0, 0}, {20 * time.Second, 1, 0}, {50 * time.Second, 0, 1}, {30 * time.Second, 1, 0}, {10 * time.Minute, 1, 1}} {
			pass(want.after)
			for st, n := range map[*events.Stored]int32{&first: want.first, &second: want.second} {
				reads.Store(0)
				if err := e.TellStep(t.Context(), st.Place(), 0); err != nil || reads.Load() != n { // changes nothing
					t.Errorf("%v later: %v, read %d times, not %d", want.after, err, reads.Load(), n)
				}
			}
		}
	})
}

// TestAlarmGivesUpWaiting: the alarm about a delivery waits for the same event as its attempt; when it gives up, the attempt
// still gets what it waits for.
func TestAlarmGivesUpWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		h := newHooked(w)
		p := &pauses{paused: map[string]bool{"gp/webhook": true}}
		gaveUp := make(said, 1)
		e := w.run(h.on, p.options, func(o *deliver.Options) { o.Slog = slog.New(slog.NewTextHandler(gaveUp, nil)) })
		st := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		w.pushOut("p-7f3k")
		var reads atomic.Int32
		h.reads(func(_ context.Context, _ int, seq uint64) error {
			if seq == st.Seq {
				reads.Add(1)
				<-gaveUp
			}
			return nil
		})
		pass(14 * time.Minute)
		var asked sync.WaitGroup
		asked.Go(func() { // reads it, with more patience than either, and changes nothing
			if err := e.TellStep(t.Context(), st.Place(), 1); err != nil {
				t.Error(err)
			}
		})
		pass(time.Minute + 20*time.Second) // the alarm is due meanwhile, and waits
		e.Pause("gp", "webhook", false)
		pass(time.Hour)
		asked.Wait()
		same(t, "told", w.told("gp/webhook"), []string{st.Record.Event.ID})
		if reads.Load() != 1 {
			t.Errorf("read %d times", reads.Load())
		}
		w.stop()
	})
}

// said gets a word when an alarm could not be stored.
type said chan struct{}

func (s said) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "alarm not stored yet") {
		select {
		case s <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}
