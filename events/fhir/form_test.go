package fhir_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"

	"pgregory.net/rapid"
)

// TestForms holds what templates give against what the models write without them, in a process that has met many forms.
// More of it: go test ./events/fhir -run TestForms -rapid.checks=100000
func TestForms(t *testing.T) {
	for name, m := range messages() {
		sameBytes(t, name, m)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage(t)
		for i, s := range []*string{
			&m.Event.Words, &m.Event.Place, &m.Event.Stay, &m.Patient.Name, &m.Patient.NHSNumber, &m.By.Name, &m.By.Phone, &m.Hub.Name,
		} {
			if m.Event.Kind != events.Fall || s != &m.Event.Stay { // which has none
				*s += hostile(t, fmt.Sprint("hostile ", i))
			}
		}
		sameBytes(t, "anything", m)
	})
}

// hostile is what nobody should type: in JSON, XHTML, FHIR, or where a slot is.
func hostile(t *rapid.T, name string) string {
	return rapid.OneOf(
		rapid.Just(""),
		rapid.String(),
		rapid.SampledFrom([]string{
			"\uFFFF<00", "\uFFFF&lt;01", "\uFFFF", "<00", `"`, `\`, `\u0041`, "</p></div>", "&amp;", "\xff", "\u2028", "\x00", "%s",
			`"],"sender":`, strings.Repeat("so many names ", 8),
		}),
	).Draw(t, name)
}

func sameBytes(t interface{ Fatalf(string, ...any) }, name string, m fhir.Message) {
	got, gotErr := fhir.Encode(m)
	want, wantErr := fhir.EncodeWhole(m)
	if !bytes.Equal(got, want) || (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%s: %v, %v\ngot  %s\nwant %s", name, gotErr, wantErr, got, want)
	}
}

// TestFormsAreBounded: flags that nobody has thought of must not fill the memory.
func TestFormsAreBounded(t *testing.T) {
	m := message(events.Fall, "1")
	for i := range 2 * fhir.MaxForms {
		m.Event.Flags = []events.Flag{events.Flag(fmt.Sprint("flag-", i))}
		encode(t, m)
	}
	sameBytes(t, "after many forms", m)
	if n := fhir.FormsKept(); n > fhir.MaxForms {
		t.Errorf("%d forms are kept", n)
	}
}
