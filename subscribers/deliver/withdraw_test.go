package deliver_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

func (w *world) withdraw(e *deliver.Engine, st events.Stored) []deliver.Withdrawal {
	w.t.Helper()
	rows, err := e.Withdraw(w.t.Context(), st.Place())
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// TestWithdraw: what has not gone does not go any more, and is no alarm; who was told, or may have been, is named.
func TestWithdraw(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses", "hospice", "asleep", "behind", "phoned phone")
		w.quiet = map[string]*events.Quiet{"asleep": {From: "23:00", To: "07:00", Zone: "UTC"}} // it is midnight
		w.behaves("nurses/webhook", dead)
		w.behaves("hospice/webhook", hang)
		w.behaves("behind/webhook", dead)
		e := w.run()
		before := w.log(events.Fall, "p-aaaa", "behind")
		pass(time.Second)
		st := w.log(events.Discharge, "p-aaaa", "gp", "nurses", "hospice", "asleep", "behind", "phoned")
		pass(10 * time.Second)
		rows := w.withdraw(e, st)
		want := []deliver.Withdrawal{deliver.ToldOf, deliver.ToldOf, deliver.UnderWay, deliver.Untold, deliver.Untold, deliver.ToldOf}
		if !slices.Equal(rows, want) {
			t.Errorf("rows %v, want %v", rows, want)
		}
		tried := len(w.attempts("nurses/webhook"))
		pass(time.Minute) // the attempt that hung has ended
		rows = w.withdraw(e, st)
		want[2] = deliver.ToldOf
		if !slices.Equal(rows, want) {
			t.Errorf("then rows %v, want %v", rows, want)
		}
		states := []string{"gp received", "nurses withdrawn", "hospice withdrawn", "asleep withdrawn", "behind withdrawn", "phoned refused no-channel"}
		same(t, "states", w.states(e, st), states)
		alarms := w.alarmed()
		w.stop()
		for _, at := range []string{"nurses", "hospice", "asleep", "behind"} {
			w.behaves(at+"/webhook", nil)
		}
		e = w.run()
		pass(100 * time.Hour)
		same(t, "states after a restart", w.states(e, st), states)
		same(t, "told", w.told("asleep/webhook"), nil)
		same(t, "told of what was before", w.told("behind/webhook"), []string{before.Record.Event.ID})
		same(t, "alarms", w.alarmed(), alarms)
		if got := len(w.attempts("nurses/webhook")); got != tried {
			t.Errorf("%d attempts more", got-tried)
		}
		if again := w.withdraw(e, st); !slices.Equal(again, want) {
			t.Errorf("after a restart rows %v, want %v", again, want)
		}
		if h := e.Health(); h.Parked != 0 || h.Partitions[w.partition("p-aaaa")].Unsettled != 0 {
			t.Errorf("%+v", h)
		}
	})
}

// TestWithdrawAfterKills: wherever the hub was killed, whoever has an event when it is withdrawn, or gets it after that, is named, and
// whoever is not named never gets it.
func TestWithdrawAfterKills(t *testing.T) {
	for seed := range uint64(30) {
		bubble(t, func(t *testing.T) { withdrawnAfterKills(t, rand.New(rand.NewPCG(seed, 13))) })
	}
}

func withdrawnAfterKills(t *testing.T, rnd *rand.Rand) {
	recipients := []string{"gp", "nurses", "hospice", "frailty"}
	w := newWorld(t, "gp webhook email", "nurses", "hospice", "frailty")
	w.quiet = map[string]*events.Quiet{"frailty": {From: "23:00", To: "07:00", Zone: "UTC"}}
	moody := func(d events.Delivery) error {
		time.Sleep(time.Duration(len(d.Message)%7) * 100 * time.Millisecond)
		if (len(d.ID)+int(d.ID[5]))%3 == 0 && time.Since(w.start) < time.Hour {
			return &events.Failure{Reason: events.ReasonConnection}
		}
		return nil
	}
	for _, at := range []string{"gp/webhook", "nurses/webhook", "hospice/webhook"} {
		w.behaves(at, moody)
	}
	ledger := &frail{Ledger: w.store}
	w.run(func(o *deliver.Options) { o.Ledger, o.Grace = ledger, time.Nanosecond })
	var all []events.Stored
	for range 1 + rnd.IntN(4) {
		all = append(all, w.log([]events.Kind{events.Fall, events.Discharge}[rnd.IntN(2)], fmt.Sprintf("p-%04d", rnd.IntN(2)), recipients...))
		pass(time.Duration(rnd.IntN(800)) * time.Millisecond)
	}
	ledger.broken.Store(true)
	w.stop()
	e := w.run()
	pass(time.Duration(rnd.IntN(1500)) * time.Millisecond)
	named := map[string][]deliver.Withdrawal{}
	for range 30 {
		for _, st := range all {
			rows, err := e.Withdraw(t.Context(), st.Place())
			if errors.Is(err, deliver.ErrNotYet) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			id := st.Record.Event.ID
			if first := named[id]; first == nil {
				named[id] = rows
			} else if !sameNames(first, rows) {
				t.Fatalf("first %v, then %v", first, rows)
			}
		}
		pass(time.Second)
	}
	pass(48 * time.Hour)
	for _, st := range all {
		for i, r := range recipients {
			got := slices.Contains(slices.Concat(w.told(r+"/webhook"), w.told(r+"/email")), st.Record.Event.ID)
			if named[st.Record.Event.ID][i] == deliver.Untold && got {
				t.Errorf("%s has been told of event %d and was not named: %v", r, st.Seq, w.states(e, st))
			}
		}
		for _, row := range w.withdraw(e, st) {
			if row == deliver.UnderWay {
				t.Errorf("event %d is still under way: %v", st.Seq, w.states(e, st))
			}
		}
	}
	w.stop()
}

// sameNames reports whether the same rows are named.
func sameNames(a, b []deliver.Withdrawal) bool {
	return slices.EqualFunc(a, b, func(a, b deliver.Withdrawal) bool { return (a == deliver.Untold) == (b == deliver.Untold) })
}
