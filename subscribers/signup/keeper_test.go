package signup

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
)

// kinds are the types of what was sent to the endpoint at an address, with the status each speaks of.
func (w *world) kinds(url string) (all []string) {
	for _, p := range w.sent() {
		if p.url != url {
			continue
		}
		_, rest, _ := strings.Cut(p.body, `"name":"status","valueCode":"`)
		status, rest, _ := strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(rest, `"name":"type","valueCode":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		all = append(all, kind+" "+status)
	}
	return all
}

const hook = "https://gp.example/hook"

func beating(seconds string) string {
	return wanted(`"type":"rest-hook"`, `"type":"rest-hook","extension":[{"url":"`+heartbeatPeriod+`","valueUnsignedInt":`+seconds+`}]`)
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.kinds(hook), ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("sent %s\nwant %s", got, strings.Join(want, ", "))
	}
}

// TestHeartbeats has them come as often as asked for, never later, and not while events say the same.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.run()
		id := w.active(beating("60"))
		time.Sleep(5 * time.Minute)
		sent := w.sent()
		for i, p := range sent[1:] {
			if gap := p.at.Sub(sent[i].at); gap > time.Minute+lookEvery || gap < 50*time.Second {
				t.Errorf("heartbeat %d came %v after the last", i, gap)
			}
		}
		if len(sent) < 5 {
			t.Errorf("%d notifications", len(sent))
		}
		before := len(w.sent())
		for n := range 10 {
			if err := w.send(id, w.happens(n, "p-7f3k", events.Fall)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
		}
		if sent := len(w.sent()) - before; sent != 10 {
			t.Errorf("%d notifications of 10 events, want no heartbeat between them", sent)
		}
		stop()
		other := newHub(t, w.store) // a start: soon one says that the hub is there
		defer other.run()()
		time.Sleep(31 * time.Second)
		if got := other.kinds(hook); len(got) != 1 || got[0] != "heartbeat active" {
			t.Errorf("after a start %v", got)
		}
	})
}

// TestHandshakeFails puts it in error; only its subscriber has it tried again.
func TestHandshakeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.answers(http.StatusUnauthorized)
		id := w.subscribe(wanted())
		time.Sleep(time.Hour)
		three := []string{"handshake requested", "handshake requested", "handshake requested"}
		w.expect(three...)
		rec := w.ask("gp", "GET", "/fhir/Subscription/"+id, "")
		if !strings.Contains(rec.Body.String(), `"status":"error"`) || !strings.Contains(rec.Body.String(), `"error":"Nothing is sent`) {
			t.Errorf("read: %s", rec.Body)
		}
		if rec := w.ask("gp", "GET", "/fhir/Subscription/"+id+"/$status", ""); !strings.Contains(rec.Body.String(), `"code":"error-response"`) {
			t.Errorf("$status: %s", rec.Body)
		}
		w.answers(http.StatusOK)
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`"requested"`, `"error","id":"`+id+`"`)) // as it was read: nothing asked for
		time.Sleep(time.Hour)
		w.expect(three...)
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`"requested"`, `"requested","id":"`+id+`"`))
		synctest.Wait()
		w.expect(append(three, "handshake requested")...)
		if s := w.Get(id); s.Status != Active || s.Error != "" {
			t.Errorf("%s %s", s.Status, s.Error)
		}
	})
}

// TestError has an endpoint that fails for an hour end in error, with an alarm; one success in between begins anew.
func TestError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(beating("300"))
		status := func() Status { synctest.Wait(); return w.Get(id).Status }
		w.answers(http.StatusServiceUnavailable)
		time.Sleep(50 * time.Minute)
		w.answers(http.StatusOK)
		time.Sleep(10 * time.Minute)
		w.answers(http.StatusServiceUnavailable)
		time.Sleep(55 * time.Minute)
		if status() != Active || len(w.alarmed()) != 0 {
			t.Fatalf("%s after %d alarms", status(), len(w.alarmed()))
		}
		time.Sleep(20 * time.Minute)
		if status() != Errored || w.Get(id).Error != events.ReasonBusy {
			t.Fatalf("%s %s", status(), w.Get(id).Error)
		}
		if len(w.alarmed()) != 1 || w.alarmed()[0].Recipient != id || w.alarmed()[0].Reason != events.ReasonSuspended {
			t.Errorf("alarms %v", w.alarmed())
		}
		before := len(w.sent())
		time.Sleep(24 * time.Hour)
		if len(w.sent()) != before {
			t.Error("something was sent though it is in error")
		}
	})
}

// TestGone has an endpoint that says 410 in error at once.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted())
		w.answers(http.StatusGone)
		if err := w.send(id, w.happens(1, "p-7f3k", events.Admission)); err == nil {
			t.Error("it was delivered")
		}
		synctest.Wait()
		if s := w.Get(id); s.Status != Errored || s.Error != events.ReasonGone || len(w.alarmed()) != 1 {
			t.Errorf("%s %s, %d alarms", s.Status, s.Error, len(w.alarmed()))
		}
	})
}

// TestEnd turns it off when its time is up, and says so.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		id := w.active(wanted(`"reason":`, `"end":"`+end+`","reason":`))
		gp, _ := w.Provider("gp")
		fall := events.Event{Kind: events.Fall, Patient: "p-7f3k"}
		if len(w.Rows(&fall, gp, "", "")) != 1 {
			t.Error("it is not in the plan")
		}
		time.Sleep(time.Hour + 2*time.Second)
		w.expect("handshake requested", "heartbeat off")
		if len(w.Rows(&fall, gp, "", "")) != 0 {
			t.Error("it is still in the plan")
		}
		if err := w.send(id, w.happens(1, "p-7f3k", events.Fall)); err == nil {
			t.Error("it was delivered")
		}
	})
}

// TestOwnerGone: a provider that is taken out of the register hears nothing more, least of all that all is well.
func TestOwnerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(beating("60"))
		w.names("gp")
		before := len(w.sent())
		time.Sleep(time.Hour)
		if n := len(w.sent()) - before; n != 0 {
			t.Errorf("%d heartbeats to somebody who is told nothing", n)
		}
		w.names("gp", "p-7f3k") // it was a slip
		time.Sleep(5 * time.Minute)
		if len(w.sent()) == before || w.Get(id).Status != Active {
			t.Errorf("%s, %d heartbeats", w.Get(id).Status, len(w.sent())-before)
		}
	})
}

// TestOneProvider: the endpoints of one provider that hang at their handshakes hold up nobody else's.
func TestOneProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.behave = func(r *http.Request) (int, error) {
			if r.URL.Host == "hang.example" {
				<-r.Context().Done()
				return 0, r.Context().Err()
			}
			return 200, nil
		}
		for range 2 * keptAtOnce {
			w.subscribe(strings.Replace(wanted(), hook, "https://hang.example/hook", 1))
		}
		synctest.Wait()
		if rec := w.ask("hospice", "POST", "/fhir/Subscription", wanted()); rec.Code != http.StatusCreated {
			t.Fatal(rec.Code, rec.Body)
		}
		time.Sleep(2 * lookEvery)
		w.expect("handshake requested")
	})
}

// TestOff says goodbye, three times at the most.
func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted())
		w.answers(http.StatusServiceUnavailable)
		rec := w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`"requested"`, `"off","id":"`+id+`"`))
		if !strings.Contains(rec.Body.String(), `"status":"off"`) {
			t.Errorf("%s", rec.Body)
		}
		time.Sleep(time.Hour)
		w.expect("handshake requested", "heartbeat off", "heartbeat off", "heartbeat off")
		w.answers(http.StatusOK)
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`"requested"`, `"requested","id":"`+id+`"`))
		time.Sleep(time.Minute)
		if w.Get(id).Status != Active {
			t.Error("it cannot be turned on again")
		}
	})
}

// TestAnotherEndpoint must shake hands.
func TestAnotherEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted())
		same := wanted(`"requested"`, `"active","id":"`+id+`"`)
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, same)
		synctest.Wait()
		w.expect("handshake requested")
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, strings.Replace(same, hook, "https://gp.example/new", 1))
		synctest.Wait()
		if got := w.kinds("https://gp.example/new"); len(got) != 1 || got[0] != "handshake requested" || w.Get(id).Status != Active {
			t.Errorf("sent %v, %s", got, w.Get(id).Status)
		}
	})
}

// TestNotMine leaves alone what another hub looks after.
func TestNotMine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Mine = func(string) bool { return false }
		other := newHub(t, w.store)
		defer other.run()()
		defer w.run()()
		id := w.subscribe(beating("60"))
		time.Sleep(time.Hour)
		if len(w.sent()) != 0 || len(other.sent()) < 60 || w.Get(id).Status != Active {
			t.Errorf("%d here, %d there, %s", len(w.sent()), len(other.sent()), w.Get(id).Status)
		}
	})
}

// TestHangingHoldUpNobody has more endpoints hang than the keeper sends to at a time.
func TestHangingHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		for range 2 * keptOfFailing {
			w.active(strings.Replace(beating("10"), hook, "https://hang.example/hook", 1))
		}
		well := w.active(beating("10"))
		w.mu.Lock()
		w.behave = func(r *http.Request) (int, error) {
			if r.URL.Host == "hang.example" {
				<-r.Context().Done()
				return 0, r.Context().Err()
			}
			return 200, nil
		}
		w.mu.Unlock()
		time.Sleep(10 * time.Minute)
		var last time.Time
		for _, p := range w.sent() {
			if p.url != hook {
				continue
			}
			if gap := p.at.Sub(last); !last.IsZero() && gap > 12*time.Second {
				t.Errorf("a heartbeat to an endpoint that is well came %v after the last", gap)
			}
			last = p.at
		}
		if w.Get(well).Status != Active || time.Since(last) > 12*time.Second {
			t.Errorf("%s, last heard of %v ago", w.Get(well).Status, time.Since(last))
		}
	})
}
