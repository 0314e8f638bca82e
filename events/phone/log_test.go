package phone

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
	"carehub/events/page"
)

func london(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// sent is what a form comes to that is sent at some time.
func sent(t *testing.T, at time.Time, fields ...string) (Form, Entry, string) {
	t.Helper()
	zone := london(t)
	p := New(Options{Clock: func() time.Time { return at }, Zone: func() *time.Location { return zone }})
	form := url.Values{"what": {"fall"}, "key": {"k"}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest("POST", "/log/p-7f3k/check", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	f, ok := p.read(r, Patient{ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11"})
	if !ok {
		t.Fatal("the form is none")
	}
	e, problem := p.entry(f)
	return f, e, problem
}

// TestWhen: what day and time come to, over both nights on which clocks change, over midnight, and after a wait for a signal.
func TestWhen(t *testing.T) {
	friday := time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, now, day, time, waited string
		want, problem                string
	}{
		{name: "just now", now: "2026-11-20T15:00:00Z"},
		{name: "just now, said with its day", now: "2026-11-20T15:00:00Z", day: "2026-11-20"},
		{name: "today", now: "2026-11-20T15:00:00Z", time: "14:30", want: "2026-11-20T14:30:00Z"},
		{name: "a day", now: "2026-11-20T15:00:00Z", day: "2026-11-18", time: "23:05", want: "2026-11-18T23:05:00Z"},
		{name: "a day without a time", now: "2026-11-20T15:00:00Z", day: "2026-11-18", problem: "problem.time-missing"},
		{name: "no time", now: "2026-11-20T15:00:00Z", day: "2026-11-18", time: "half past", problem: "problem.time"},
		{name: "no day", now: "2026-11-20T15:00:00Z", day: "18/11", time: "14:30", problem: "problem.time"},
		{name: "in ten minutes, by another clock", now: "2026-11-20T15:00:00Z", time: "15:10", want: "2026-11-20T15:10:00Z"},
		{name: "tonight", now: "2026-11-20T15:00:00Z", time: "23:50", problem: "problem.future"},
		{name: "before the clocks went back", now: "2026-10-25T03:00:00Z", day: "2026-10-24", time: "23:30", want: "2026-10-24T23:30:00+01:00"},
		{name: "after they did", now: "2026-10-25T03:00:00Z", time: "02:30", want: "2026-10-25T02:30:00Z"},
		{name: "before they went forward", now: "2026-03-29T03:00:00Z", time: "00:30", want: "2026-03-29T00:30:00Z"},
		{name: "after they did", now: "2026-03-29T03:00:00Z", time: "03:30", want: "2026-03-29T03:30:00+01:00"},
		{name: "a moment of waiting is now", now: "2026-11-20T15:00:00Z", waited: "90"},
		{name: "three hours of waiting", now: "2026-11-20T15:00:00Z", waited: "10800", want: "2026-11-20T12:00:00Z"},
		{name: "waiting over the end of summer time", now: "2026-10-25T03:00:00Z", waited: "14400", want: "2026-10-25T00:00:00+01:00"},
		{name: "a time stays, however long it waited", now: "2026-11-20T15:00:00Z", day: "2026-11-20", time: "10:00", waited: "10800", want: "2026-11-20T10:00:00Z"},
		{name: "a clock that went back while it waited", now: "2026-11-20T15:00:00Z", waited: "-10800"},
		{name: "what is no number", now: "2026-11-20T15:00:00Z", waited: "long"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		_, e, problem := sent(t, now, "day", c.day, "time", c.time, "waited", c.waited)
		if e.Occurred != c.want || problem != c.problem {
			t.Errorf("%s: %q %q, want %q %q", c.name, e.Occurred, problem, c.want, c.problem)
		}
	}
	// A time without a day is of the day on which it was checked, also when midnight passes before it is sent.
	f, _, _ := sent(t, friday, "time", "14:30")
	if _, e, problem := sent(t, friday.Add(10*time.Hour), "day", f.Day, "time", f.Time); e.Occurred != "2026-11-20T14:30:00Z" || problem != "" {
		t.Errorf("after midnight: %q %q", e.Occurred, problem)
	}
}

// TestWritten: words and place are taken as they were written.
func TestWritten(t *testing.T) {
	friday := time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
	_, e, _ := sent(t, friday, "place", " Ward 3 ", "words", "He fell.\r\nTwice. ", "another", "yes")
	if e.Place != "Ward 3" || e.Words != "He fell.\nTwice." || !e.Another || e.Kind != events.Fall || e.Key != "k" {
		t.Errorf("%+v", e)
	}
	if _, e, _ = sent(t, friday, "last", "Riverside Hospital", "place", ""); e.Place != "Riverside Hospital" {
		t.Errorf("%+v", e)
	}
}

// TestInShort: the one line never says more than is known.
func TestInShort(t *testing.T) {
	for _, c := range []struct {
		states []events.State
		want   string
	}{
		{nil, "Nobody is set up to be told. Please phone."},
		{[]events.State{events.Trying, events.Sent}, "Sent to 1 of 2 so far."},
		{[]events.State{events.Sent, events.Received}, "Sent to all 2. We can't tell if everyone has read it."},
		{[]events.State{events.Refused, events.Received}, "1 has not been told yet. Please look."},
		{[]events.State{events.Retrying, events.Failed}, "2 have not been told yet. Please look."},
		{[]events.State{events.Waiting, events.Held}, "Sent to 0 of 2 so far."},
	} {
		var all []events.Receipt
		for _, s := range c.states {
			all = append(all, events.Receipt{Outcome: events.Outcome{State: s}})
		}
		if got := inShort(page.English, all, nil); got != c.want {
			t.Errorf("%v: %q", c.states, got)
		}
	}
}

// TestNamesOfChoices: everything that a button logs is shown as what the button says.
func TestNamesOfChoices(t *testing.T) {
	for _, c := range choices {
		if got := named(events.Event{Kind: c.Kind, Because: c.Because}); got != c.Name || !words.Has("what."+got) {
			t.Errorf("%s is shown as %s", c.Name, got)
		}
	}
	if got := named(events.Event{Kind: events.Attendance, Because: events.Fall}); !words.Has("what." + got) {
		t.Errorf("a fall and an attendance are shown as %s", got)
	}
}

// TestWhenTwice: an hour that the clocks show twice is asked about, unless its second time has yet to come; without an answer it is the
// first.
func TestWhenTwice(t *testing.T) {
	morning := time.Date(2026, 10, 25, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now          time.Time
		time, clocks string
		want         string
		unclear      bool
	}{
		{morning, "01:30", "", "2026-10-25T01:30:00+01:00", true},
		{morning, "01:30", "before", "2026-10-25T01:30:00+01:00", false},
		{morning, "01:30", "after", "2026-10-25T01:30:00Z", false},
		{morning, "00:59", "", "2026-10-25T00:59:00+01:00", false},
		{morning, "02:00", "after", "2026-10-25T02:00:00Z", false},
		{morning.Add(-8*time.Hour - 15*time.Minute), "01:30", "", "2026-10-25T01:30:00+01:00", false}, // it is 01:45, before
	} {
		f, e, problem := sent(t, c.now, "day", "2026-10-25", "time", c.time, "clocks", c.clocks)
		zone := london(t)
		p := New(Options{Clock: func() time.Time { return c.now }, Zone: func() *time.Location { return zone }})
		if e.Occurred != c.want || problem != "" || p.unclear(f.Day, f.Time, f.Clocks) != c.unclear {
			t.Errorf("%+v: %q %q", c, e.Occurred, problem)
		}
	}
}

// TestAskedWhichHour: the page asks, and what is answered stays on the way.
func TestAskedWhichHour(t *testing.T) {
	zone, morning := london(t), time.Date(2026, 10, 25, 9, 0, 0, 0, time.UTC)
	p := New(Options{Clock: func() time.Time { return morning }, Zone: func() *time.Location { return zone },
		Writer: page.Writer{Hub: func() events.Sender { return events.Sender{Name: "Riverside"} }, Log: slog.New(slog.DiscardHandler)},
		Patients: func(events.Actor) []Patient {
			return []Patient{{ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11", Log: true}}
		},
		Recent: func(context.Context, events.Actor, string, int) ([]events.Stored, error) { return nil, nil },
		Own: func(context.Context, events.Actor, string) (events.Stored, error) {
			return events.Stored{}, &events.Error{Kind: events.NotFound}
		},
		Preview: func(_ context.Context, _ events.Actor, e Entry) (Plan, error) {
			at, err := time.Parse(time.RFC3339, e.Occurred)
			return Plan{Stored: events.Stored{Record: events.Record{Event: events.Event{Occurred: at, Recorded: morning}}}}, err
		},
		Contacts: func(string) []Contact { return nil },
		Push:     func(events.Actor) bool { return false }, Passkey: func(events.Actor) bool { return false }, Admin: func(events.Actor) bool { return false }})
	asks := func(fields string) (int, string) {
		r := httptest.NewRequest("POST", "/log/p-7f3k/check", strings.NewReader("what=fall&key=k&day=2026-10-25&time=01:30"+fields))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetPathValue("patient", "p-7f3k")
		w := httptest.NewRecorder()
		p.check(w, r, page.Session{Actor: events.Actor{Kind: events.Carer, ID: "ruth"}})
		return w.Code, w.Body.String()
	}
	if status, body := asks(""); status != http.StatusUnprocessableEntity || !strings.Contains(body, `id="clocks-after"`) || !strings.Contains(body, "showed that time twice") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := asks("&clocks=after"); status != http.StatusOK || !strings.Contains(body, `name="clocks" value="after"`) || !strings.Contains(body, "01:30 GMT") {
		t.Errorf("%d %s", status, body)
	}
}
