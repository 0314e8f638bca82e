package deliver_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// crowd registers n recipients who all behave alike, and returns their names.
func (w *world) crowd(n int, behave func(events.Delivery) error) (names []string) {
	for i := range n {
		name := fmt.Sprintf("crowd%04d", i)
		w.register(name)
		w.behaves(name+"/webhook", behave)
		names = append(names, name)
	}
	return names
}

// TestHundredsHangAndOneIsWell: however many recipients hang, attempts in flight stay bounded, and whoever is well is told
// as soon as if they were alone; of all that hang, none is forgotten.
func TestHundredsHangAndOneIsWell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const inflight = 64
		w := newWorld(t, "gp")
		var healed atomic.Bool
		crowd := w.crowd(500, func(events.Delivery) error {
			if healed.Load() {
				return nil
			}
			return errHang
		})
		w.run(func(o *deliver.Options) { o.InFlight = inflight })
		first := w.log(events.Admission, "p-7f3k", append(crowd, "gp")...)
		pass(20 * time.Second) // the crowd comes first, and nobody knows yet what it is like
		same(t, "told in spite of hundreds before", w.told("gp/webhook"), []string{first.Record.Event.ID})
		for n := range 30 {
			st := w.log(events.Fall, fmt.Sprintf("p-%04d", n), append(crowd[:50], "gp")...)
			pass(2 * time.Second)
			if got := w.told("gp/webhook"); got[len(got)-1] != st.Record.Event.ID {
				t.Errorf("event %d took more than two seconds among those who hang", n)
			}
		}
		if most := w.most(); most > inflight {
			t.Errorf("%d attempts in flight at a time, want %d at the most", most, inflight)
		}
		healed.Store(true)
		pass(40 * time.Minute)
		for _, name := range crowd {
			if got := w.told(name + "/webhook"); !slices.Contains(got, first.Record.Event.ID) {
				t.Fatalf("%s was never told of the first", name)
			}
		}
		w.stop()
	})
}

// TestRetriesNeverStorm: when hundreds have failed together their retries come at a bounded rate, spread out, and what is
// new waits for none of them.
func TestRetriesNeverStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		var healed atomic.Bool
		crowd := w.crowd(450, func(d events.Delivery) error {
			if healed.Load() {
				return nil
			}
			return dead(d)
		})
		w.run()
		first := w.log(events.Admission, "p-7f3k", crowd...)
		settle()
		if n := len(w.tries); n != len(crowd) {
			t.Errorf("%d first attempts were made at once, want all %d", n, len(crowd))
		}
		for n := range 20 {
			st := w.log(events.Fall, fmt.Sprintf("p-%04d", n), "gp")
			settle()
			if got := w.told("gp/webhook"); len(got) != n+1 || got[n] != st.Record.Event.ID {
				t.Errorf("news waited for the retries of others: %d of %d", len(got), n+1)
			}
			pass(time.Second)
		}
		pass(3 * time.Minute)
		healed.Store(true)
		pass(10 * time.Minute)
		bySecond := map[time.Duration]int{}
		for _, a := range w.tries[len(crowd):] {
			bySecond[a.after.Truncate(time.Second)]++
		}
		for second, n := range bySecond {
			if n > 401 { // what has gathered, and what comes in meanwhile
				t.Errorf("%d attempts in second %v", n, second)
			}
		}
		for _, name := range crowd {
			same(t, name, w.told(name+"/webhook"), []string{first.Record.Event.ID})
		}
		w.stop()
	})
}

// TestBacklogDrainsAsFastAsItIsTaken: a recipient that was down, and then takes ten messages a second and refuses more with
// 429, gets its backlog in order, about as fast as that, and is not asked much more often.
func TestBacklogDrainsAsFastAsItIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		w.run()
		want := map[string][]string{}
		for n := range 600 {
			patient := fmt.Sprintf("p-%04d", n%7)
			want[patient] = append(want[patient], w.log(events.Fall, patient, "gp").Record.Event.ID)
		}
		pass(time.Hour)
		var taken int
		var window time.Time
		var asked atomic.Int64
		w.behaves("gp/webhook", func(events.Delivery) error {
			asked.Add(1)
			w.mu.Lock()
			defer w.mu.Unlock()
			if time.Since(window) >= time.Second {
				window, taken = time.Now(), 0
			}
			if taken++; taken > 10 {
				return &events.Failure{Reason: events.ReasonBusy, Status: 429, RetryAfter: time.Second}
			}
			return nil
		})
		pass(20 * time.Minute)
		w.checkArrivals(t, []string{"gp"}, want)
		if n := asked.Load(); n > 900 {
			t.Errorf("asked %d times for 600 messages", n)
		}
		last := w.diary[len(w.diary)-1].after - w.diary[0].after
		if last > 3*time.Minute {
			t.Errorf("it took %v for what can be taken in one minute", last)
		}
		w.stop()
	})
}

// TestHungRecipientFillsNoMemory: what waits for somebody who hangs is parked as it comes, so that reading goes on however
// much is logged, and the others are told in no time.
func TestHungRecipientFillsNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("nurses/webhook", hang)
		w.run(func(o *deliver.Options) { o.Hot = 32 })
		w.log(events.Fall, "p-7f3k", "nurses")
		pass(2 * time.Second) // now it hangs
		for n := range 2000 {
			w.log(events.Fall, fmt.Sprintf("p-%04d", n%50), "gp", "nurses")
		}
		pass(5 * time.Second)
		if got := len(w.told("gp/webhook")); got != 2000 {
			t.Errorf("%d of 2000 told in five seconds beside somebody who hangs", got)
		}
		w.behaves("nurses/webhook", nil)
		pass(time.Hour)
		if got := len(w.told("nurses/webhook")); got != 2001 {
			t.Errorf("the one who hung was told %d of 2001", got)
		}
		w.stop()
	})
}

// TestLedgerAwayForLong: while outcomes cannot be written a bounded number of events is told, and when they can be again all
// goes on by itself.
func TestLedgerAwayForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("nurses/webhook", dead)
		ledger := &frail{Ledger: w.store}
		w.run(func(o *deliver.Options) { o.Ledger, o.Hot = ledger, 16 })
		ledger.broken.Store(true)
		want := map[string][]string{}
		for n := range 500 {
			patient := fmt.Sprintf("p-%04d", n%20)
			want[patient] = append(want[patient], w.log(events.Fall, patient, "gp", "nurses").Record.Event.ID)
		}
		pass(2 * time.Minute)
		if got := len(w.told("gp/webhook")); got > 4*16 {
			t.Errorf("%d told without an outcome on disk, want no more than are kept in memory", got)
		}
		ledger.broken.Store(false)
		w.behaves("nurses/webhook", nil)
		pass(10 * time.Minute)
		w.checkArrivals(t, []string{"gp", "nurses"}, want)
		if got := len(w.told("gp/webhook")); got != 500 {
			t.Errorf("told %d times of 500 events", got)
		}
		w.stop()
	})
}

// TestClockSetBack: an event from the future, as it looks once the clock has been set back, alarms as if accepted now, and
// goes on doing so after a restart.
func TestClockSetBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, "gp webhook email")
			w.behaves("gp/webhook", dead)
			w.behaves("gp/email", dead)
			w.ahead = 24 * time.Hour
			w.run()
			w.log(events.Admission, "p-7f3k", "gp")
			pass(10 * time.Second)
			if restart {
				w.stop()
				w.run()
			}
			pass(16 * time.Minute)
			if len(w.alarms) != 1 {
				t.Errorf("restart %v: after a quarter of an hour: %d alarms", restart, len(w.alarms))
			}
			if len(w.attempts("gp/email")) == 0 {
				t.Errorf("restart %v: the second channel was not tried", restart)
			}
			pass(72 * time.Hour)
			if got := w.alarms[len(w.alarms)-1].Reason; got != events.ReasonGaveUp {
				t.Errorf("restart %v: not given up in three days: %s", restart, got)
			}
			w.stop()
		})
	}
}

// TestClockSetForward: what a jump of the clock makes old is told at once to those who can be told; of the others a person
// hears at once.
func TestClockSetForward(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("nurses/webhook", dead)
		w.ahead = -30 * 24 * time.Hour
		w.run()
		st := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		pass(time.Minute)
		same(t, "told", w.told("gp/webhook"), []string{st.Record.Event.ID})
		if !slices.ContainsFunc(w.alarms, func(a events.About) bool { return a.Recipient == "nurses" }) {
			t.Error("nobody heard of it")
		}
		w.stop()
	})
}

// TestAttemptsAreCountedOn: a restart does not make the next attempt the first.
func TestAttemptsAreCountedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		for range 3 {
			w.run()
			if w.n == 0 {
				w.log(events.Admission, "p-7f3k", "gp")
			}
			pass(5 * time.Second)
			w.stop()
		}
		for i, a := range w.attempts("gp/webhook") {
			if a.attempt != i+1 {
				t.Errorf("attempt %d says that it is the %dth", i+1, a.attempt)
			}
		}
	})
}
