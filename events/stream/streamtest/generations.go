package streamtest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"carehub/events"
)

// grow: a new generation takes the new events, whatever was stored before is found where it was.
func grow(t *testing.T, s Store) {
	patient := Patients(1, 1)[0]
	old := publish(t, s, Record(patient, "old", events.Fall, 1), "old")
	live, changed := s.Layout()
	if want := (events.Partition{Number: 3, After: -1}); len(live) != 4 || live[3] != want {
		t.Fatalf("at first %v", live)
	}
	wantKind(t, s.Grow(t.Context(), 6), events.Invalid)
	wantKind(t, s.Grow(t.Context(), 2), events.Invalid)
	must(t, s.Grow(t.Context(), 8))
	<-changed
	live, _ = s.Layout()
	var want []events.Partition
	for p := range 4 {
		want = append(want, events.Partition{Number: p, After: -1, Sealed: true})
	}
	for p := range 8 {
		want = append(want, events.Partition{Number: 4 + p, After: p % 4})
	}
	if !reflect.DeepEqual(live, want) || s.Partitions() != 8 {
		t.Errorf("then %v", live)
	}
	fresh := publish(t, s, Record(patient, "new", events.Admission, 300), "new")
	if fresh.Partition != 4+events.PartitionOf(patient, 8) || fresh.Seq != 2 { // its plan goes first
		t.Errorf("the new event is at %d/%d", fresh.Partition, fresh.Seq)
	}
	for _, want := range []events.Stored{old, fresh} {
		again, created, err := s.Publish(t.Context(), want.Record, []byte("again"))
		must(t, err)
		found, err := s.Find(t.Context(), want.Record.Event.ID)
		must(t, err)
		newest, _, err := s.Latest(t.Context(), patient, want.Record.Event.Kind)
		must(t, err)
		at, _, err := s.At(t.Context(), want.Partition, want.Seq)
		must(t, err)
		for _, got := range []events.Stored{again, found, newest, at} {
			if created || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	}
	if last, err := s.Last(t.Context(), old.Partition); last != old.Seq || err != nil {
		t.Errorf("the sealed partition ends at %d, %v", last, err)
	}
	must(t, s.Put(t.Context(), old.Partition, []events.Entry{{Key: events.CursorSubject(old.Partition), Value: []byte("1")}}))
}

// growMeanwhile: loggers notice nothing, nothing is stored twice, and each patient's events keep their order.
func growMeanwhile(t *testing.T, s Store) {
	const loggers, each = 8, 60
	var mu sync.Mutex
	stored := map[string]events.Place{}
	var group sync.WaitGroup
	for n := range loggers {
		group.Go(func() {
			var before events.Place
			for i := range each {
				rec := Record(fmt.Sprintf("p-n%d", n/2), fmt.Sprint(n, i), events.Fall, 1)
				for range 2 { // a repeat may meet the new generation
					st, created, err := s.Publish(t.Context(), rec, []byte("x"))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					first, known := stored[rec.Event.ID]
					if created == known || known && first != st.Place() || created && !before.Before(st.Place()) {
						t.Errorf("stored at %v after %v, created %v, known %v at %v", st.Place(), before, created, known, first)
					}
					stored[rec.Event.ID], before = st.Place(), st.Place()
					mu.Unlock()
				}
			}
		})
	}
	for _, partitions := range []int{0, 8, 16} {
		must(t, s.Grow(t.Context(), partitions))
	}
	group.Wait()
	if live, _ := s.Layout(); len(live) != 4+4+8+16 {
		t.Errorf("%d partitions", len(live))
	}
}

// retire: a retired partition is not live, its events are found until it is cleared, and it never comes back.
func retire(t *testing.T, s Store) {
	patient := Patients(2, 1)[0]
	old := publish(t, s, Record(patient, "old", events.Fall, 1), "old")
	wantKind(t, s.Retire(t.Context(), 2), events.Invalid)
	must(t, s.Grow(t.Context(), 0))
	for p := range 4 {
		must(t, s.Retire(t.Context(), p))
	}
	live, _ := s.Layout()
	if len(live) != 4 || live[0] != (events.Partition{Number: 4, After: -1}) {
		t.Errorf("live are %v", live)
	}
	if _, err := s.Find(t.Context(), old.Record.Event.ID); err != nil {
		t.Errorf("before it was cleared: %v", err)
	}
	must(t, s.Clear(t.Context(), s.Retired()))
	_, err := s.Find(t.Context(), old.Record.Event.ID)
	wantKind(t, err, events.NotFound)
	_, err = s.Last(t.Context(), 2)
	wantKind(t, err, events.NotFound)
	if left := s.Retired(); len(left) != 0 {
		t.Errorf("%v are still retired", left)
	}
	must(t, s.Grow(t.Context(), 8))
	if live, _ := s.Layout(); live[4].Number != 8 || live[11] != (events.Partition{Number: 15, After: 7}) {
		t.Errorf("then live are %v", live)
	}
}

// timeline: newest first, over generations, in pages that leave nothing out.
func timeline(t *testing.T, s Store) {
	patients := Patients(3, 2)
	var want []string
	for i := range 40 {
		if i == 15 || i == 30 {
			must(t, s.Grow(t.Context(), 0))
		}
		publish(t, s, Record(patients[1], fmt.Sprint("other", i), events.Fall, 1), "x")
		if i%3 > 0 {
			want = append(want, publish(t, s, Record(patients[0], fmt.Sprint(i), events.Fall, 1), "x").Record.Event.ID)
		}
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 4, 26, 100} {
		var got []string
		var before events.Place
		for {
			page, err := s.Timeline(t.Context(), patients[0], before, limit)
			must(t, err)
			for _, e := range page {
				got = append(got, e.Record.Event.ID)
				before = e.Place()
			}
			if len(page) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
}

// several: what is at some places, in their order, over generations and without what is not there.
func several(t *testing.T, s Store) {
	var want []events.Stored
	for i := range 30 {
		if i == 20 {
			must(t, s.Grow(t.Context(), 0))
		}
		want = append(want, publish(t, s, Record(fmt.Sprintf("p-%04d", i%7), fmt.Sprint(i), events.Fall, 1), "x"))
	}
	slices.Reverse(want)
	places := []events.Place{{Partition: 2, Seq: 1 << 60}}
	for _, st := range want {
		places = append(places, st.Place())
	}
	places = append(places, events.Place{Partition: 2})
	got, err := s.Several(t.Context(), places)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d events, %v; want %d", len(got), err, len(want))
	}
	none, err := s.Several(t.Context(), nil)
	if len(none) > 0 || err != nil {
		t.Error(none, err)
	}
	_, err = s.Several(t.Context(), []events.Place{{Partition: 99, Seq: 1}})
	wantKind(t, err, events.NotFound)
}
