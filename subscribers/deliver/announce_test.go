package deliver_test

import (
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// announcer hears of events, and says when each is done.
type announcer struct {
	heard []string
	done  chan struct{}
}

func (a *announcer) hear(rec *events.Record) <-chan struct{} {
	a.heard = append(a.heard, rec.Event.ID)
	return a.done
}

// TestAnnouncedInOrderUntilDone has each event announced once, in order, and again after a restart as long as that was not
// done, whatever became of its deliveries.
func TestAnnouncedInOrderUntilDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("nurses/webhook", dead)
		a := &announcer{done: make(chan struct{})}
		with := func(a *announcer) func(*deliver.Options) {
			return func(o *deliver.Options) {
				o.Announce = func(rec *events.Record) []<-chan struct{} { return []<-chan struct{}{nil, a.hear(rec)} }
			}
		}
		e := w.run(with(a))
		first := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		second := w.log(events.Discharge, "p-7f3k", "gp", "nurses")
		ids := []string{first.Record.Event.ID, second.Record.Event.ID}
		pass(time.Minute)
		same(t, "announced", a.heard, ids)
		same(t, "told meanwhile", w.told("gp/webhook"), ids)
		if p := progress(e, first.Partition); p.Settled != 0 || p.Unsettled != 2 {
			t.Errorf("the cursor passed what is not done: %+v", p)
		}
		w.stop()

		again := &announcer{done: make(chan struct{})}
		e = w.run(with(again))
		pass(time.Minute)
		same(t, "announced again", again.heard, ids)
		close(again.done)
		pass(time.Minute)
		if p := progress(e, first.Partition); p.Unsettled != 0 {
			t.Errorf("not settled though it is done: %+v", p)
		}
		w.stop()

		last := &announcer{done: make(chan struct{})}
		w.run(with(last))
		pass(time.Minute)
		same(t, "announced a third time", last.heard, nil)
		same(t, "told once", w.told("gp/webhook"), ids)
		w.stop()
	})
}

// TestResume has what waits for a recipient that was down for hours tried at once, in order.
func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		e := w.run()
		var want []string
		for range 5 {
			want = append(want, w.log(events.Fall, "p-7f3k", "gp").Record.Event.ID)
		}
		pass(5 * time.Hour)
		w.behaves("gp/webhook", nil)
		e.Resume("nobody")
		settle()
		same(t, "told before", w.told("gp/webhook"), nil)
		e.Resume("gp")
		pass(time.Second)
		same(t, "told", w.told("gp/webhook"), want)
		w.stop()
	})
}

// progress is how far the telling of one partition's events has come.
func progress(e *deliver.Engine, partition int) (found deliver.Progress) {
	for _, p := range e.Health().Partitions {
		if p.Partition == partition {
			found = p
		}
	}
	return found
}
