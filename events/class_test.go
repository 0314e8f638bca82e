package events

import "testing"

func TestEncounterClass(t *testing.T) {
	for want, e := range map[string]Event{
		"IMP":    {Kind: Admission},
		"AMB":    {Kind: Attendance, Because: Fall},
		"":       {Kind: Fall},
		"EMER":   {Kind: Attendance, Class: "EMER"},
		"OBSENC": {Kind: Admission, Class: "OBSENC"},
	} {
		if got := e.EncounterClass(); got != want {
			t.Errorf("%+v: got %q, want %q", e, got, want)
		}
	}
	if got := (Event{Kind: Discharge, Ends: Attendance}).EncounterClass(); got != "AMB" {
		t.Errorf("the end of an attendance: got %q", got)
	}
}
