package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// frail is a ledger that can stop working, as when the disk is full, or for good, as when the process is killed.
type frail struct {
	deliver.Ledger
	broken atomic.Bool
}

func (f *frail) Put(ctx context.Context, p int, entries []events.Entry) error {
	if f.broken.Load() {
		return errors.New("no space left on device")
	}
	return f.Ledger.Put(ctx, p, entries)
}

func TestLedgerDownDelaysNobodyAndLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		ledger := &frail{Ledger: w.store}
		e := w.run(func(o *deliver.Options) { o.Ledger = ledger })
		ledger.broken.Store(true)
		a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		pass(10 * time.Second)
		same(t, "told all the same", w.states(e, a), []string{"gp received", "nurses received"})
		if e.Health().Ledger == nil {
			t.Error("health does not say that the ledger is down")
		}
		ledger.broken.Store(false)
		pass(10 * time.Second)
		if err := e.Health().Ledger; err != nil {
			t.Errorf("health still says %v", err)
		}
		w.stop()
		e = w.run()
		pass(time.Minute)
		same(t, "not told again", w.told("gp/webhook"), []string{a.Record.Event.ID})
		same(t, "as the ledger has it", w.states(e, a), []string{"gp received", "nurses received"})
		w.stop()
	})
}

// TestKilledAnywhere kills the engine again and again among recipients of every temper, and then asks the receivers: did
// everything arrive, first arrivals in order, repeats with the same id and bytes?
func TestKilledAnywhere(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { killedAnywhere(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func killedAnywhere(t *testing.T, rnd *rand.Rand) {
	recipients := []string{"gp", "nurses", "hospice", "frailty"}
	w := newWorld(t, "gp webhook email", "nurses", "hospice", "frailty email webhook")
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(rnd.Uint64(), 8)) // thrown by many attempts at once
	throw := func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return dice.Float64()
	}
	for at, trouble := range map[string]float64{"gp/webhook": .5, "gp/email": .1, "nurses/webhook": 0, "hospice/webhook": .3, "frailty/email": .9} {
		w.behaves(at, func(events.Delivery) error {
			switch roll := throw(); {
			case roll < trouble/3:
				return errHang
			case roll < trouble*2/3:
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			case roll < trouble:
				return &events.Failure{Reason: events.ReasonConnection}
			}
			return nil
		})
	}
	want := map[string][]string{}
	var all []events.Stored
	for range 6 {
		ledger := &frail{Ledger: w.store}
		w.run(func(o *deliver.Options) { o.Ledger, o.Hot, o.InFlight, o.Grace = ledger, 16, 16, time.Nanosecond })
		for range rnd.IntN(60) {
			patient := fmt.Sprintf("p-%04d", rnd.IntN(5))
			kind := []events.Kind{events.Admission, events.Discharge}[rnd.IntN(2)]
			st := w.log(kind, patient, recipients...)
			all = append(all, st)
			want[patient] = append(want[patient], st.Record.Event.ID)
			if rnd.IntN(3) == 0 {
				pass(time.Duration(rnd.IntN(4000)) * time.Millisecond)
			}
		}
		pass(time.Duration(rnd.IntN(200_000)) * time.Millisecond)
		ledger.broken.Store(true) // killed: whatever is in flight may arrive, nothing more is written
		w.stop()
	}
	for at := range w.behave {
		w.behaves(at, nil)
	}
	e := w.run()
	pass(2 * time.Hour)
	if h := e.Health(); h.Parked != 0 {
		t.Errorf("%d still parked", h.Parked)
	}
	for _, st := range all {
		for _, state := range w.states(e, st) {
			var id, s string
			if _, err := fmt.Sscan(state, &id, &s); err != nil || !events.State(s).Told() {
				t.Errorf("event %d: %s", st.Seq, state)
			}
		}
	}
	w.checkArrivals(t, recipients, want)
	w.stop()
}

// checkArrivals compares the diary with what was accepted, per recipient and patient.
func (w *world) checkArrivals(t *testing.T, recipients []string, want map[string][]string) {
	t.Helper()
	first := map[string]arrival{} // by recipient and event
	got := map[string][]string{}  // by recipient and patient
	for _, a := range w.diary {
		recipient := a.to[:len(a.to)-len("/webhook")]
		if a.to[len(a.to)-1] == 'l' {
			recipient = a.to[:len(a.to)-len("/email")]
		}
		key := recipient + " " + a.event
		if f, repeat := first[key]; repeat {
			if f.id != a.id || f.body != a.body {
				t.Errorf("the repeat of %s differs", key)
			}
			continue
		}
		first[key] = a
		got[recipient+" "+a.patient] = append(got[recipient+" "+a.patient], a.event)
	}
	for _, r := range recipients {
		for patient, ids := range want {
			same(t, "first arrivals at "+r+" of "+patient, got[r+" "+patient], ids)
		}
	}
}
