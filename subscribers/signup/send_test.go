package signup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/fhir/validate"
)

// active subscribes and lets the endpoint answer the handshake.
func (w *world) active(body string) string {
	w.t.Helper()
	id := w.subscribe(body)
	synctest.Wait()
	if s := w.Get(id); s.Status != Active {
		w.t.Fatalf("it is %s", s.Status)
	}
	return id
}

func level(content Content) string { return wanted(`"id-only"`, `"`+string(content)+`"`) }

// TestSameBytesEachTime sends one event again and again, with others in between.
func TestSameBytesEachTime(t *testing.T) {
	for _, content := range levels {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.run()()
			id := w.active(level(content))
			first := w.happens(1, "p-7f3k", events.Admission)
			for range 3 {
				if err := w.send(id, first); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				if err := w.send(id, w.happens(w.minutes(), "p-22", events.Fall)); err != nil {
					t.Fatal(err)
				}
			}
			sent := w.sent()[1:] // after the handshake
			if sent[0].body != sent[2].body || sent[0].body != sent[4].body || sent[0].header.Get("X-Request-Id") != sent[4].header.Get("X-Request-Id") {
				t.Errorf("%s: the bytes differ:\n%s\n%s", content, sent[0].body, sent[4].body)
			}
			if said := sent[0].body; strings.Contains(said, "Thomas") != (content == Full) || strings.Contains(said, first.Event) != (content != Empty) {
				t.Errorf("%s says %s", content, said)
			}
		})
	}
}

func (w *world) minutes() int { w.mu.Lock(); defer w.mu.Unlock(); return 10 + len(w.stored) }

// TestAtEverySend has what was allowed when it was made taken away.
func TestAtEverySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted())
		d := w.happens(1, "p-7f3k", events.Admission)
		rec := w.stored[d.Event].Record
		if !w.Service.MayBeTold(&rec, id) {
			t.Error("it may not be told")
		}
		w.names("gp", "p-22") // the rules
		if w.Service.MayBeTold(&rec, id) {
			t.Error("it may be told of a patient that is not its provider's any more")
		}
		w.names("gp", "p-7f3k")
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`"requested"`, `"off","id":"`+id+`"`))
		if w.Service.MayBeTold(&rec, id) {
			t.Error("it may be told while it is off")
		}
		w.names("gp") // the register
		if _, ok := w.Lookup(id); ok || w.Service.MayBeTold(&rec, id) {
			t.Error("it may be told though its provider is not registered")
		}
	})
}

// TestNotWhileSuspended has an event wait for the handshake, and for the subscriber to mend what is in error.
func TestNotWhileSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.answers(http.StatusServiceUnavailable)
		id := w.subscribe(wanted())
		synctest.Wait()
		err := w.send(id, w.happens(1, "p-7f3k", events.Admission))
		if f, ok := errors.AsType[*events.Failure](err); !ok || f.Permanent || f.Reason != events.ReasonSuspended {
			t.Errorf("%v", err)
		}
		if len(w.sent()) != 1 {
			t.Errorf("%d posts, want the handshake alone", len(w.sent()))
		}
		if len(w.alarmed()) != 0 {
			t.Errorf("a handshake that fails is its subscriber's to see: %v", w.alarmed())
		}
	})
}

// TestBatches has events that come at the same time told together, up to max-count, each once, and all with one end.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted(`"type":"rest-hook"`, `"type":"rest-hook","extension":[{"url":"`+maxCount+`","valuePositiveInt":3}]`))
		w.mu.Lock()
		w.posts = nil
		w.behave = func(*http.Request) (int, error) { time.Sleep(time.Second); return 200, nil }
		w.mu.Unlock()
		var sends sync.WaitGroup
		for n := range 8 {
			d := w.happens(n, "p-7f3k", events.Fall)
			<-w.Ask(d.Event, []string{id})
			sends.Go(func() {
				if err := w.send(id, d); err != nil {
					t.Error(err)
				}
			})
		}
		sends.Wait()
		var told, each []int
		for _, p := range w.sent() {
			numbers := numbersIn(t, p.body)
			each, told = append(each, len(numbers)), append(told, numbers...)
			if !slices.IsSorted(numbers) {
				t.Errorf("not in order: %v", numbers)
			}
		}
		slices.Sort(told)
		if !slices.Equal(told, []int{1, 2, 3, 4, 5, 6, 7, 8}) || slices.Max(each) > 3 || len(each) > 4 {
			t.Errorf("told %v in notifications of %v", told, each)
		}
	})
}

// TestBatchThatPanics: whoever joined a notification that was never sent must not take it for told.
func TestBatchThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{} // one is under way
		broken := func(context.Context, string, []fhir.Notified) error { panic("broken") }
		var sends sync.WaitGroup
		sends.Go(func() {
			defer func() { _ = recover() }() // as the engine does
			_ = l.together(t.Context(), 3, "a", fhir.Notified{Number: 1}, broken)
		})
		synctest.Wait()
		sends.Go(func() {
			if err := l.together(t.Context(), 3, "b", fhir.Notified{Number: 2}, broken); err == nil {
				t.Error("counted as told")
			}
		})
		synctest.Wait()
		<-l.turn
		sends.Wait()
		if l.batch != nil || len(l.turn) > 0 {
			t.Error("the line is held up")
		}
	})
}

func numbersIn(t *testing.T, body string) (numbers []int) {
	t.Helper()
	var b struct {
		Entry []struct {
			Resource struct {
				Parameter []struct {
					Part []struct{ Name, ValueString string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Entry[0].Resource.Parameter {
		for _, part := range p.Part {
			if part.Name == "event-number" {
				var n int
				if _, err := fmt.Sscan(part.ValueString, &n); err != nil {
					t.Fatal(err)
				}
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}

// TestEvents asks for what was missed.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted())
		for n := range 5 {
			<-w.Ask(w.happens(n, []string{"p-7f3k", "p-22"}[n%2], events.Admission).Event, []string{id})
		}
		w.names("gp", "p-7f3k") // the rules no longer name it for p-22, of whom are 2 and 4
		for query, want := range map[string][]int{
			"": {1, 2, 3, 4, 5}, "?eventsSinceNumber=4": {4, 5}, "?eventsSinceNumber=2&eventsUntilNumber=3": {2, 3}, "?eventsSinceNumber=6": nil,
			"?eventsUntilNumber=0": nil, "?eventsSinceNumber=5&eventsUntilNumber=99999": {5}, "?content=empty": {1, 2, 3, 4, 5}, "?content=full-resource": {1, 2, 3, 4, 5},
		} {
			rec := w.ask("gp", "GET", "/fhir/Subscription/"+id+"/$events"+query, "")
			if got := numbersIn(t, rec.Body.String()); rec.Code != 200 || !slices.Equal(got, want) {
				t.Errorf("%s: %d %v, want %v", query, rec.Code, got, want)
			}
			body := rec.Body.String()
			if reads := strings.Join(w.reads, ", "); reads != map[bool]string{true: "gp p-7f3k"}[strings.Contains(body, `"focus"`)] {
				t.Errorf("%s: on record is %q", query, reads)
			}
			w.reads = nil
			if strings.Contains(body, "p-22") || strings.Contains(body, "Thomas") || strings.Contains(body, "p-7f3k") != (strings.Contains(body, `"focus"`)) {
				t.Errorf("%s says too much: %s", query, body)
			}
		}
		for _, bad := range []string{"?eventsSinceNumber=x", "?eventsSinceNumber=-1", "?content=all", "?since=1"} {
			if rec := w.ask("gp", "GET", "/fhir/Subscription/"+id+"/$events"+bad, ""); rec.Code != 422 {
				t.Errorf("%s: %d", bad, rec.Code)
			}
		}
		rec := w.ask("gp", "POST", "/fhir/Subscription/"+id+"/$events",
			`{"resourceType":"Parameters","parameter":[{"name":"eventsSinceNumber","valueString":"2"},{"name":"eventsUntilNumber","valueInteger":3}]}`)
		if got := numbersIn(t, rec.Body.String()); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("POST: %d %s", rec.Code, rec.Body)
		}
	})
}

// TestConcerns has events of every kind met by topics and filters.
func TestConcerns(t *testing.T) {
	admission := events.Event{Kind: events.Admission, Patient: "p-1a"}
	fell := events.Event{Kind: events.Admission, Because: events.Fall, Patient: "p-1a"}
	attendance := events.Event{Kind: events.Attendance, Patient: "p-1a"}
	fall := events.Event{Kind: events.Fall, Patient: "p-2b"}
	home := events.Event{Kind: events.Discharge, Patient: "p-1a"}
	seen := events.Event{Kind: events.Discharge, Ends: events.Attendance, Patient: "p-1a"}
	all := []events.Event{admission, fell, attendance, fall, home, seen}
	for _, c := range []struct {
		topic   string
		filters []string
		want    []events.Event
	}{
		{"any", nil, all},
		{"admission", nil, []events.Event{admission, fell}},
		{"attendance", nil, []events.Event{attendance}},
		{"discharge", nil, []events.Event{home, seen}},
		{"fall", nil, []events.Event{fell, fall}},
		{"any", []string{"Encounter?patient=Patient/p-1a"}, []events.Event{admission, fell, attendance, home, seen}},
		{"any", []string{"Communication?patient=" + hubURL + "/fhir/Patient/p-2b"}, []events.Event{fall}},
		{"any", []string{"Encounter?patient=p-1a,p-2b"}, all},
		{"any", []string{"Encounter?class=AMB"}, []events.Event{attendance, seen}},
		{"any", []string{"Encounter?class=http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP"}, []events.Event{admission, fell, home}},
		{"any", []string{"Encounter?class=EMER"}, nil},
		{"discharge", []string{"Encounter?class=IMP&patient=p-1a"}, []events.Event{home}},
		{"any", []string{"Encounter?patient=p-1a", "Encounter?class=AMB"}, []events.Event{attendance, seen}},
	} {
		s := settings{Topic: c.topic}
		for _, text := range c.filters {
			f, what := readFilter(hubURL, text)
			if what != "" {
				t.Fatalf("%s: %s", text, what)
			}
			s.filters = append(s.filters, f)
		}
		var got []events.Event
		for _, e := range all {
			if s.concerns(&e) {
				got = append(got, e)
			}
		}
		if !slices.EqualFunc(got, c.want, func(a, b events.Event) bool { return a.Kind == b.Kind && a.Because == b.Because && a.Ends == b.Ends }) {
			t.Errorf("%s %v: got %v", c.topic, c.filters, got)
		}
	}
}

// TestValidators has independent engines judge one notification of each kind and level, and every answer.
func TestValidators(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files int
	write := func(body []byte) {
		if len(bytes.TrimSpace(body)) == 0 {
			return
		}
		files++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.json", files)), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range levels {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.run()()
			heart := wanted(`"id-only"`, `"`+string(content)+`"`, `"type":"rest-hook"`, `"type":"rest-hook","extension":[{"url":"`+heartbeatPeriod+`","valueUnsignedInt":60}]`)
			id := w.active(heart)
			for n, kind := range events.Kinds {
				if err := w.send(id, w.happens(n, "p-7f3k", kind)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Minute)
			path := "/fhir/Subscription/" + id
			write(w.ask("gp", "GET", path+"/$events?eventsSinceNumber=2&eventsUntilNumber=3", "").Body.Bytes())
			write(w.ask("gp", "GET", "/fhir/Subscription/$status", "").Body.Bytes())
			write(w.ask("gp", "GET", path, "").Body.Bytes())
			write(w.ask("gp", "GET", "/fhir/Subscription", "").Body.Bytes())
			write(w.ask("gp", "GET", path+"x", "").Body.Bytes())
			w.ask("gp", "PUT", path, strings.Replace(heart, `"requested"`, `"off","id":"`+id+`"`, 1))
			time.Sleep(time.Minute)
			for _, p := range w.sent() {
				write([]byte(p.body))
			}
			w.answers(http.StatusGone)
			w.ask("gp", "PUT", path, strings.Replace(heart, `"requested"`, `"requested","id":"`+id+`"`, 1))
			synctest.Wait()
			write(w.ask("gp", "GET", path+"/$status", "").Body.Bytes())
			write(w.ask("gp", "GET", path, "").Body.Bytes())
		})
	}
	if out, err := validate.Run(t.Context(), dir); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
