package main

import (
	"testing"

	"carehub/config"
	"carehub/events"
)

func TestMatch(t *testing.T) {
	r := newRegistrar(config.Patients{
		"p-7f3k": {Patient: config.Patient{Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018"}},
		"p-2b9c": {Patient: config.Patient{Name: "Zoë van der Łuk-O’Brien", Born: "1950-01-31", NHSNumber: "9990000026"}},
		"p-none": {Patient: config.Patient{Name: "Nina Numberless", Born: "1950-01-31"}},
		"p-aa":   {Patient: config.Patient{Name: "Ada Twice", Born: "1930-05-05", NHSNumber: "9990000034"}},
		"p-bb":   {Patient: config.Patient{Name: "Ada Twice", Born: "1930-05-05", NHSNumber: "9990000034"}},
	})
	for _, c := range []struct {
		number, born, family, name, want string
	}{
		{"9990000018", "1941-03-11", "Example", "", "p-7f3k"},
		{"9990000018", "1941-03-11", "EXAMPLE", "Mr Tom Example", "p-7f3k"},
		{"9990000018", "1941-03-11", "", "thomas example", "p-7f3k"},
		{"9990000018", "1941-03-11", "", "", ""},
		{"9990000018", "1941-03-11", "", "Tom Example", ""},
		{"9990000018", "1941-03-11", "Exam", "", ""},
		{"9990000018", "1941-03-11", "Thomas Example", "", ""}, // a family name is never the whole name
		{"9990000018", "1941-03-11", "Sample", "Thomas Example", ""},
		{"9990000018", "1941-03-12", "Example", "", ""},
		{"9990000018", "1941", "Example", "", ""},
		{"9990000018", "", "Example", "", ""},
		{"9990000026", "1941-03-11", "Example", "", ""},
		{"", "1941-03-11", "Example", "", ""},
		{"9990000026", "1950-01-31", "VAN DER ŁUK O'BRIEN", "", "p-2b9c"},
		{"9990000026", "1950-01-31", "Łuk‐OBrien", "", "p-2b9c"},
		{"9990000026", "1950-01-31", "O'Brien", "", ""}, // half of a double name
		{"", "1950-01-31", "Numberless", "", ""},
		{"9990000034", "1930-05-05", "Twice", "", ""}, // which of two?
	} {
		d := events.Details{NHSNumber: c.number, Born: c.born, Family: c.family, Name: c.name}
		if got := r.Match(d); got != c.want {
			t.Errorf("%+v is %q, want %q", d, got, c.want)
		}
	}
}
