package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/receipts"
)

func (w *town) correct(token, id, body string) (int, string) {
	w.t.Helper()
	return w.ask(http.MethodPost, "/events/"+id+"/correct", token, body, "Content-Type", "application/json")
}

// TestRetraction: whoever was told of an event, or may have been, is told that it is taken back, and nobody else is told anything. What
// comes after is no part of a stay that never was.
func TestRetraction(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.hospice.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
	w.edit("subscribers/district-nurses.yaml", "channels:", `quiet_hours: {from: "00:00", to: "23:59", zone: UTC}`+"\nchannels:")
	w.start()
	ruth, tom := w.token("ruth"), w.token("tom")
	in := w.says(ruth, "dad admitted")
	w.settledBut(ruth, in.ID, "hospice", "riverside-surgery") // they hear of it at once
	home := w.says(ruth, "dad came home")                     // for which the nurses sleep
	w.settledBut(ruth, home.ID, "hospice", "district-nurses")

	if status, answer := w.correct(tom, home.ID, `{"correction":"retracted"}`); status != http.StatusNotFound {
		t.Errorf("Tom: %d %s", status, answer)
	}
	for _, body := range []string{`{}`, `{"correction":"wrong"}`, `{"correction":"wrong-time"}`, `{"correction":"retracted","occurred":"2026-01-01T00:00:00Z"}`,
		`{"correction":"wrong-time","occurred":"2126-01-01T00:00:00Z"}`, `{"correction":"retracted","patient":"p-7f3k"}`, `x`} {
		if status, answer := w.correct(ruth, home.ID, body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	status, answer := w.correct(ruth, home.ID, `{"correction":"wrong-person"}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	correction := w.read(answer)
	if again, answer := w.correct(ruth, home.ID, `{"correction":"wrong-person"}`); again != http.StatusOK || w.read(answer).ID != correction.ID {
		t.Errorf("again: %d %s", again, answer)
	}
	if other, answer := w.correct(ruth, home.ID, `{"correction":"retracted"}`); other != http.StatusConflict || !strings.Contains(answer, correction.ID) {
		t.Errorf("another: %d %s", other, answer)
	}
	if twice, answer := w.correct(ruth, correction.ID, `{"correction":"retracted"}`); twice != http.StatusBadRequest {
		t.Errorf("of the correction: %d %s", twice, answer)
	}
	w.hospice.answers(nil)
	w.settled(ruth, correction.ID)
	if status, answer := w.ask(http.MethodPost, "/endpoints/webhook/redeliver", w.token("riverside-surgery"), `{"event": "`+home.ID+`"}`,
		"Content-Type", "application/json"); status != http.StatusNotFound || !strings.Contains(answer, "taken back") {
		t.Errorf("sent again: %d %s", status, answer)
	}
	var told []string
	for _, r := range w.view(ruth, correction.ID).Recipients {
		told = append(told, r.ID)
	}
	slices.Sort(told)
	if want := []string{"frailty-team", "riverside-surgery"}; !slices.Equal(told, want) {
		t.Errorf("told of the correction: %v, want %v", told, want)
	}
	w.settled(ruth, in.ID)
	if got := w.view(ruth, home.ID).CorrectedBy; got != correction.ID || w.view(ruth, in.ID).CorrectedBy != "" {
		t.Errorf("it is said to be corrected by %q, not %s", got, correction.ID)
	}
	for id, s := range map[string]*system{"district-nurses": w.nurses, "hospice": w.hospice} { // to whom nothing of it had gone
		ids := slices.Compact(s.ids())
		if got := row(w.view(ruth, home.ID), id).State; got != events.Withdrawn || !slices.Equal(ids, []string{in.ID}) {
			t.Errorf("for %s it is %s; they were told of %v", id, got, ids)
		}
	}
	if m := w.surgery.messages()[2]; m.Event.Corrects != home.ID || m.Event.Correction != events.WrongPerson || m.Event.Stay != in.ID {
		t.Errorf("the surgery was told %+v", m.Event)
	}
	later := w.says(ruth, "dad came home") // the stay is open again
	if later.Stay != in.ID || slices.Contains(later.Flags, events.FlagRepeat) {
		t.Errorf("%+v", later)
	}
}

// settledBut waits until an event is over for everybody but some.
func (w *town) settledBut(token, id string, but ...string) {
	w.t.Helper()
	waitUntil(w.t, "others have been told of "+id, func() bool {
		return !slices.ContainsFunc(w.view(token, id).Recipients, func(r receipts.Recipient) bool {
			return !slices.Contains(but, r.ID) && !r.State.Told()
		})
	})
}

// TestWrongTime: everybody is told what the right time is.
func TestWrongTime(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	in := w.says(ruth, "dad admitted")
	w.settled(ruth, in.ID)
	right := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	status, answer := w.correct(ruth, in.ID, fmt.Sprintf(`{"correction":"wrong-time","occurred":%q}`, right.Format(time.RFC3339)))
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	v := w.settled(ruth, w.read(answer).ID)
	if len(v.Recipients) != len(in.Recipients) || !v.Occurred.Equal(right) || v.Stay != in.ID || !slices.Contains(v.Flags, events.FlagLate) {
		t.Errorf("%+v", v)
	}
	status, answer = w.correct(ruth, v.ID, `{"correction":"retracted"}`) // and then it was none at all
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	w.settled(ruth, w.read(answer).ID)
	if got := w.says(ruth, "dad came home"); got.Stay != got.ID {
		t.Errorf("it ends the stay %s", got.Stay)
	}
}

// TestRetractionAfterKill: a hub that is killed while it tells many of an event, and again while it takes that back, takes it back from
// exactly those whom it reached.
func TestRetractionAfterKill(t *testing.T) {
	t.Parallel()
	var well atomic.Bool
	var some []*provider
	for i := range 6 {
		p := newProvider(t, fmt.Sprint("provider-", i))
		if i%2 == 1 {
			p.before = func(rw http.ResponseWriter, _ *http.Request) bool {
				if well.Load() {
					return false
				}
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				rw.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		}
		some = append(some, p)
	}
	hub := newProcess(t, 1, some...)
	for n, after := range []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond} {
		well.Store(false)
		hub.start()
		status, answer, err := hub.post(t.Context(), fmt.Sprint("key-", n), `{"patient":"p-0000","kind":"fall"}`)
		if err != nil || status != http.StatusCreated {
			t.Fatalf("status %d: %v", status, err)
		}
		id, _ := answer["id"].(string)
		time.Sleep(after) // wherever the fan-out is then
		hub.kill()
		hub.start()
		status, answer, err = hub.send(t.Context(), "/events/"+id+"/correct", "", `{"correction":"retracted"}`)
		if err != nil || status != http.StatusCreated && status != http.StatusAccepted {
			t.Fatalf("status %d: %v %v", status, answer, err)
		}
		correction, _ := answer["id"].(string)
		hub.kill()
		well.Store(true)
		hub.start()
		waitUntil(t, "all is over", func() bool { return hub.over(id) && hub.over(correction) })
		for _, p := range some {
			p.mu.Lock()
			_, reached := p.first[id]
			_, told := p.first[correction]
			p.mu.Unlock()
			if reached != told {
				t.Errorf("%s, killed after %s: reached by the event %v, by its correction %v", p.id, after, reached, told)
			}
		}
		hub.stop()
	}
}

// over reports whether the hub is done with everyone of an event.
func (p *process) over(id string) bool {
	p.t.Helper()
	var v receipts.View
	return p.get("/events/"+id, &v) == http.StatusOK && v.Settled()
}
