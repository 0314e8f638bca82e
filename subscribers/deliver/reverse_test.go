package deliver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// bounce is a mail that comes back: what the first recipient of st was sent by their channel of this number.
func bounce(st events.Stored, channel int) deliver.Reversal {
	return deliver.Reversal{Leg: events.Leg{Place: st.Place(), Channel: channel}, Reason: events.ReasonBounced}
}

// reverse asks until it is done, as whoever keeps the record of a bounce does.
func reverse(t *testing.T, e *deliver.Engine, r deliver.Reversal) {
	t.Helper()
	for range 1000 {
		err := e.Reverse(t.Context(), r)
		if err == nil {
			settle()
			return
		}
		if !errors.Is(err, deliver.ErrNotYet) && !errors.Is(err, deliver.ErrElsewhere) {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
	}
	t.Fatal("it is never taken in")
}

func (w *world) alarmed() (reasons []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.alarms {
		reasons = append(reasons, a.Recipient+"/"+a.Channel+" "+string(a.Reason))
	}
	return reasons
}

func TestBounceOpensTheNextChannelAndAlarms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook")
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp")
		changed, stop := e.Watch(a.Record.Event.ID)
		defer stop()
		pass(time.Hour)
		same(t, "before", w.states(e, a), []string{"gp sent"})
		<-changed
		reverse(t, e, bounce(a, 0))
		select {
		case <-changed:
		default:
			t.Error("watchers were told nothing")
		}
		pass(time.Second)
		same(t, "after", w.states(e, a), []string{"gp received"})
		same(t, "by the other channel", w.told("gp/webhook"), []string{a.Record.Event.ID})
		same(t, "alarms", w.alarmed(), []string{"gp/email bounced"})
		receipts, _ := e.Receipts(t.Context(), a)
		same(t, "struck", receipts[0].Struck, []string{"email"})
		for range 3 { // the same report, read again
			reverse(t, e, bounce(a, 0))
		}
		pass(time.Hour)
		same(t, "once", w.told("gp/email"), []string{a.Record.Event.ID})
		same(t, "one alarm", w.alarmed(), []string{"gp/email bounced"})
		w.stop()
	})
}

func TestBounceOfTheLastChannelRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email email-2")
		for i, c := range w.subs["gp"].Channels {
			c.Type = "email"
			w.subs["gp"].Channels[i] = c
		}
		var ended []string
		e := w.run(func(o *deliver.Options) {
			o.Ended = func(channel string, state events.State, _ time.Duration) {
				ended = append(ended, channel+" "+string(state))
			}
		})
		a := w.log(events.Admission, "p-7f3k", "gp")
		pass(time.Minute)
		reverse(t, e, bounce(a, 0))
		pass(time.Minute)
		same(t, "sent to the second", w.states(e, a), []string{"gp sent"})
		reverse(t, e, bounce(a, 0))
		same(t, "which the first says nothing of", w.states(e, a), []string{"gp sent"})
		reverse(t, e, bounce(a, 1))
		same(t, "no channel is left", w.states(e, a), []string{"gp refused bounced"})
		w.stop()
		e = w.run()
		pass(time.Hour)
		reverse(t, e, bounce(a, 1))
		same(t, "for good", w.states(e, a), []string{"gp refused bounced"})
		same(t, "alarms", w.alarmed(), []string{"gp/email bounced", "gp/email-2 bounced"})
		same(t, "ended", ended, []string{"email sent", "email sent", "email refused"})
		if n := len(w.attempts("gp/email")) + len(w.attempts("gp/email-2")); n != 2 {
			t.Errorf("%d attempts", n)
		}
		w.stop()
	})
}

// TestBounceOfSomethingElse: a system that has answered, a channel that another outran, a plan without such a row.
func TestBounceThatSaysNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email", "nurses email webhook")
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		pass(time.Minute)
		for _, leg := range []events.Leg{{Index: 0, Channel: 0}, {Index: 0, Channel: 1}, {Index: 1, Channel: 1}, {Index: 2}, {Index: 1, Channel: 2}} {
			leg.Place = a.Place()
			reverse(t, e, deliver.Reversal{Leg: leg, Reason: events.ReasonBounced})
		}
		same(t, "nothing has changed", w.states(e, a), []string{"gp received", "nurses sent"})
		same(t, "and nobody was alarmed", w.alarmed(), nil)
		if err := e.Reverse(t.Context(), deliver.Reversal{Leg: events.Leg{Place: events.Place{Partition: 77, Seq: 1}}}); !errors.Is(err, deliver.ErrDrained) {
			t.Errorf("a partition that is no more: %v", err)
		}
		w.stop()
	})
}

func TestBounceWhileOthersAreStillUntold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook", "nurses")
		w.behaves("nurses/webhook", hang)
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		settle()
		reverse(t, e, bounce(a, 0)) // the event is above the cursor
		pass(time.Second)
		same(t, "gp only", w.states(e, a), []string{"gp received", "nurses trying"})
		w.behaves("nurses/webhook", nil)
		pass(10 * time.Minute)
		same(t, "all", w.states(e, a), []string{"gp received", "nurses received"})
		w.stop()
	})
}

// TestBounceBeforeItsAnswer: the mail server took it, its answer was lost, and the mail came back before the next attempt.
func TestBounceBeforeItsAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook", "nurses email")
		w.behaves("gp/email", hang)
		w.behaves("nurses/email", dead)
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		pass(30 * time.Second)
		if err := e.Reverse(t.Context(), bounce(a, 0)); !errors.Is(err, deliver.ErrNotYet) {
			t.Errorf("while an attempt is in flight: %v", err)
		}
		reverse(t, e, bounce(a, 0))
		reverse(t, e, deliver.Reversal{Leg: events.Leg{Place: a.Place(), Index: 1}, Reason: events.ReasonBounced})
		pass(time.Minute)
		same(t, "after", w.states(e, a), []string{"gp received", "nurses refused bounced"})
		if n := len(w.attempts("gp/email")); n != 1 {
			t.Errorf("%d attempts by mail", n)
		}
		same(t, "alarms", w.alarmed(), []string{"gp/email bounced", "nurses/email bounced"})
		if h := e.Health(); h.Parked != 0 {
			t.Errorf("%d parked", h.Parked)
		}
		w.stop()
	})
}

// TestBounceAfterDays: the time to give up was counted from when the event came in, and is over.
func TestBounceAfterDays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook email-2")
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp")
		pass(5 * 24 * time.Hour)
		w.behaves("gp/webhook", dead)
		reverse(t, e, bounce(a, 0))
		w.stop()
		e = w.run() // the page alone knows
		pass(4 * time.Minute)
		same(t, "the next channel has its time", w.states(e, a), []string{"gp retrying connection"})
		pass(10 * time.Minute)
		same(t, "then the one after it", w.told("gp/email-2"), []string{a.Record.Event.ID})
		same(t, "never again by the first", w.told("gp/email"), []string{a.Record.Event.ID})
		w.stop()
	})
}

// TestBounceInItsPlace: what comes back stands before what came later, once that is not in flight any more.
func TestBounceInItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook")
		e := w.run()
		var all []events.Stored
		var ids []string
		for range 3 {
			all = append(all, w.log(events.Admission, "p-7f3k", "gp"))
			ids = append(ids, all[len(all)-1].Record.Event.ID)
		}
		pass(time.Minute)
		w.behaves("gp/email", hang)
		w.behaves("gp/webhook", dead)
		last := w.log(events.Discharge, "p-7f3k", "gp")
		pass(time.Second) // it is in flight
		for _, i := range []int{1, 0, 2} {
			reverse(t, e, bounce(all[i], 0))
		}
		w.behaves("gp/email", nil)
		w.behaves("gp/webhook", nil)
		pass(20 * time.Minute)
		same(t, "in order", w.told("gp/webhook"), ids)
		same(t, "by mail", w.told("gp/email"), append(slices.Clone(ids), last.Record.Event.ID))
		if h := e.Health(); h.Parked != 0 {
			t.Errorf("%d parked", h.Parked)
		}
		w.stop()
	})
}

// slow is a log that lets nobody read on until it is let go.
type slow struct {
	deliver.Log
	gate chan struct{}
}

func (l slow) Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error {
	return l.Log.Read(ctx, p, after, func(st events.Stored) error {
		<-l.gate
		return fn(st)
	})
}

// forgetful is a ledger that keeps no cursor.
type forgetful struct{ deliver.Ledger }

func (l forgetful) Put(ctx context.Context, p int, entries []events.Entry) error {
	return l.Ledger.Put(ctx, p, slices.DeleteFunc(slices.Clone(entries), func(e events.Entry) bool { return strings.HasPrefix(e.Key, "cur.") }))
}

// TestBounceBeforeItIsReadAgain: after a restart the ledger knows that it was sent, and the engine has yet to come to it.
func TestBounceBeforeItIsReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook")
		w.run(func(o *deliver.Options) { o.Ledger = forgetful{w.store} })
		a := w.log(events.Admission, "p-7f3k", "gp")
		pass(time.Minute)
		w.stop()
		log := slow{w.store, make(chan struct{})}
		e := w.run(func(o *deliver.Options) { o.Log = log })
		settle()
		if err := e.Reverse(t.Context(), bounce(a, 0)); !errors.Is(err, deliver.ErrNotYet) {
			t.Errorf("before it is read: %v", err)
		}
		close(log.gate)
		settle()
		reverse(t, e, bounce(a, 0))
		pass(time.Hour)
		same(t, "told once", w.told("gp/webhook"), []string{a.Record.Event.ID})
		if h := e.Health(); h.Parked != 0 {
			t.Errorf("%d parked", h.Parked)
		}
		w.stop()
	})
}

// TestBounceOfASealedPartition: as long as anybody waits there the archive lets it be; then it may have been read already.
func TestBounceOfASealedPartition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp email webhook", "nurses")
		w.behaves("nurses/webhook", dead)
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		b := w.log(events.Admission, "p-7f3k", "gp")
		pass(time.Minute)
		if err := w.store.Grow(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		reverse(t, e, bounce(a, 0))
		pass(time.Second)
		same(t, "told by the next channel", w.told("gp/webhook"), []string{a.Record.Event.ID})
		w.behaves("nurses/webhook", nil)
		pass(time.Hour)
		if err := e.Reverse(t.Context(), bounce(b, 0)); !errors.Is(err, deliver.ErrDrained) {
			t.Errorf("once all have been told: %v", err)
		}
		if drained, err := deliver.Drained(t.Context(), w.store, b.Partition, b.Seq); !drained || err != nil {
			t.Errorf("it stays: %v", err)
		}
		w.stop()
	})
}
