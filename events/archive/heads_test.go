package archive

import (
	"testing"
	"time"

	"carehub/events"
)

// TestHeads: of each kind the newest counts, whichever volume has it; a volume cut anywhere is an error, or has fewer
// patients.
func TestHeads(t *testing.T) {
	at := time.Date(2026, 11, 3, 14, 2, 0, 123456789, time.UTC)
	volume := func(told ...events.Event) []byte {
		var w headWriter
		for _, e := range told {
			w.add(outlineOf(events.Stored{Record: events.Record{Event: e}}))
		}
		w.close()
		return w.packed
	}
	event := func(patient string, kind events.Kind, stay string, day int) events.Event {
		return events.Event{Patient: patient, Kind: kind, Stay: stay, Occurred: at.AddDate(0, 0, day), Recorded: at.AddDate(0, 0, day+1)}
	}
	older := volume(event("p-a", events.Admission, "ev-a-1", 0), event("p-a", events.Fall, "", 1), event("p-b", events.Fall, "", 2))
	newer := volume(event("p-a", events.Admission, "ev-a-2", 3), event("p-a", events.Admission, "elsewhere", 4), event("p-a", events.Discharge, "ev-a-2", 5))
	h := newHeads()
	for _, v := range [][]byte{older, newer} {
		if err := h.add(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []events.Event{event("p-a", events.Admission, "elsewhere", 4), event("p-a", events.Discharge, "ev-a-2", 5),
		event("p-a", events.Fall, "", 1), event("p-b", events.Fall, "", 2)} {
		got, found := h.get(want.Patient, want.Kind)
		if !found || got.Stay != want.Stay || !got.Occurred.Equal(want.Occurred) || !got.Recorded.Equal(want.Recorded) {
			t.Errorf("got %+v %v, want %+v", got, found, want)
		}
	}
	for _, never := range []events.Kind{events.Attendance, events.Alarm} {
		if _, found := h.get("p-a", never); found {
			t.Errorf("there was no %s", never)
		}
	}
	for n := range older {
		cutShort := newHeads()
		if err := cutShort.add(older[:n]); err == nil && len(cutShort.of) > 1 {
			t.Errorf("cut at %d nothing is missing", n)
		}
	}
}
