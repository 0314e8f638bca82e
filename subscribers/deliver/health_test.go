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
			h := e.Health()
			nurses := h.Waiting["nurses"]
			if _, waits := h.Waiting["gp"]; waits || nurses.Pending != 40 || nurses.Parked != 40 || nurses.Oldest != time.Since(w.start) {
				t.Errorf("after %v: %+v", time.Since(w.start), h)
			}
			if h.Parked != 40 || h.Oldest != nurses.Oldest || !slices.Equal(h.Down, []deliver.Down{{Recipient: "nurses", Channel: "webhook"}}) {
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
		w.stop()
		e = w.run(hook)
		pass(time.Hour)
		check(e)

		w.behaves("nurses/webhook", nil)
		pass(time.Hour)
		h := e.Health()
		if len(h.Waiting) != 0 || len(h.Down) != 0 || h.Parked != 0 || h.Oldest != 0 || h.InFlight != 0 {
			t.Errorf("%+v", h)
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
		h := e.Health()
		if got := h.Waiting["gp"]; got.Pending != 1 || got.Oldest != 500*time.Second || len(h.Down) != 0 {
			t.Errorf("%+v", h)
		}
	})
}
