package archive

import (
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
	r.keep([]events.Partition{{Number: 4}, {Number: 5}})
	check("p-a", events.Admission, "second", true, true)
	check("p-a", events.Fall, "", false, true)
	if len(r.of) != 1 {
		t.Errorf("%d patients are remembered", len(r.of))
	}
}
