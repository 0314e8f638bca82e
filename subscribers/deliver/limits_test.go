package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/deliver"
)

// limit gives all channels of a recipient limits.
func (w *world) limit(recipient string, limits subscribers.Limits) {
	s := w.subs[recipient]
	for i := range s.Channels {
		s.Channels[i].Limits = limits
	}
	w.subs[recipient] = s
}

// TestRate: an endpoint is told no faster than its admin says, loses nothing by it, and keeps nobody else waiting.
func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.limit("gp", subscribers.Limits{Rate: 6}) // one in ten seconds
		e := w.run(func(o *deliver.Options) { o.Hot = 16 })
		var all []string
		for n := range 40 {
			to := []string{"gp", "nurses"}
			if n >= 30 {
				to = []string{"nurses"}
			}
			id := w.log(events.Fall, []string{"p-aaaa", "p-bbbb", "p-cccc"}[n%3], to...).Record.Event.ID
			if n < 30 {
				all = append(all, id)
			}
		}
		pass(10 * time.Second)
		if got := len(w.told("nurses/webhook")); got != 40 {
			t.Errorf("the nurses, who have no limit, were told %d of 40", got)
		}
		pass(6 * time.Minute)
		tries := w.attempts("gp/webhook")
		if len(tries) != 30 {
			t.Fatalf("%d attempts", len(tries))
		}
		for i, a := range tries[1:] {
			if gap := a.after - tries[i].after; gap < 10*time.Second || gap > 11*time.Second {
				t.Errorf("attempt %d came %v after the one before", i+2, gap)
			}
		}
		got := w.told("gp/webhook")
		slices.Sort(got)
		slices.Sort(all)
		same(t, "told", got, all)
		if h := e.Health(); h.Parked != 0 || len(w.alarms) > 0 {
			t.Errorf("%+v, alarms %v", h, w.alarms)
		}
	})
}

// TestConcurrency: no more attempts are in flight to an endpoint than its admin says.
func TestConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.limit("gp", subscribers.Limits{Concurrency: 2})
		w.behaves("gp/webhook", func(events.Delivery) error { time.Sleep(time.Second); return nil })
		w.run()
		for n := range 30 {
			w.log(events.Fall, "p-"+strings.Repeat(string(rune('a'+n%26)), 4), "gp")
		}
		pass(time.Minute)
		if w.most() != 2 || len(w.told("gp/webhook")) != 30 {
			t.Errorf("%d in flight, %d told", w.most(), len(w.told("gp/webhook")))
		}
	})
}

// pausing is a 410, which asks for a pause.
func pausing(events.Delivery) error {
	return &events.Failure{Reason: events.ReasonGone, Permanent: true, Pause: true, Status: 410}
}

// pauses are what an engine is told of pauses and what it tells.
type pauses struct {
	mu     sync.Mutex
	paused map[string]bool
	met    []string
	fails  int
}

func (p *pauses) options(o *deliver.Options) {
	o.Paused = func(recipient, channel string) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.paused[recipient+"/"+channel]
	}
	o.Gone = func(_ context.Context, recipient, channel, _ string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fails--; p.fails >= 0 {
			return errors.New("store away")
		}
		p.paused[recipient+"/"+channel] = true
		p.met = append(p.met, recipient+"/"+channel)
		return nil
	}
}

// TestGonePauses: after a 410 nothing is attempted until somebody resumes; a person is told once, what comes waits and
// alarms as anything untold, and then drains in order. A restart changes nothing about it.
func TestGonePauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		p := &pauses{paused: map[string]bool{}, fails: 2}
		w.behaves("gp/webhook", pausing)
		w.run(p.options)
		var all []string
		for range 5 {
			all = append(all, w.log(events.Admission, "p-7f3k", "gp").Record.Event.ID)
			pass(time.Minute)
		}
		same(t, "paused", p.met, []string{"gp/webhook"})
		if n := len(w.attempts("gp/webhook")); n != 1 {
			t.Errorf("%d attempts", n)
		}
		w.stop()
		e := w.run(p.options)
		pass(time.Hour)
		if n := len(w.attempts("gp/webhook")); n != 1 || len(w.alarms) == 0 || w.alarms[0].Reason != events.ReasonOverdue {
			t.Errorf("%d attempts, alarms %v", n, w.alarms)
		}
		w.behaves("gp/webhook", nil)
		p.paused["gp/webhook"] = false
		e.Pause("gp", "webhook", false)
		settle()
		same(t, "told", w.told("gp/webhook"), all)
	})
}

// TestPausedTakesTheNextChannel at once, and comes back when it is resumed.
func TestPausedTakesTheNextChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp webhook email")
		p := &pauses{paused: map[string]bool{}}
		e := w.run(p.options)
		w.log(events.Fall, "p-7f3k", "gp")
		settle()
		e.Pause("gp", "webhook", true)
		w.log(events.Fall, "p-7f3k", "gp")
		settle()
		e.Pause("gp", "webhook", false)
		w.behaves("gp/webhook", pausing)
		w.log(events.Fall, "p-7f3k", "gp") // meets a 410, and goes by mail
		settle()
		if hooks, mails := len(w.told("gp/webhook")), len(w.told("gp/email")); hooks != 1 || mails != 2 || len(p.met) != 1 {
			t.Errorf("%d by webhook, %d by mail, paused %v", hooks, mails, p.met)
		}
	})
}

// TestPausedAlarms: that alarms wait for a recipient who is paused is seen at once, not when they are given up.
func TestPausedAlarms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "boss", "second webhook email")
		p := &pauses{paused: map[string]bool{}}
		w.behaves("boss/webhook", pausing)
		w.behaves("second/webhook", pausing)
		e := w.run(p.options)
		for n := range 3 {
			w.logAlarm(fmt.Sprint("gp-", n), "boss", "second")
			settle()
			if got := e.Health().Unheard; got != n+1 {
				t.Errorf("%d alarms unheard after %d", got, n+1)
			}
		}
		same(t, "told by mail", []string{fmt.Sprint(len(w.told("second/email")))}, []string{"3"})
	})
}

// TestPausedIsGivenUp: waiting for a resume ends as all waiting does, with an alarm.
func TestPausedIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		p := &pauses{paused: map[string]bool{"gp/webhook": true}}
		e := w.run(p.options)
		st := w.log(events.Fall, "p-7f3k", "gp")
		pass(73 * time.Hour)
		same(t, "states", w.states(e, st), []string{"gp failed gave-up"})
		if len(w.attempts("gp/webhook")) != 0 || w.alarms[len(w.alarms)-1].Reason != events.ReasonGaveUp {
			t.Errorf("alarms %v", w.alarms)
		}
	})
}

// TestRepeat: a repeat carries the same id and bytes, waits for nobody, and changes no receipt; the log has all attempts.
func TestRepeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		var log []events.Attempt
		w.behaves("gp/webhook", gone)
		e := w.run(func(o *deliver.Options) { o.Tried = func(a events.Attempt) { log = append(log, a) } })
		st := w.log(events.Fall, "p-7f3k", "gp")
		settle()
		w.behaves("gp/webhook", nil)
		a, err := e.Repeat(t.Context(), st, "gp", "webhook")
		if err != nil || a.Result != events.Delivered {
			t.Fatal(a, err)
		}
		tries := w.attempts("gp/webhook")
		if len(tries) != 2 || tries[0].id != tries[1].id || tries[0].body != tries[1].body {
			t.Errorf("%d attempts", len(tries))
		}
		same(t, "states", w.states(e, st), []string{"gp refused gone"})
		if len(log) != 2 || log[0].Number != 1 || log[0].Result != "gone" || log[1].Number != 0 || log[1].Delivery != log[0].Delivery {
			t.Errorf("log %+v", log)
		}
		for _, c := range [][2]string{{"nurses", "webhook"}, {"gp", "fhir"}} {
			if _, err := e.Repeat(t.Context(), st, c[0], c[1]); events.KindOf(err) != events.NotFound {
				t.Errorf("%v: %v", c, err)
			}
		}
	})
}

// TestLogHasWhatWasAnswered, and when the next attempt is.
func TestLogHasWhatWasAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		var log []events.Attempt
		w.behaves("gp/webhook", func(d events.Delivery) error {
			d.Answered(events.Reply{Status: 503, Body: []byte("busy")})
			return &events.Failure{Reason: events.ReasonBusy, Status: 503}
		})
		w.run(func(o *deliver.Options) { o.Tried = func(a events.Attempt) { log = append(log, a) } })
		st := w.log(events.Fall, "p-7f3k", "gp")
		settle()
		if len(log) != 1 || log[0].Event != st.Record.Event.ID || log[0].Reply == nil || string(log[0].Reply.Body) != "busy" ||
			!log[0].Next.After(time.Now()) || log[0].Type != "webhook" {
			t.Errorf("%+v", log)
		}
	})
}
