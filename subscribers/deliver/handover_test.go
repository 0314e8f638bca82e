package deliver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/deliver"
)

// TestHandedOverInOrder: two engines share a store, and partitions go to and fro between them while events come in. Where
// everybody works nothing is told twice; where nobody does all is told in the end, in order.
func TestHandedOverInOrder(t *testing.T) {
	for name, trouble := range map[string]float64{"all is well": 0, "much is not": .5} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { handedOver(t, trouble) })
		})
	}
}

func handedOver(t *testing.T, trouble float64) {
	rnd := rand.New(rand.NewPCG(3, 4))
	recipients := []string{"gp", "nurses", "hospice"}
	w := newWorld(t, "gp webhook email", "nurses", "hospice")
	for _, at := range []string{"gp/webhook", "gp/email", "nurses/webhook", "hospice/webhook"} {
		w.behaves(at, func(d events.Delivery) error {
			if roll := float64(d.Attempt*len(d.Event)%7) / 7; d.Attempt < 9 && roll < trouble {
				return []error{errHang, &events.Failure{Reason: events.ReasonConnection}}[d.Attempt%2]
			}
			return nil
		})
	}
	estate := newEstate()
	a, b := estate.tenant(w.store), estate.tenant(w.store)
	ea := w.run(a.options, func(o *deliver.Options) { o.Hot = 16 })
	stopA := w.stop
	eb := w.run(b.options, func(o *deliver.Options) { o.Hot = 16 })
	estate.give(a, 0, 1, 2, 3)
	want := map[string][]string{}
	var all []events.Stored
	for i := range 400 {
		patient := fmt.Sprintf("p-%04d", rnd.IntN(9))
		st := w.log(events.Admission, patient, recipients...)
		all = append(all, st)
		want[patient] = append(want[patient], st.Record.Event.ID)
		if i%10 == 0 {
			estate.move(rnd.IntN(4), []*tenant{a, b}[rnd.IntN(2)])
			pass(time.Duration(rnd.IntN(500)) * time.Millisecond)
		}
	}
	pass(3 * time.Hour)
	w.checkArrivals(t, recipients, want)
	if n := len(w.diary); trouble == 0 && n != len(all)*len(recipients) {
		t.Errorf("%d messages for %d deliveries", n, len(all)*len(recipients))
	}
	for _, e := range []*deliver.Engine{ea, eb} { // either knows how it went
		for _, st := range all {
			for i, state := range w.states(e, st) {
				if state != recipients[i]+" received" && state != recipients[i]+" sent" {
					t.Fatalf("event %d of partition %d: %s", st.Seq, st.Partition, state)
				}
			}
		}
	}
	if a.refused+b.refused > 0 {
		t.Errorf("%d writes after the partition was given away", a.refused+b.refused)
	}
	stopA()
	w.stop()
}

// TestParkedIsHandedOver: what waits for a dead recipient waits on with the next owner, and is nobody's twice.
func TestParkedIsHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		estate := newEstate()
		a, b := estate.tenant(w.store), estate.tenant(w.store)
		ea := w.run(a.options)
		stopA := w.stop
		eb := w.run(b.options)
		estate.give(a, 0, 1, 2, 3)
		var order []string
		for range 600 {
			order = append(order, w.log(events.Admission, "p-7f3k", "gp").Record.Event.ID)
		}
		pass(time.Minute)
		if na, nb := ea.Health().Parked, eb.Health().Parked; na != 600 || nb != 0 {
			t.Fatalf("%d and %d parked, want 600 and 0", na, nb)
		}
		for p := range 4 {
			estate.move(p, b)
		}
		pass(time.Minute)
		if na, nb := ea.Health().Parked, eb.Health().Parked; na != 0 || nb != 600 {
			t.Fatalf("%d and %d parked after the move, want 0 and 600", na, nb)
		}
		w.behaves("gp/webhook", nil)
		pass(20 * time.Minute)
		same(t, "told", w.told("gp/webhook"), order)
		if len(w.alarms) > 1 {
			t.Errorf("%d alarms", len(w.alarms))
		}
		stopA()
		w.stop()
	})
}

// TestHandOverWaitsOnlyForWhatIsInFlight: whoever stops leaves the rest of a long lane to the next owner.
func TestHandOverWaitsOnlyForWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", func(events.Delivery) error { time.Sleep(time.Second); return nil })
		estate := newEstate()
		a, b := estate.tenant(w.store), estate.tenant(w.store)
		w.run(a.options)
		stopA := w.stop
		w.run(b.options)
		estate.give(a, 0, 1, 2, 3)
		var order []string
		for range 100 {
			order = append(order, w.log(events.Admission, "p-7f3k", "gp").Record.Event.ID)
		}
		pass(10*time.Second + time.Millisecond)
		for p := range 4 {
			estate.move(p, b)
		}
		pass(2 * time.Second)
		if held, _ := b.Owned(); len(held) != 4 {
			t.Errorf("after two seconds the next owner holds %v", held)
		}
		pass(10 * time.Minute)
		same(t, "told", w.told("gp/webhook"), order)
		stopA()
		w.stop()
	})
}

// TestHandOverWaitsForNobodyWhoHangs: a recipient who takes a message and never answers keeps a partition from the next owner for two
// seconds, and no longer; then that owner tells everybody, and repeats what was cut off under the same id.
func TestHandOverWaitsForNobodyWhoHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("gp/webhook", func(events.Delivery) error { return errHang })
		estate := newEstate()
		a, b := estate.tenant(w.store), estate.tenant(w.store)
		w.run(a.options)
		stopA := w.stop
		w.run(b.options)
		estate.give(a, 0, 1, 2, 3)
		order := []string{w.log(events.Admission, "p-7f3k", "gp", "nurses").Record.Event.ID}
		pass(5 * time.Second)
		for p := range 4 {
			estate.move(p, b)
		}
		order = append(order, w.log(events.Discharge, "p-7f3k", "gp", "nurses").Record.Event.ID)
		pass(3 * time.Second)
		if held, _ := b.Owned(); len(held) != 4 {
			t.Errorf("after three seconds the next owner holds %v", held)
		}
		same(t, "nurses were told", w.told("nurses/webhook"), order)
		w.behaves("gp/webhook", nil)
		pass(10 * time.Minute)
		same(t, "gp was told", w.told("gp/webhook"), order)
		stopA()
		w.stop()
	})
}

// TestZombie: an owner that does not know yet that it is none any more. What it writes is refused, and it stops.
func TestZombie(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		estate := newEstate()
		a, b := estate.tenant(w.store), estate.tenant(w.store)
		var slow atomic.Bool
		slow.Store(true)
		w.behaves("nurses/webhook", func(events.Delivery) error {
			if slow.Load() {
				return errHang
			}
			return nil
		})
		w.run(a.options)
		stopA := w.stop
		estate.give(a, 0, 1, 2, 3)
		first := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		pass(10 * time.Second)
		eb := w.run(b.options)
		for p := range 4 {
			estate.seize(p, b)
		}
		second := w.log(events.Discharge, "p-7f3k", "gp", "nurses")
		pass(10 * time.Second)
		slow.Store(false)
		pass(10 * time.Minute)
		if a.refused == 0 || b.refused != 0 {
			t.Errorf("%d and %d writes refused", a.refused, b.refused)
		}
		before := len(w.tries)
		third := w.log(events.Fall, "p-7f3k", "gp", "nurses")
		pass(time.Minute)
		if n := len(w.tries) - before; n != 2 {
			t.Errorf("%d attempts for two recipients: the late owner goes on", n)
		}
		var order []string
		for _, st := range []events.Stored{first, second, third} {
			same(t, "states", w.states(eb, st), []string{"gp received", "nurses received"})
			order = append(order, st.Record.Event.ID)
		}
		w.checkArrivals(t, []string{"gp", "nurses"}, map[string][]string{"p-7f3k": order})
		stopA()
		w.stop()
	})
}

// TestLateOwnerStartsNothing: when the lease is about to end no attempt starts, and all go on when it is renewed.
func TestLateOwnerStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		estate := newEstate()
		a := estate.tenant(w.store)
		w.run(a.options)
		estate.give(a, 0, 1, 2, 3)
		w.log(events.Admission, "p-7f3k", "gp", "nurses")
		settle()
		late := func(is bool) {
			estate.mu.Lock()
			defer estate.mu.Unlock()
			a.late = is
		}
		late(true)
		for i := range 20 {
			w.log(events.Admission, fmt.Sprintf("p-%04d", i), "gp", "nurses")
		}
		pass(time.Minute)
		if n := len(w.tries); n != 2 {
			t.Errorf("%d attempts, want only the two from before", n)
		}
		late(false)
		pass(time.Second)
		if n := len(w.diary); n != 42 {
			t.Errorf("%d told, want 42", n)
		}
		w.stop()
	})
}

// TestWatchedElsewhere: whoever watches an event on one hub sees what another hub does about it.
func TestWatchedElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		estate := newEstate()
		a, b := estate.tenant(w.store), estate.tenant(w.store)
		w.run(a.options)
		stopA := w.stop
		eb := w.run(b.options)
		settle()
		st := w.log(events.Admission, "p-7f3k", "gp")
		changed, stop := eb.Watch(st.Record.Event.ID)
		defer stop()
		same(t, "before", w.states(eb, st), []string{"gp trying"})
		estate.give(a, 0, 1, 2, 3)
		pass(2 * time.Second)
		select {
		case <-changed:
		default:
			t.Error("nobody said that something has changed")
		}
		same(t, "after", w.states(eb, st), []string{"gp received"})
		stopA()
		w.stop()
	})
}

// TestNewGenerationWaitsForTheOld: what a patient's old partition holds is told before what the new one does.
func TestNewGenerationWaitsForTheOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("gp/webhook", dead)
		g := &grown{n: 2, old: stream.NewMemory(4), new: stream.NewMemory(2), changed: make(chan struct{})}
		old := []events.Partition{{Number: 0, After: -1}, {Number: 1, After: -1}}
		var sealed, next []events.Partition
		for i := range 2 {
			sealed = append(sealed, events.Partition{Number: i, After: -1, Sealed: true})
			next = append(next, events.Partition{Number: 2 + i, After: i})
		}
		g.lay(slices.Concat(old, next)...) // as another process saw it that was slow to seal
		var patients []string
		for i := 0; len(patients) < 6; i++ {
			if p := fmt.Sprintf("p-%04d", i); events.PartitionOf(p, 4) < 2 {
				patients = append(patients, p)
			}
		}
		want := map[string][]string{}
		logTo := func(m *stream.Memory, n int) {
			w.store = m
			for i := range n {
				p := patients[i%len(patients)]
				want[p] = append(want[p], w.log(events.Admission, p, "gp", "nurses").Record.Event.ID)
			}
		}
		logTo(g.old, 60)
		e := w.run(func(o *deliver.Options) { o.Log, o.Ledger, o.Hot = g, g.old, 8 })
		pass(time.Second)
		logTo(g.new, 60)
		pass(time.Minute)
		if n := len(w.told("nurses/webhook")); n != 60 {
			t.Errorf("%d told before the old generation was sealed, want its 60", n)
		}
		g.lay(slices.Concat(sealed, next)...)
		pass(time.Minute)
		if n := len(w.told("nurses/webhook")); n != 120 {
			t.Errorf("%d told after it, want 120", n)
		}
		w.behaves("gp/webhook", nil)
		pass(20 * time.Minute)
		w.checkArrivals(t, []string{"gp", "nurses"}, want)
		for p := range 2 {
			last, _ := g.Last(t.Context(), p)
			if cursor, _, _ := g.old.Get(t.Context(), p, events.CursorSubject(p)); string(cursor) != fmt.Sprint(last) {
				t.Errorf("the cursor of sealed partition %d is at %s, want %d", p, cursor, last)
			}
		}
		g.lay(next...)
		pass(time.Second)
		if e.Health().Parked != 0 {
			t.Error("something is still parked")
		}
		w.stop()
	})
}
