package deliver_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

func TestOneHangsOneIsDeadTwoAreToldAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses", "hospice", "frailty")
		w.behaves("hospice/webhook", hang)
		w.behaves("frailty/webhook", dead)
		w.run()
		var order []string
		for i := range 40 {
			st := w.log(events.Admission, fmt.Sprintf("p-%04d", i%3), "gp", "nurses", "hospice", "frailty")
			order = append(order, st.Record.Event.ID)
			settle()
		}
		for _, to := range []string{"gp/webhook", "nurses/webhook"} {
			same(t, to, w.told(to), order)
			for _, a := range w.attempts(to) {
				if a.after != 0 {
					t.Errorf("%s was told after %v of somebody else's trouble", to, a.after)
				}
			}
		}
		w.stop()
	})
}

func TestRetryKeepsIDAndBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		fails := 2
		w.behaves("gp/webhook", func(events.Delivery) error {
			if fails--; fails >= 0 {
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			}
			return nil
		})
		e := w.run()
		st := w.log(events.Admission, "p-7f3k", "gp")
		settle()
		same(t, "after the first failure", w.states(e, st), []string{"gp retrying server-error"})
		pass(10 * time.Second)
		same(t, "in the end", w.states(e, st), []string{"gp received"})
		tries := w.attempts("gp/webhook")
		if len(tries) != 3 {
			t.Fatalf("%d attempts, want 3", len(tries))
		}
		for i, a := range tries {
			if a.id != tries[0].id || a.body != tries[0].body || a.attempt != i+1 {
				t.Errorf("attempt %d differs from the first", i+1)
			}
		}
		w.stop()
	})
}

func TestBackoffGrowsForDaysAndEndsInAnAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		e := w.run()
		st := w.log(events.Admission, "p-7f3k", "gp")
		pass(71 * time.Hour)
		same(t, "on the third day", w.states(e, st), []string{"gp retrying connection"})
		tries := w.attempts("gp/webhook")
		for i := 1; i < len(tries); i++ {
			gap := tries[i].after - tries[i-1].after
			if gap < 500*time.Millisecond || gap > 16*time.Minute {
				t.Fatalf("attempt %d came %v after the one before", i+1, gap)
			}
		}
		if n := len(tries); n < 280 || n > 450 {
			t.Errorf("%d attempts in 71 hours", n)
		}
		pass(2 * time.Hour)
		same(t, "given up", w.states(e, st), []string{"gp failed gave-up"})
		last := w.alarms[len(w.alarms)-1]
		if w.alarms[0].Reason != events.ReasonOverdue || last.Reason != events.ReasonGaveUp || last.Recipient != "gp" {
			t.Errorf("alarms: %+v", w.alarms)
		}
		n := len(w.attempts("gp/webhook"))
		pass(5 * time.Hour)
		if more := len(w.attempts("gp/webhook")); more != n {
			t.Errorf("%d attempts after giving up", more-n)
		}
		w.stop()
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		first := true
		w.behaves("gp/webhook", func(events.Delivery) error {
			if first {
				first = false
				return &events.Failure{Reason: events.ReasonBusy, Status: 429, RetryAfter: 10 * time.Minute}
			}
			return nil
		})
		w.run()
		w.log(events.Admission, "p-7f3k", "gp")
		pass(time.Minute)
		w.log(events.Admission, "p-2222", "gp") // another patient's event leaves it in peace as well
		pass(9*time.Minute - time.Second)
		if n := len(w.attempts("gp/webhook")); n != 1 {
			t.Fatalf("%d attempts before the time it asked for", n)
		}
		pass(2 * time.Minute)
		if n := len(w.told("gp/webhook")); n != 2 {
			t.Errorf("%d told after it, want 2", n)
		}
		w.stop()
	})
}

func TestPoisonBlocksOnlyItsLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		poison := w.log(events.Admission, "p-dead", "gp")
		behind := w.log(events.Discharge, "p-dead", "gp")
		w.behaves("gp/webhook", func(d events.Delivery) error {
			if d.Event == poison.Record.Event.ID {
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			}
			return nil
		})
		e := w.run()
		pass(time.Hour)
		var order []string
		began := time.Since(w.start)
		for i := range 20 {
			order = append(order, w.log(events.Admission, fmt.Sprintf("p-%04d", i), "gp").Record.Event.ID)
			settle()
		}
		same(t, "the others", w.told("gp/webhook"), order)
		if d := time.Since(w.start); d != began {
			t.Errorf("the others waited %v", d-began)
		}
		pass(72 * time.Hour)
		same(t, "the poison", w.states(e, poison), []string{"gp failed gave-up"})
		same(t, "the one behind it", w.states(e, behind), []string{"gp received"})
		w.stop()
	})
}

func TestFallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email")
		w.behaves("gp/webhook", dead)
		e := w.run()
		slow := w.log(events.Discharge, "p-7f3k", "gp") // may wait 30 minutes for the webhook
		fast := w.log(events.Admission, "p-7f3k", "gp") // only 5, and takes the one before along
		pass(5*time.Minute - time.Second)
		same(t, "before its time", w.told("gp/email"), nil)
		pass(2 * time.Second)
		same(t, "in order by email", w.told("gp/email"), []string{slow.Record.Event.ID, fast.Record.Event.ID})
		same(t, "state", w.states(e, fast), []string{"gp sent"})
		w.behaves("gp/webhook", nil)
		pass(time.Hour)
		same(t, "withdrawn from the webhook", w.told("gp/webhook"), nil)
		if len(w.alarms) != 0 {
			t.Errorf("alarms: %+v", w.alarms)
		}
		w.stop()
	})
}

// TestEachOfALaneKeepsItsOwnTimes: what waits behind another is told by the next channel when its own time has come, and a
// person hears of what nobody can be told in its own time, before a restart and after one.
func TestEachOfALaneKeepsItsOwnTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email", "nurses")
		w.behaves("gp/webhook", dead)
		w.behaves("nurses/webhook", dead)
		e := w.run()
		var all []events.Stored
		for range 4 {
			all = append(all, w.log(events.Admission, "p-7f3k", "gp", "nurses"))
			pass(2 * time.Minute)
		}
		told := func() (n int) { return len(w.told("gp/email")) }
		for n := range all { // the first was logged eight minutes ago
			if due := 5*time.Minute + time.Duration(2*n)*time.Minute; due > 8*time.Minute {
				pass(due + time.Second - time.Since(w.start))
				if told() != n+1 {
					t.Errorf("%d were told by email after %v", told(), time.Since(w.start))
				}
			}
			if n == 2 {
				w.stop()
				e = w.run()
				pass(time.Second)
			}
		}
		pass(16 * time.Minute)
		if len(w.alarms) != 1 || w.alarms[0].Recipient != "nurses" || w.alarms[0].Reason != events.ReasonOverdue { // one speaks for all
			t.Errorf("alarms: %+v", w.alarms)
		}
		pass(72 * time.Hour)
		for _, st := range all {
			same(t, "in the end", w.states(e, st), []string{"gp sent", "nurses failed gave-up"})
		}
		w.stop()
	})
}

func TestFirstChannelKeepsTryingBesideTheFallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email")
		w.behaves("gp/webhook", dead)
		w.behaves("gp/email", dead)
		e := w.run()
		st := w.log(events.Admission, "p-7f3k", "gp")
		pass(20 * time.Minute)
		if len(w.attempts("gp/email")) < 3 {
			t.Error("the second channel was hardly tried")
		}
		if len(w.alarms) != 1 || w.alarms[0].Reason != events.ReasonOverdue {
			t.Errorf("alarms: %+v", w.alarms)
		}
		w.behaves("gp/webhook", nil)
		pass(16 * time.Minute)
		same(t, "told by the first after all", w.states(e, st), []string{"gp received"})
		if a, b := w.attempts("gp/email")[0], w.attempts("gp/webhook")[0]; a.id != b.id {
			t.Errorf("ids differ between channels: %s, %s", a.id, b.id)
		}
		w.stop()
	})
}

func TestRefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email", "hospice", "duty phone")
		w.behaves("gp/webhook", gone)
		w.behaves("hospice/webhook", gone)
		e := w.run()
		a := w.log(events.Admission, "p-7f3k", "gp", "hospice", "duty", "stranger")
		settle()
		same(t, "states", w.states(e, a), []string{"gp sent", "hospice refused gone", "duty refused no-channel", "stranger refused no-channel"})
		var who []string
		for _, al := range w.alarms {
			who = append(who, al.Recipient+" "+string(al.Reason))
		}
		slices.Sort(who)
		same(t, "alarms", who, []string{"duty no-channel", "hospice gone", "stranger no-channel"})

		w.behaves("hospice/webhook", nil)
		b := w.log(events.Discharge, "p-7f3k", "hospice")
		settle()
		same(t, "the lane goes on", w.states(e, b), []string{"hospice received"})
		w.stop()
	})
}

func TestRevokedBetweenAcceptingAndSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		st := w.log(events.Admission, "p-7f3k", "gp")
		delete(w.subs, "gp")
		e := w.run()
		settle()
		same(t, "state", w.states(e, st), []string{"gp refused revoked"})
		if len(w.alarms) != 1 || w.alarms[0].Reason != events.ReasonRevoked {
			t.Errorf("alarms: %+v", w.alarms)
		}
		w.stop()
	})
}

func TestNobodyToTellIsAlarmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.alarmErr = errors.New("store closed")
		w.run()
		w.log(events.Admission, "p-7f3k")
		pass(time.Minute)
		if len(w.alarms) != 0 {
			t.Fatal("alarmed while the store was closed")
		}
		w.mu.Lock()
		w.alarmErr = nil
		w.mu.Unlock()
		pass(2 * time.Minute)
		if len(w.alarms) != 1 || w.alarms[0].Reason != events.ReasonNoRecipient {
			t.Errorf("alarms: %+v", w.alarms)
		}
		w.stop()
	})
}

func TestOneTroubleIsOneAlarmAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		w.run()
		for i := range 100 {
			w.log(events.Admission, fmt.Sprintf("p-%04d", i), "gp")
		}
		pass(30 * time.Minute)
		if len(w.alarms) != 1 {
			t.Errorf("%d alarms for one dead system, want 1", len(w.alarms))
		}
		pass(50 * time.Minute)
		w.log(events.Fall, "p-0007", "gp")
		pass(20 * time.Minute)
		if len(w.alarms) != 2 {
			t.Errorf("%d alarms after two hours, want 2", len(w.alarms))
		}
		w.stop()
	})
}

func TestBacklogDrainsInOrderPerPatient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("gp/webhook", dead)
		e := w.run(func(o *deliver.Options) { o.Hot = 64 })
		want := map[string][]string{}
		for i := range 2000 {
			p := fmt.Sprintf("p-%04d", i%37)
			id := w.log(events.Admission, p, "gp", "nurses").Record.Event.ID
			want[p] = append(want[p], id)
			if i%100 == 0 {
				pass(time.Second)
			}
		}
		pass(time.Minute)
		if h := e.Health(); h.Parked != 2000 {
			t.Fatalf("%d parked, want 2000", h.Parked)
		}
		if n := len(w.attempts("gp/webhook")); n > 60 {
			t.Errorf("%d attempts at a dead endpoint in about a minute and a half", n)
		}
		w.behaves("gp/webhook", nil)
		pass(20 * time.Minute)
		got := map[string][]string{}
		for _, a := range w.diary {
			if a.to == "gp/webhook" {
				got[a.patient] = append(got[a.patient], a.event)
			}
		}
		for p := range want {
			same(t, p, got[p], want[p])
		}
		if h := e.Health(); h.Parked != 0 {
			t.Errorf("%d still parked", h.Parked)
		}
		w.stop()
	})
}

func TestRestartRemembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email", "nurses")
		w.behaves("gp/webhook", dead)
		w.behaves("gp/email", dead)
		w.run()
		var order []string
		for i := range 300 {
			order = append(order, w.log(events.Admission, "p-7f3k", "gp", "nurses").Record.Event.ID)
			if i%50 == 0 {
				pass(time.Second)
			}
		}
		pass(3 * time.Second)
		w.stop()
		e := w.run()
		pass(time.Minute)
		same(t, "nurses hear nothing twice", w.told("nurses/webhook"), order)
		last := w.log(events.Discharge, "p-7f3k", "gp", "nurses")
		order = append(order, last.Record.Event.ID)
		w.behaves("gp/webhook", nil)
		pass(20 * time.Minute)
		same(t, "gp hears everything in order", w.told("gp/webhook"), order)
		same(t, "the end", w.states(e, last), []string{"gp received", "nurses received"})
		w.stop()
	})
}
