package deliver_test

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
	"carehub/subscribers/deliver"
)

// night is a world at a moment, of a recipient of each spec whose quiet hours are from 22:00 to 07:00 in London.
func night(t *testing.T, moment string, specs ...string) *world {
	t.Helper()
	time.Sleep(time.Until(clock(t, moment)))
	w := newWorld(t, specs...)
	w.quiet = map[string]*events.Quiet{}
	for id := range w.subs {
		w.quiet[id] = &events.Quiet{From: "22:00", To: "07:00", Zone: "Europe/London"}
	}
	return w
}

func clock(t *testing.T, moment string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, moment)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// passTo lets time pass until a moment.
func passTo(t *testing.T, moment string) {
	t.Helper()
	pass(time.Until(clock(t, moment)))
}

// next is when the first recipient of an event is told, as their receipt says.
func (w *world) next(e *deliver.Engine, st events.Stored) string {
	w.t.Helper()
	receipts, err := e.Receipts(w.t.Context(), st)
	if err != nil {
		w.t.Fatal(err)
	}
	if receipts[0].Next.IsZero() {
		return ""
	}
	return receipts[0].Next.Format(time.RFC3339)
}

// TestQuietHours: what comes in the night waits for the morning, says so, costs no attempt and is no alarm; in the two nights
// in which the clocks change as well, and over a restart in each of them.
func TestQuietHours(t *testing.T) {
	for _, n := range []struct{ why, logged, restart, before, ends string }{
		{"any night", "2026-11-26T22:30:00Z", "2026-11-27T02:00:00Z", "2026-11-27T06:59:59Z", "2026-11-27T07:00:00Z"},
		{"an hour more", "2026-10-24T21:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T06:59:59Z", "2026-10-25T07:00:00Z"},
		{"an hour less", "2027-03-27T22:00:00Z", "2027-03-28T00:59:59Z", "2027-03-28T05:59:59Z", "2027-03-28T06:00:00Z"},
	} {
		t.Run(n.why, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := night(t, n.logged, "gp webhook email")
				e := w.run()
				first := w.log(events.Discharge, "p-aaaa", "gp")
				second := w.log(events.Discharge, "p-aaaa", "gp")
				settle()
				same(t, "at night", slices.Concat(w.states(e, first), w.states(e, second)), []string{"gp waiting", "gp waiting"})
				if got := w.next(e, first); got != n.ends {
					t.Errorf("waits until %s, want %s", got, n.ends)
				}
				passTo(t, n.restart)
				w.stop()
				e = w.run()
				passTo(t, n.before)
				same(t, "before the morning", slices.Concat(w.states(e, first), w.states(e, second)), []string{"gp waiting", "gp waiting"})
				if got := w.next(e, second); got != n.ends || len(w.attempts("gp/webhook")) > 0 || len(w.alarmed()) > 0 {
					t.Errorf("waits until %s, %d attempts, alarms %v", got, len(w.attempts("gp/webhook")), w.alarmed())
				}
				passTo(t, n.ends)
				same(t, "in the morning", w.told("gp/webhook"), []string{first.Record.Event.ID, second.Record.Event.ID})
				same(t, "states", w.states(e, first), []string{"gp received"})
			})
		})
	}
}

// TestQuietHoursStopTheClock: what could not be delivered in the evening is neither tried nor an alarm at night, nor goes to
// the next channel. In the morning its times go on.
func TestQuietHoursStopTheClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := night(t, "2026-11-26T21:50:00Z", "gp webhook email", "nurses")
		w.behaves("gp/webhook", dead)
		w.behaves("gp/email", dead)
		e := w.run()
		st := w.log(events.Discharge, "p-aaaa", "gp", "nurses")
		passTo(t, "2026-11-26T22:00:00Z")
		evening := len(w.attempts("gp/webhook"))
		passTo(t, "2026-11-27T06:59:00Z")
		same(t, "states", w.states(e, st), []string{"gp retrying connection", "nurses received"})
		if got := w.next(e, st); got != "2026-11-27T07:00:00Z" || len(w.attempts("gp/webhook")) != evening || evening == 0 {
			t.Errorf("next %s, %d attempts in the evening, %d in all", got, evening, len(w.attempts("gp/webhook")))
		}
		passTo(t, "2026-11-27T07:19:00Z")
		if len(w.attempts("gp/email")) > 0 || len(w.attempts("gp/webhook")) == evening {
			t.Error("not by the first channel alone")
		}
		passTo(t, "2026-11-27T07:21:00Z") // 10 minutes of the evening, 20 of the morning
		if len(w.attempts("gp/email")) == 0 {
			t.Error("not by the next channel")
		}
		passTo(t, "2026-11-27T08:49:00Z")
		if got := w.alarmed(); len(got) > 0 {
			t.Errorf("alarms %v", got)
		}
		passTo(t, "2026-11-27T08:51:00Z")
		if got := w.alarmed(); len(got) != 1 {
			t.Errorf("alarms %v", got)
		}
	})
}

// TestQuietHoursEndForTheUrgent: an urgent event of the same patient takes along what waits before it; other patients' news
// goes on waiting, and so does what comes after.
func TestQuietHoursEndForTheUrgent(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			w := night(t, "2026-11-26T23:00:00Z", "gp")
			e := w.run()
			routine := w.log(events.Discharge, "p-aaaa", "gp")
			other := w.log(events.Discharge, "p-bbbb", "gp")
			passTo(t, "2026-11-27T02:00:00Z")
			if restart {
				w.stop()
			}
			urgent := w.log(events.Fall, "p-aaaa", "gp")
			if restart {
				e = w.run()
			}
			settle()
			same(t, "told", w.told("gp/webhook"), []string{routine.Record.Event.ID, urgent.Record.Event.ID})
			after := w.log(events.Discharge, "p-aaaa", "gp")
			passTo(t, "2026-11-27T06:59:00Z")
			same(t, "states", slices.Concat(w.states(e, routine), w.states(e, urgent), w.states(e, other), w.states(e, after)),
				[]string{"gp received", "gp received", "gp waiting", "gp waiting"})
			passTo(t, "2026-11-27T07:00:00Z")
			if got := w.told("gp/webhook"); len(got) != 4 {
				t.Errorf("told %v", got)
			}
		})
	}
}

// TestQuietHoursWhoFailsForTheUrgent: what was taken along and fails goes on being tried at night, since somebody waits for it.
func TestQuietHoursWhoFailsForTheUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := night(t, "2026-11-26T23:00:00Z", "gp webhook email")
		w.behaves("gp/webhook", dead)
		e := w.run()
		routine := w.log(events.Discharge, "p-aaaa", "gp")
		urgent := w.log(events.Fall, "p-aaaa", "gp")
		pass(10 * time.Second)
		same(t, "states", slices.Concat(w.states(e, routine), w.states(e, urgent)), []string{"gp retrying connection", "gp retrying"})
		pass(5 * time.Minute) // the urgent one's fallback
		same(t, "told", w.told("gp/email"), []string{routine.Record.Event.ID, urgent.Record.Event.ID})
	})
}

// TestQuietHoursInAnotherPlace: each recipient has quiet hours of their own. A zone that nobody knows any more keeps no news back.
func TestQuietHoursInAnotherPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := night(t, "2026-11-26T23:00:00Z", "gp", "nurses", "hospice")
		w.quiet["nurses"] = &events.Quiet{From: "22:00", To: "07:00", Zone: "Pacific/Auckland"}
		w.quiet["hospice"] = &events.Quiet{From: "22:00", To: "07:00", Zone: "Nowhere/Atall"}
		e := w.run()
		st := w.log(events.Discharge, "p-aaaa", "gp", "nurses", "hospice")
		settle()
		same(t, "states", w.states(e, st), []string{"gp waiting", "nurses received", "hospice received"})
	})
}

// TestQuietHoursBounce: a mail that comes back at night is sent by the next channel in the morning.
func TestQuietHoursBounce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := night(t, "2026-11-26T21:59:00Z", "gp email webhook")
		e := w.run()
		st := w.log(events.Discharge, "p-aaaa", "gp")
		settle()
		passTo(t, "2026-11-27T03:00:00Z")
		if err := e.Reverse(t.Context(), deliver.Reversal{Leg: events.Leg{Place: st.Place()}, Reason: events.ReasonBounced}); err != nil {
			t.Fatal(err)
		}
		passTo(t, "2026-11-27T06:59:00Z")
		same(t, "at night", w.states(e, st), []string{"gp retrying bounced"})
		same(t, "told at night", w.told("gp/webhook"), nil)
		passTo(t, "2026-11-27T07:00:00Z")
		same(t, "in the morning", w.states(e, st), []string{"gp received"})
	})
}

// TestQuietHoursAreNoAge: what waits for the morning is not old then, or an alert would wake somebody after all.
func TestQuietHoursAreNoAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := night(t, "2026-11-26T23:00:00Z", "gp")
		e := w.run()
		w.log(events.Discharge, "p-aaaa", "gp")
		passTo(t, "2026-11-27T06:00:00Z")
		if h := e.Health(); h.Oldest != 0 || h.Parked != 1 {
			t.Errorf("%+v", h)
		}
	})
}
