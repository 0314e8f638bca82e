package fhir_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

var update = flag.Bool("update", false, "write the golden files")

const golden = "testdata/golden"

// TestGolden compares every kind of message with a file that a reviewer has read and the validators have passed.
func TestGolden(t *testing.T) {
	for name, m := range messages() {
		compare(t, name, encode(t, m))
	}
	admission := message(events.Admission, "1")
	compare(t, "admission-addressed", address(t, encode(t, admission), admission.Event.ID, destination()))
	attached := messages()["documents"]
	whole, err := fhir.Embed(address(t, encode(t, attached), attached.Event.ID, destination()), hub.URL, attached.Event.Documents,
		func(d events.Document) ([]byte, error) { return []byte(d.Kind + " <&>"), nil })
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "documents-embedded", whole)
	if m, err := fhir.Decode(whole); err != nil || len(m.Event.Documents) != 2 {
		t.Error(err)
	}
	stored := encodeAlarm(t)
	compare(t, "alarm", stored)
	compare(t, "alarm-addressed", address(t, stored, alarm().ID, destination()))
	in, _ := received(t, "us-attendance")
	response, err := in.Respond(hub, "ward-board", fhir.ResponseOK, at(2, 15),
		fhir.Issue{Severity: "warning", Code: "not-supported", Diagnostics: "Only texts are passed on.", Expression: "Bundle.entry[3].resource.payload[1]"})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "response", response)
	compare(t, "outcome", fhir.Outcome("error", "duplicate", "We have this one already."))
}

// compare holds got against the golden file, which is indented for readers.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join(golden, name+".json")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%s is not JSON: %v", name, err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("%s is not as in %s; see what changed with: go test ./events/fhir -update && git diff", name, file)
	}
}

func encode(t testing.TB, m fhir.Message) []byte {
	t.Helper()
	b, err := fhir.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encodeAlarm(t testing.TB) []byte {
	t.Helper()
	b, err := fhir.EncodeAlarm(alarm())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func address(t testing.TB, stored []byte, event string, to fhir.Destination) []byte {
	t.Helper()
	e, err := fhir.Open(stored, event)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.To(to)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
