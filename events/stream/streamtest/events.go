package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"carehub/events"
)

func createOnly(t *testing.T, s Store) {
	rec := Record("p-7f3k", "key", events.Fall, 4)
	first := publish(t, s, rec, "first")
	other := Record("p-7f3k", "key", events.Admission, 2)
	for _, again := range []events.Record{rec, other} {
		got, created, err := s.Publish(t.Context(), again, []byte("second"))
		must(t, err)
		if created || got.Seq != first.Seq || got.Record.Event.Kind != events.Fall || string(got.Message) != "first" {
			t.Errorf("the same id as %s gave created=%v %+v", again.Event.Kind, created, got)
		}
	}
}

// everythingComesBack: a record travels in a header, whatever a carer types.
func everythingComesBack(t *testing.T, s Store) {
	rec := Record("p-7f3k", "key", events.Admission, 3)
	rec.Event.Words = " Grüße, Siân — 母が転んだ 🚑\r\nsecond line\ttab \x00\x7f\u2028 \"quoted\" <b>&amp; Carehub-Record: x \\ "
	rec.Event.Place = "St Mary’s\r\n\r\n"
	rec.Plan.About = &events.About{Event: "ev-a-b", Reason: events.ReasonTimeout}
	message := []byte("{\"resourceType\":\"Bundle\"}\r\n\x00\xff")
	stored, _, err := s.Publish(t.Context(), rec, message)
	must(t, err)
	check := func(got events.Stored) {
		t.Helper()
		if !reflect.DeepEqual(got.Record, rec) || !bytes.Equal(got.Message, message) || got.Seq != stored.Seq || got.Partition != stored.Partition {
			t.Errorf("got %+v, want record %+v", got, rec)
		}
	}
	check(stored)
	found, err := s.Find(t.Context(), rec.Event.ID)
	must(t, err)
	check(found)
	_ = s.Read(t.Context(), stored.Partition, 0, func(e events.Stored) error {
		check(e)
		return errors.New("enough")
	})
}

func find(t *testing.T, s Store) {
	stored := publish(t, s, Record("p-7f3k", "key", events.Fall, 1), "fell")
	alarm := Record("p-7f3k", "", events.Alarm, 1)
	alarm.Event.ID, alarm.Event.Patient = events.AlarmID(events.About{Event: stored.Record.Event.ID}), events.HubPatient
	publish(t, s, alarm, "alarm")
	for _, rec := range []events.Record{stored.Record, alarm} {
		got, err := s.Find(t.Context(), rec.Event.ID)
		must(t, err)
		if got.Record.Event.ID != rec.Event.ID {
			t.Errorf("found %s for %s", got.Record.Event.ID, rec.Event.ID)
		}
	}
	for _, id := range []string{events.NewID(events.Actor{}, "p-7f3k", "other"), "", "*", "ev-7f3k-*", "ev.x"} {
		_, err := s.Find(t.Context(), id)
		wantKind(t, err, events.NotFound)
	}
}

func latest(t *testing.T, s Store) {
	neighbours := Patients(1, 2)
	for i, patient := range []string{neighbours[0], neighbours[1], neighbours[0], neighbours[1]} {
		publish(t, s, Record(patient, fmt.Sprint(i), events.Admission, 1), fmt.Sprint(i))
	}
	publish(t, s, Record(neighbours[0], "d", events.Discharge, 1), "home")
	got, ok, err := s.Latest(t.Context(), neighbours[0], events.Admission)
	if err != nil || !ok || string(got.Message) != "2" {
		t.Errorf("latest admission is %q %v %v, want 2", got.Message, ok, err)
	}
	if _, ok, err := s.Latest(t.Context(), neighbours[0], events.Fall); ok || err != nil {
		t.Errorf("there is no fall, got %v %v", ok, err)
	}
}

func atAndLast(t *testing.T, s Store) {
	for p := range 4 {
		if last, err := s.Last(t.Context(), p); last != 0 || err != nil {
			t.Errorf("last of an empty partition is %d, %v", last, err)
		}
	}
	stored := publish(t, s, Record(Patients(2, 1)[0], "key", events.Fall, 1), "fell")
	got, ok, err := s.At(t.Context(), 2, stored.Seq)
	if err != nil || !ok || !reflect.DeepEqual(got, stored) {
		t.Errorf("at gives %+v %v %v", got, ok, err)
	}
	if last, err := s.Last(t.Context(), 2); last != stored.Seq || err != nil {
		t.Errorf("last is %d %v, want %d", last, err, stored.Seq)
	}
	for _, seq := range []uint64{0, stored.Seq + 1, 1 << 60} {
		if _, ok, err := s.At(t.Context(), 2, seq); ok || err != nil {
			t.Errorf("at %d gives %v %v", seq, ok, err)
		}
	}
}

// largePlan: 10,000 recipients do not fit into a header.
func largePlan(t *testing.T, s Store) {
	patient := Patients(0, 1)[0]
	publish(t, s, Record(patient, "small before", events.Fall, 1), "before")
	rec := Record(patient, "large", events.Admission, 10_000)
	stored := publish(t, s, rec, "large")
	if !reflect.DeepEqual(stored.Record, rec) {
		t.Error("publish changed the record")
	}
	again, created, err := s.Publish(t.Context(), rec, []byte("again"))
	if err != nil || created || string(again.Message) != "large" {
		t.Errorf("published twice: %v %v", created, err)
	}
	publish(t, s, Record(patient, "small after", events.Fall, 1), "after")

	found, err := s.Find(t.Context(), rec.Event.ID)
	must(t, err)
	at, _, err := s.At(t.Context(), 0, stored.Seq)
	must(t, err)
	newest, _, err := s.Latest(t.Context(), patient, events.Admission)
	must(t, err)
	for _, got := range []events.Stored{found, at, newest} {
		if !reflect.DeepEqual(got, stored) {
			t.Errorf("%d recipients came back, want %d", len(got.Record.Plan.Recipients), 10_000)
		}
	}
	if got := collect(t, s, 0, 0, 3); !slices.Equal(got, []string{"before", "large", "after"}) {
		t.Errorf("read %q", got)
	}
	events := 0
	for seq := range stored.Seq {
		if _, ok, err := s.At(t.Context(), 0, seq); err != nil {
			t.Error(err)
		} else if ok {
			events++
		}
	}
	if events != 1 {
		t.Errorf("%d events before the large one, want 1: a part of a plan is not an event", events)
	}
}

func tooLarge(t *testing.T, s Store) {
	rec := Record("p-7f3k", "key", events.Fall, 1)
	_, _, err := s.Publish(t.Context(), rec, []byte(words(1<<20+1)))
	wantKind(t, err, events.TooLarge)
	wordy := rec
	wordy.Event.Words = words(40 << 10)
	_, _, err = s.Publish(t.Context(), wordy, []byte("small"))
	wantKind(t, err, events.TooLarge)
	_, err = s.Find(t.Context(), rec.Event.ID)
	wantKind(t, err, events.NotFound)
}

// misfits: an id alone must lead back to its event, and nothing in a subject may be a wildcard.
func misfits(t *testing.T, s Store) {
	good := Record("p-7f3k", "key", events.Fall, 1)
	for _, spoil := range []func(*events.Event){
		func(e *events.Event) { e.ID = "" },
		func(e *events.Event) { e.Patient = "p-8g4m" },
		func(e *events.Event) { e.Patient = "*" },
		func(e *events.Event) { e.Kind = "" },
		func(e *events.Event) { e.Kind = ">" },
		func(e *events.Event) { e.Kind = "a.b" },
	} {
		rec := good
		spoil(&rec.Event)
		_, _, err := s.Publish(t.Context(), rec, []byte("x"))
		wantKind(t, err, events.Invalid)
	}
}

func manyPublishers(t *testing.T, s Store) {
	const publishers, each = 64, 8
	var group sync.WaitGroup
	for n := range publishers {
		group.Go(func() {
			for i := range each {
				rec := Record(fmt.Sprintf("p-n%d", n), fmt.Sprint(i), events.Fall, 4)
				if _, created, err := s.Publish(t.Context(), rec, []byte("x")); !created || err != nil {
					t.Errorf("publisher %d: created %v, %v", n, created, err)
				}
			}
		})
	}
	group.Wait()
	perPatient := map[string][]string{}
	for p := range 4 {
		last, err := s.Last(t.Context(), p)
		must(t, err)
		for seq := range last {
			got, ok, err := s.At(t.Context(), p, seq+1)
			if err != nil || !ok {
				t.Fatalf("partition %d has a hole at %d: %v", p, seq+1, err)
			}
			perPatient[got.Record.Event.Patient] = append(perPatient[got.Record.Event.Patient], got.Record.Event.ID)
		}
	}
	for n := range publishers {
		patient := fmt.Sprintf("p-n%d", n)
		for i := range each {
			if id := Record(patient, fmt.Sprint(i), events.Fall, 0).Event.ID; len(perPatient[patient]) != each || perPatient[patient][i] != id {
				t.Fatalf("events of %s are not in the order they were acknowledged in: %v", patient, perPatient[patient])
			}
		}
	}
}

func oneKeyManyTimes(t *testing.T, s Store) {
	var mu sync.Mutex
	created, seqs := 0, map[uint64]bool{}
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			stored, isNew, err := s.Publish(t.Context(), Record("p-7f3k", "key", events.Fall, n%2*300), []byte(fmt.Sprint(n)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if isNew {
				created++
			}
			seqs[stored.Seq] = true
		})
	}
	group.Wait()
	if created != 1 || len(seqs) != 1 {
		t.Errorf("created %d times at %v, want once", created, seqs)
	}
}

// readLive: a reader that starts in the middle of the writing misses nothing.
func readLive(t *testing.T, s Store) {
	const total = 300
	patients := Patients(3, 7)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range total {
			if _, _, err := s.Publish(t.Context(), Record(patients[i%7], fmt.Sprint(i), events.Fall, 1), []byte(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
	}()
	got := collect(t, s, 3, 0, total)
	<-written
	for i, message := range got {
		if message != fmt.Sprint(i) {
			t.Fatalf("event %d read as number %d", i, i)
		}
	}
}

func readAfter(t *testing.T, s Store) {
	patient := Patients(1, 1)[0]
	var third uint64
	for i := range 6 {
		stored := publish(t, s, Record(patient, fmt.Sprint(i), events.Fall, 1), fmt.Sprint(i))
		if i == 2 {
			third = stored.Seq
		}
	}
	if got := collect(t, s, 1, third, 3); !slices.Equal(got, []string{"3", "4", "5"}) {
		t.Errorf("read %q", got)
	}
}

func readEnds(t *testing.T, s Store) {
	patient := Patients(1, 1)[0]
	publish(t, s, Record(patient, "0", events.Fall, 1), "0")
	enough := errors.New("enough")
	if err := s.Read(t.Context(), 1, 0, func(events.Stored) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("ended by its function: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Read(ctx, 1, 0, func(events.Stored) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended by its context: %v", err)
	}
	reading, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- s.Read(context.WithoutCancel(t.Context()), 1, 0, func(events.Stored) error { close(reading); return nil })
	}()
	<-reading
	must(t, s.Close(t.Context()))
	wantKind(t, <-ended, events.Unavailable)
}

func endedContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Publish(ctx, Record("p-7f3k", "key", events.Fall, 1), []byte("x"))
	wantKind(t, err, events.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is not in %v", err)
	}
	wantKind(t, s.Put(ctx, 0, []events.Entry{{Key: events.CursorSubject(0), Value: []byte("1")}}), events.Unavailable)
	_, err = s.Find(ctx, Record("p-7f3k", "key", events.Fall, 1).Event.ID)
	wantKind(t, err, events.Unavailable)
	_, err = s.Find(t.Context(), Record("p-7f3k", "key", events.Fall, 1).Event.ID)
	wantKind(t, err, events.NotFound)
}

func closedStore(t *testing.T, s Store) {
	must(t, s.Close(t.Context()))
	ctx := t.Context()
	rec := Record("p-7f3k", "key", events.Fall, 1)
	_, _, publish := s.Publish(ctx, rec, []byte("x"))
	_, find := s.Find(ctx, rec.Event.ID)
	_, _, latest := s.Latest(ctx, "p-7f3k", events.Fall)
	_, _, at := s.At(ctx, 0, 1)
	_, last := s.Last(ctx, 0)
	read := s.Read(ctx, 0, 0, func(events.Stored) error { return nil })
	put := s.Put(ctx, 0, []events.Entry{{Key: "cur.0", Value: []byte("1")}})
	_, _, get := s.Get(ctx, 0, "cur.0")
	_, list := s.List(ctx, 0, "park.0.")
	_, hubPut := s.HubPut(ctx, "hub.a.b", []byte("1"), 0)
	_, _, _, hubGet := s.HubGet(ctx, "hub.a.b")
	hubDelete := s.HubDelete(ctx, "hub.a.b")
	hubList := s.HubList(ctx, "hub.a.", func(string, []byte, uint64) {})
	hubErase := s.HubErase(ctx, "hub.a.b", 1)
	watch := s.HubWatch(ctx, "hub.a.", func() {}, func(string, []byte) {})
	for i, err := range []error{publish, find, latest, at, last, read, put, get, list, hubPut, hubGet, hubDelete, hubList, hubErase, watch} {
		if err == nil || events.KindOf(err) != events.Unavailable {
			t.Errorf("call %d on a closed store gave %v", i, err)
		}
	}
	must(t, s.Close(t.Context()))
}
