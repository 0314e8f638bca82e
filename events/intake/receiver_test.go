package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream"
)

// registry means p-7f3k and p-2b9c by their numbers, if the family name agrees.
type registry struct{}

func (registry) Registered(by events.Actor) bool { return by.ID != "removed" }

func (registry) Match(d events.Details) string {
	patients := map[string]string{"9990000018": "p-7f3k", "9990000026": "p-2b9c"}
	if d.Born != "1941-03-11" || d.Family != "Example" {
		return ""
	}
	return patients[d.NHSNumber]
}

// station is a receiver over stores in memory, with what it alarmed of.
type station struct {
	*Receiver
	store   *memory
	records *flaky
	now     *time.Time

	mu     sync.Mutex
	alarms []events.About
}

// flaky fails the writes that it is told to.
type flaky struct {
	*stream.Memory
	fail func(key string) error
}

func (f *flaky) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if f.fail != nil {
		if err := f.fail(key); err != nil {
			return 0, err
		}
	}
	return f.Memory.HubPut(ctx, key, value, revision)
}

func newStation() *station {
	in, store, now := opened()
	s := &station{store: store, now: now, records: &flaky{Memory: stream.NewMemory(1)}}
	s.Receiver = NewReceiver(in, s.records, func(_ context.Context, about events.About, _ bool) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, a := range s.alarms {
			if a == about {
				return nil
			}
		}
		s.alarms = append(s.alarms, about)
		return nil
	})
	return s
}

// restarted is another hub on the same stores.
func (s *station) restarted() {
	in := New(s.store, func() Desk { return desk{} }, func() time.Time { return *s.now })
	s.Receiver = NewReceiver(in, s.records, s.alarm)
}

// admitted is a message of the ward about p-7f3k.
func admitted(bundle, message string) Message {
	return Message{By: ward, Envelope: bundle, Report: Report{
		Kind: events.Admission, Occurred: friday.Add(-time.Hour), Place: "Ward 7", Words: "Bed 4.",
		From:    events.Origin{Message: message, Sender: "Riverside Hospital"},
		Patient: events.Details{NHSNumber: "9990000018", Born: "1941-03-11", Family: "Example"},
	}, Answer: func(v Verdict) (Answer, error) {
		if v.Held != "" {
			return Answer{http.StatusAccepted, "text/plain", []byte("held " + v.Held + v.At.String())}, nil
		}
		return Answer{http.StatusOK, "text/plain", []byte("event " + v.Event + v.At.String())}, nil
	}}
}

func (s *station) takes(t *testing.T, m Message) Answer {
	t.Helper()
	a, _, err := s.Receive(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *station) refuses(t *testing.T, m Message, kind events.ErrorKind) {
	t.Helper()
	if a, _, err := s.Receive(t.Context(), m); events.KindOf(err) != kind || err == nil {
		t.Fatalf("answered %d %s, %v; want %s", a.Status, a.Body, err, kind)
	}
}

func TestReceiveIsAnEvent(t *testing.T) {
	s := newStation()
	if a := s.takes(t, admitted("b1", "m1")); a.Status != http.StatusOK {
		t.Fatalf("answered %+v", a)
	}
	e := s.store.stored[0].Record.Event
	if e.Patient != "p-7f3k" || e.Kind != events.Admission || e.By != ward || e.Place != "Ward 7" || e.From.Message != "m1" ||
		!e.Occurred.Equal(friday.Add(-time.Hour)) || e.Stay != e.ID || len(e.Flags) != 0 {
		t.Errorf("stored %+v", e)
	}
	if plan := s.store.stored[0].Record.Plan; len(plan.Recipients) != 2 || plan.Request == "" {
		t.Errorf("planned %+v", plan)
	}
}

// TestReceiveLinks: what a carer logged before is the same stay, and stays an event of its own.
func TestReceiveLinks(t *testing.T) {
	s := newStation()
	first, err := s.intake.Log(t.Context(), ruth, Request{Patient: "dad", Kind: events.Admission, Occurred: "2026-11-20T13:30:00Z", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	s.takes(t, admitted("b1", "m1"))
	home := admitted("b2", "m2")
	home.Report.Kind, home.Report.Occurred = events.Discharge, friday
	s.takes(t, home)
	if len(s.store.stored) != 3 {
		t.Fatalf("%d events", len(s.store.stored))
	}
	for _, st := range s.store.stored {
		if st.Record.Event.Stay != first.Stored.Record.Event.ID {
			t.Errorf("%s has stay %s", st.Record.Event.ID, st.Record.Event.Stay)
		}
	}
	if !s.store.stored[1].Record.Event.Has(events.FlagRepeat) {
		t.Error("a report of the same a quarter of an hour later is not marked")
	}
}

// TestReceiveBothIDs are the four cases of FHIR R4, 2.4.1.2, each over a restart.
func TestReceiveBothIDs(t *testing.T) {
	s := newStation()
	first := s.takes(t, admitted("b1", "m1"))
	*s.now = s.now.Add(3 * time.Hour)
	s.restarted()
	if again := s.takes(t, admitted("b1", "m1")); string(again.Body) != string(first.Body) || again.Status != first.Status || again.Media != first.Media {
		t.Errorf("both seen: answered %s, first %s", again.Body, first.Body)
	}
	if again := s.takes(t, admitted("b2", "m1")); string(again.Body) != string(first.Body) {
		t.Errorf("the same message in a new envelope: answered %s, first %s", again.Body, first.Body)
	}
	s.refuses(t, admitted("b1", "m2"), events.Conflict)
	other := admitted("b3", "m1")
	other.Report.Words = "Bed 5."
	s.refuses(t, other, events.Conflict)
	other = admitted("b1", "m1")
	other.Report.Patient.NHSNumber = "9990000026"
	s.refuses(t, other, events.Conflict)
	if len(s.store.stored) != 1 || len(s.alarms) != 0 {
		t.Errorf("%d events, %d alarms", len(s.store.stored), len(s.alarms))
	}
	another := admitted("b1", "m1")
	another.By = events.Actor{Kind: events.System, ID: "another"} // whose ids are its own
	if a := s.takes(t, another); a.Status != http.StatusAccepted {
		t.Errorf("another sender's: answered %s", a.Body)
	}
	for _, by := range []events.Actor{{Kind: events.System, ID: "removed"}, ruth} {
		another.By = by
		s.refuses(t, another, events.Forbidden)
	}
}

func TestReceiveConcurrently(t *testing.T) {
	s := newStation()
	var group sync.WaitGroup
	answers := make([]string, 20)
	first := s.Receiver
	s.restarted() // another hub on the same stores
	for i := range answers {
		hub := []*Receiver{first, s.Receiver}[i%2]
		group.Go(func() {
			a, _, err := hub.Receive(t.Context(), admitted("b1", "m1"))
			if err != nil {
				t.Error(err)
			}
			answers[i] = string(a.Body)
		})
	}
	group.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("answered %q and %q", answers[0], a)
		}
	}
	if len(s.store.stored) != 1 {
		t.Errorf("%d events", len(s.store.stored))
	}
}

// TestReceiveCutOff breaks off after each write, as a crash does: a repeat is the same event, or held once, and alarmed of.
func TestReceiveCutOff(t *testing.T) {
	broken := &events.Error{Kind: events.Unavailable, Message: "Nothing was saved."}
	for _, unknown := range []bool{false, true} {
		for writes := range 6 {
			s := newStation()
			left := writes
			s.records.fail = func(string) error {
				if left--; left < 0 {
					return broken
				}
				return nil
			}
			m := admitted("b1", "m1")
			if unknown {
				m.Report.Patient.NHSNumber = "9990000034"
			}
			_, _, err := s.Receive(t.Context(), m)
			held, _ := s.List(t.Context())
			if err != nil && len(s.store.stored)+len(held) > 0 && strings.Contains(err.Error(), "Nothing was saved") {
				t.Errorf("cut off after %d writes it says: %v", writes, err)
			}
			s.records.fail = nil
			*s.now = s.now.Add(time.Minute)
			s.restarted()
			s.takes(t, m)
			s.takes(t, m)
			if held, err = s.List(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := []int{len(s.store.stored), len(held), len(s.alarms)}, map[bool][]int{false: {1, 0, 0}, true: {0, 1, 1}}[unknown]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("unknown %v, cut off after %d writes: events, held and alarms are %v", unknown, writes, got)
			}
		}
	}
}

// uncertain are messages that must not be told to anybody.
func uncertain() map[string]Message {
	out := map[string]Message{}
	for name, edit := range map[string]func(*Message){
		"unknown number":      func(m *Message) { m.Report.Patient.NHSNumber = "9990000034" },
		"no number":           func(m *Message) { m.Report.Patient.NHSNumber = "" },
		"another birth date":  func(m *Message) { m.Report.Patient.Born = "1941-11-03" },
		"no birth date":       func(m *Message) { m.Report.Patient.Born = "" },
		"another family name": func(m *Message) { m.Report.Patient.Family = "Sample" },
		"no right":            func(m *Message) { m.Report.Patient.NHSNumber = "9990000026" },
		"restricted":          func(m *Message) { m.Report.Restricted = true },
	} {
		m := admitted("b1", "m1")
		edit(&m)
		out[name] = m
	}
	return out
}

// TestReceiveHolds: whatever is in doubt is held, with an alarm, and the answers are the same to the byte.
func TestReceiveHolds(t *testing.T) {
	answers := map[string]string{}
	for name, m := range uncertain() {
		s := newStation()
		a := s.takes(t, m)
		held, err := s.List(t.Context())
		if err != nil || len(held) != 1 || held[0].By != ward || *held[0].Report != m.Report || !ValidHeld(held[0].ID) {
			t.Errorf("%s: held %+v, %v", name, held, err)
		}
		if len(s.store.stored) != 0 || len(s.alarms) != 1 || s.alarms[0].Reason != events.ReasonHeld || s.alarms[0].Event != held[0].ID {
			t.Errorf("%s: %d events, alarms %+v", name, len(s.store.stored), s.alarms)
		}
		answers[fmt.Sprint(a.Status, a.Media, string(a.Body))] = name
	}
	if len(answers) != 1 {
		t.Errorf("the answers tell reasons apart: %v", answers)
	}
}

// TestReceiveHoldsAlike: what is in doubt takes the same steps in the store, whatever the reason.
func TestReceiveHoldsAlike(t *testing.T) {
	steps := map[string]string{}
	for name, m := range uncertain() {
		s := newStation()
		var wrote []string
		s.records.fail = func(key string) error {
			wrote = append(wrote, key)
			return nil
		}
		s.takes(t, m)
		steps[fmt.Sprint(wrote, s.store.reads)] = name
	}
	if len(steps) != 1 {
		t.Errorf("reasons can be told apart by the work: %v", steps)
	}
}

func TestHeldIsBounded(t *testing.T) {
	s := newStation()
	for i := range maxHeld {
		m := admitted(fmt.Sprint("b", i), fmt.Sprint("m", i))
		m.Report.Patient.Born = ""
		s.takes(t, m)
	}
	over := admitted("b-over", "m-over")
	over.Report.Patient.Born = ""
	s.refuses(t, over, events.Busy)
	s.refuses(t, over, events.Busy)
	if last := s.alarms[len(s.alarms)-1]; len(s.alarms) != maxHeld+1 || last.Reason != events.ReasonHeldFull {
		t.Errorf("%d alarms, the last %+v", len(s.alarms), last)
	}
	if a := s.takes(t, admitted("b-good", "m-good")); a.Status != http.StatusOK {
		t.Errorf("a message that can be matched is answered %+v", a)
	}
	held, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Dismiss(t.Context(), held[0].ID, "Ann Admin", "sent in error"); err != nil {
		t.Fatal(err)
	}
	if a := s.takes(t, over); a.Status != http.StatusAccepted {
		t.Errorf("with room again it is answered %+v", a)
	}
}

// held returns a station that holds one message, and its id.
func oneHeld(t *testing.T) (*station, string) {
	t.Helper()
	s := newStation()
	m := admitted("b1", "m1")
	m.Report.Patient.Born = "1941-11-03"
	s.takes(t, m)
	held, err := s.List(t.Context())
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	return s, held[0].ID
}

func TestRelease(t *testing.T) {
	s, id := oneHeld(t)
	*s.now = s.now.Add(2 * time.Hour)
	stored, err := s.Release(t.Context(), id, "p-7f3k", "Ann Admin")
	if err != nil {
		t.Fatal(err)
	}
	e := stored.Record.Event
	if e.Patient != "p-7f3k" || !e.Occurred.Equal(friday.Add(-time.Hour)) || !e.Recorded.Equal(*s.now) ||
		!e.Has(events.FlagLate) || !e.Has(events.FlagMatched) || e.By != ward || e.Words != "Bed 4." {
		t.Errorf("stored %+v", e)
	}
	h, err := s.Get(t.Context(), id)
	if err != nil || h.Report != nil || h.Resolved.By != "Ann Admin" || h.Resolved.Event != e.ID || h.Resolved.Patient != "p-7f3k" {
		t.Errorf("kept %+v, %v", h, err)
	}
	value, _, _, _ := s.records.HubGet(t.Context(), heldPrefix+id)
	if strings.Contains(string(value), "9990000018") || strings.Contains(string(value), "Bed 4") {
		t.Errorf("the patient's details are kept: %s", value)
	}
	if _, err := s.Release(t.Context(), id, "p-7f3k", "Ann Admin"); events.KindOf(err) != events.Conflict {
		t.Errorf("released twice: %v", err)
	}
	if err := s.Dismiss(t.Context(), id, "Ann Admin", "no"); events.KindOf(err) != events.Conflict {
		t.Errorf("dismissed after all: %v", err)
	}
	again := admitted("b1", "m1")
	again.Report.Patient.Born = "1941-11-03"
	if a := s.takes(t, again); a.Status != http.StatusAccepted || len(s.store.stored) != 1 {
		t.Errorf("a repeat is answered %+v", a)
	}
}

// TestReleaseCutOff breaks a release off after each write: it can be done again, to the same patient, and is one event.
func TestReleaseCutOff(t *testing.T) {
	for writes := range 3 {
		s, id := oneHeld(t)
		left := writes
		s.records.fail = func(string) error {
			if left--; left < 0 {
				return &events.Error{Kind: events.Unavailable, Message: "cut off"}
			}
			return nil
		}
		_, _ = s.Release(t.Context(), id, "p-7f3k", "Ann Admin")
		s.records.fail = nil
		if writes == 1 { // begun, and the event is there
			if _, err := s.Release(t.Context(), id, "p-2b9c", "Bob Admin"); events.KindOf(err) != events.Conflict {
				t.Errorf("released to two patients: %v", err)
			}
			if err := s.Dismiss(t.Context(), id, "Bob Admin", "no"); events.KindOf(err) != events.Conflict {
				t.Errorf("dismissed while released: %v", err)
			}
			*s.now = s.now.Add(2 * time.Minute)
			if err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		}
		_, _ = s.Release(t.Context(), id, "p-7f3k", "Ann Admin")
		if h, err := s.Get(t.Context(), id); err != nil || h.Resolved == nil || h.Resolved.How != Released || len(s.store.stored) != 1 {
			t.Errorf("cut off after %d writes: %+v, %v, %d events", writes, h, err, len(s.store.stored))
		}
	}
}

// TestReleaseOfNothing: a release that never got to its event can go to another patient later.
func TestReleaseOfNothing(t *testing.T) {
	s, id := oneHeld(t)
	s.store.fail = errors.New("away")
	if _, err := s.Release(t.Context(), id, "p-2b9c", "Ann Admin"); err == nil {
		t.Fatal("released without a store")
	}
	s.store.fail = nil
	*s.now = s.now.Add(2 * time.Minute)
	if st, err := s.Release(t.Context(), id, "p-7f3k", "Ann Admin"); err != nil || st.Record.Event.Patient != "p-7f3k" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestDecidersHaveNames(t *testing.T) {
	s, id := oneHeld(t)
	for _, by := range []string{"", strings.Repeat("x", 65)} {
		if _, err := s.Release(t.Context(), id, "p-7f3k", by); events.KindOf(err) != events.Invalid {
			t.Errorf("released by %q: %v", by, err)
		}
		if err := s.Dismiss(t.Context(), id, by, "no"); events.KindOf(err) != events.Invalid {
			t.Errorf("dismissed by %q: %v", by, err)
		}
	}
	if err := s.Dismiss(t.Context(), id, "Ann", ""); events.KindOf(err) != events.Invalid {
		t.Errorf("dismissed for no reason: %v", err)
	}
	for _, id := range []string{"", "held-", "held-aaaaaaaaaaaaaaaa", "../token"} {
		if _, err := s.Get(t.Context(), id); events.KindOf(err) != events.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestHeldEnds: nothing is deleted before people were told twice, whatever the clock does.
func TestHeldEnds(t *testing.T) {
	s, id := oneHeld(t)
	sweep := func(wantAlarms int, waits bool) {
		t.Helper()
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := s.Get(t.Context(), id)
		if err != nil || len(s.alarms) != wantAlarms || (h.Resolved == nil) != waits {
			t.Errorf("after %s: %+v, %v, alarms %+v", s.now.Sub(friday), h, err, s.alarms)
		}
	}
	const day = 24 * time.Hour
	sweep(1, true)
	*s.now = friday.Add(22 * day)
	sweep(1, true)
	*s.now = friday.Add(100 * day) // nobody was warned yet
	sweep(2, true)
	sweep(2, true)
	*s.now = friday.Add(107 * day)
	sweep(3, false)
	sweep(3, false)
	if last := s.alarms[2]; last.Reason != events.ReasonHeldEnded {
		t.Errorf("the last alarm is %+v", last)
	}
	*s.now = friday.Add(138 * day)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
}

// TestSweepRaisesWhatACrashKeptBack: held on disk, and the alarm not yet.
func TestSweepRaisesWhatACrashKeptBack(t *testing.T) {
	s := newStation()
	raise := s.Receiver.alarm
	s.Receiver.alarm = func(context.Context, events.About, bool) error { return errors.New("away") }
	m := admitted("b1", "m1")
	m.Report.Patient.Born = ""
	s.refuses(t, m, events.Unavailable)
	s.Receiver.alarm = raise
	if err := s.Sweep(t.Context()); err != nil || len(s.alarms) != 1 {
		t.Errorf("%v, alarms %+v", err, s.alarms)
	}
}

// TestSeenEnds: what is remembered has an end, and after it the ids of events still keep a repeat from being a second one.
func TestSeenEnds(t *testing.T) {
	s := newStation()
	first := s.takes(t, admitted("b1", "m1"))
	*s.now = s.now.Add(Cache + time.Hour)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.records.HubList(t.Context(), seenPrefix, func(string, []byte, uint64) { n++ }); err != nil || n != 0 {
		t.Errorf("%d remembered, %v", n, err)
	}
	if a := s.takes(t, admitted("b1", "m1")); a.Status != first.Status || len(s.store.stored) != 1 {
		t.Errorf("answered %+v, %d events", a, len(s.store.stored))
	}
}

// TestRecordsNameNobody: what is remembered of a message that became an event has nothing of the patient.
func TestRecordsNameNobody(t *testing.T) {
	s := newStation()
	s.takes(t, admitted("b1", "m1"))
	err := s.records.HubList(t.Context(), "hub.", func(key string, value []byte, _ uint64) {
		for _, secret := range []string{"9990000018", "1941", "Example", "Bed 4", "m1", "b1"} {
			if strings.Contains(key, secret) || strings.Contains(string(value), secret) {
				t.Errorf("%s holds %s: %s", key, secret, value)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
