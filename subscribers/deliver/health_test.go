package deliver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// TestHealth: who waits, since when and for how much, which endpoint is down, and that all of it ends when it does; with
// a restart between.
func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("nurses/webhook", dead)
		var ended []string
		hook := func(o *deliver.Options) {
			o.Ended = func(channelType string, state events.State, age time.Duration) {
				ended = append(ended, fmt.Sprint(channelType, " ", state, " ", age.Round(time.Minute)))
			}
		}
		e := w.run(hook)
		for n := range 40 {
			w.log(events.Admission, fmt.Sprintf("p-000%d", n%5), "gp", "nurses")
			pass(time.Minute)
		}
		check := func(e *deliver.Engine) {
			t.Helper()
			h, all := e.Health(), e.Recipients()
			nurses := all["nurses"]
			if gp := all["gp"]; gp.Pending+gp.Parked+int(gp.Oldest)+len(gp.Down) != 0 || nurses.Pending != 40 || nurses.Parked != 40 || nurses.Oldest != time.Since(w.start) {
				t.Errorf("after %v: %+v", time.Since(w.start), all)
			}
			if h.Parked != 40 || h.Oldest != nurses.Oldest || !slices.Equal(nurses.Down, []string{"webhook"}) {
				t.Errorf("%+v", h)
			}
			read := 0
			for _, p := range h.Partitions {
				read += int(p.Read)
				if p.Read != p.Settled || p.Unsettled != 0 || p.Full != 0 {
					t.Errorf("%+v", p)
				}
			}
			if read < 40 {
				t.Errorf("%d events read of 40", read)
			}
		}
		check(e)
		if !e.Waits(w.partition("p-0000")) {
			t.Error("somebody waits")
		}
		w.stop()
		e = w.run(hook)
		pass(time.Hour)
		check(e)

		w.behaves("nurses/webhook", nil)
		pass(time.Hour)
		h := e.Health()
		if nurses := e.Recipients()["nurses"]; h.Parked != 0 || h.Oldest != 0 || nurses.Pending+nurses.Parked+nurses.InFlight+len(nurses.Down) != 0 {
			t.Errorf("%+v, %+v", h, nurses)
		}
		if e.Waits(w.partition("p-0000")) {
			t.Error("nobody waits")
		}
		if len(ended) != 80 || ended[0] != "webhook received 0s" || ended[79] == ended[0] {
			t.Errorf("%d ends: %v", len(ended), ended)
		}
	})
}

// TestHealthBehindPoison: one message that is never taken keeps neither the age of what came after it, once that has
// been told, nor its memory.
func TestHealthBehindPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		first := w.log(events.Fall, "p-0000", "gp").Record.Event.ID
		w.behaves("gp/webhook", func(d events.Delivery) error {
			if d.Event == first {
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			}
			return nil
		})
		e := w.run()
		for n := range 500 {
			w.log(events.Fall, fmt.Sprintf("p-000%d", n%7+1), "gp")
			pass(time.Second)
		}
		if got := e.Recipients()["gp"]; got.Pending != 1 || got.Oldest != 500*time.Second || len(got.Down) != 0 || e.Health().Oldest != got.Oldest {
			t.Errorf("%+v, %+v", got, e.Health())
		}
	})
}
