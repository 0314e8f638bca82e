package archive

import (
	"slices"
	"testing"
	"time"

	"carehub/events"
)

// TestRecent: of each kind the event that was accepted last counts, in whatever order they are heard of, as long as its
// partition is there; nothing is sure before all of the store was looked through, nor of a patient of whom a write failed.
func TestRecent(t *testing.T) {
	at := time.Date(2026, 11, 3, 14, 2, 0, 0, time.UTC)
	stored := func(patient string, kind events.Kind, stay string, p int, seq uint64) events.Stored {
		return events.Stored{Partition: p, Seq: seq, Record: events.Record{Event: events.Event{Patient: patient, Kind: kind, Stay: stay,
			Occurred: at, Recorded: at.Add(time.Minute), Flags: []events.Flag{events.FlagLate}}}}
	}
	r := newRecent()
	for _, st := range []events.Stored{stored("p-a", events.Admission, "second", 4, 1), stored("p-a", events.Admission, "first", 0, 900),
		stored("p-a", events.Fall, "", 0, 901), stored("p-b", events.Discharge, "only", 1, 7), stored("hub", events.Alarm, "", 0, 902)} {
		r.add(st)
	}
	check := func(patient string, kind events.Kind, stay string, wantFound, wantSure bool) {
		t.Helper()
		e, found, sure := r.get(patient, kind)
		if e.Stay != stay || found != wantFound || sure != wantSure {
			t.Errorf("%s of %s: %+v, found %v, sure %v", kind, patient, e, found, sure)
		}
		if found && (!e.Occurred.Equal(at) || !e.Recorded.Equal(at.Add(time.Minute)) || !e.Has(events.FlagLate) || e.Test) {
			t.Errorf("%+v", e)
		}
	}
	check("p-a", events.Admission, "second", true, false)
	r.started = true
	check("p-a", events.Admission, "second", true, true)
	check("p-a", events.Fall, "", true, true)
	check("p-a", events.Discharge, "", false, true)
	check("p-c", events.Discharge, "", false, true)
	check("hub", events.Alarm, "", false, false)
	r.doubt("p-b")
	check("p-b", events.Discharge, "only", true, false)
	keep(r, []events.Partition{{Number: 4}, {Number: 5}}...)
	check("p-a", events.Admission, "second", true, true)
	check("p-a", events.Fall, "", false, true)
	if len(r.of) != 1 {
		t.Errorf("%d patients are remembered", len(r.of))
	}
}

// TestRecentPlaces: the newest first, each once, also where a look into the store and a logger told of the same, and nothing
// of where an event no longer is.
func TestRecentPlaces(t *testing.T) {
	r := newRecent()
	at := func(p int, seq uint64) events.Place { return events.Place{Partition: p, Seq: seq} }
	for _, place := range []events.Place{at(0, 900), at(4, 2), at(0, 901), at(4, 1), at(0, 1<<40), at(0, 900), at(4, 2)} {
		r.add(events.Stored{Partition: place.Partition, Seq: place.Seq,
			Record: events.Record{Event: events.Event{Patient: "p-a", Kind: events.DocumentAdded}}})
	}
	r.add(events.Stored{Partition: 0, Seq: 902, Record: events.Record{Event: events.Event{Patient: events.HubPatient, Kind: events.Alarm}}})
	check := func(patient string, before events.Place, limit int, wantSure bool, want ...events.Place) {
		t.Helper()
		if got, sure := r.newest(patient, before, limit); sure != wantSure || !slices.Equal(got, want) {
			t.Errorf("%d of %s before %v: %v, sure %v", limit, patient, before, got, sure)
		}
	}
	none := events.Place{}
	check("p-a", none, 9, false)
	r.started = true
	check("p-a", none, 9, true, at(4, 2), at(4, 1), at(0, 1<<40), at(0, 901), at(0, 900))
	check("p-a", none, 2, true, at(4, 2), at(4, 1))
	check("p-a", at(4, 2), 2, true, at(4, 1), at(0, 1<<40))
	check("p-a", at(0, 900), 2, true)
	check("p-b", none, 2, true)
	check(events.HubPatient, none, 2, false)
	keep(r, []events.Partition{{Number: 4}}...)
	check("p-a", none, 9, true, at(4, 2), at(4, 1))
	stored := r.begin("p-a")
	alsoStored := r.begin("p-a")
	stored()
	check("p-a", none, 9, false)
	alsoStored()
	check("p-a", none, 9, true, at(4, 2), at(4, 1))
	r.doubt("p-a")
	check("p-a", none, 9, false)
	r.forget("p-a")
	check("p-a", none, 9, true)
	keep(r)
	if len(r.of) != 0 {
		t.Errorf("%d patients are remembered", len(r.of))
	}
}

// keep has it keep what is in some partitions.
func keep(r *recent, live ...events.Partition) {
	r.keep(func() ([]events.Partition, <-chan struct{}) { return live, nil })
}
