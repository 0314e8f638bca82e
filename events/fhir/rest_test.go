package fhir_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

// TestResources: each resource is found at its address, and everything it refers to is there too.
func TestResources(t *testing.T) {
	admission := message(events.Admission, "1").Event.ID
	stay, carer := "Encounter/"+admission, "RelatedPerson/"+events.RelatedID("ruth", "p-7f3k")
	fell, system := messages()["fall"].Event.ID, messages()["system"].Event.ID
	for name, want := range map[string][]string{
		"admission": {stay, "Communication/" + admission, "Patient/p-7f3k", carer, "Organization/hub", "Device/hub",
			"Location/" + admission, "Provenance/" + admission},
		"fall": {"Condition/" + fell, "Communication/" + fell, "Patient/p-7f3k", carer, "Organization/hub", "Device/hub",
			"Location/" + fell, "Provenance/" + fell},
		"system": {"Encounter/" + system, "Communication/" + system, "Patient/p-7f3k", "Organization/ward-board", "Organization/hub",
			"Device/hub", "Location/" + system, "Provenance/" + system},
	} {
		var got []string
		for _, r := range resources(t, messages()[name]) {
			got = append(got, r.Address())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if discharge := resources(t, messages()["discharge"])[0]; discharge.Address() != stay || discharge.Version != messages()["discharge"].Event.ID {
		t.Errorf("the discharge is %s, version %s, of stay %s", discharge.Address(), discharge.Version, stay)
	}
}

func TestResourcesHangTogether(t *testing.T) {
	reference := regexp.MustCompile(`"reference":"([^"]*)"`)
	for name, m := range messages() {
		all := resources(t, m)
		var focused int
		for i, r := range all {
			if r.Focus {
				focused++
			}
			if r.Focus != (i < focused) || !r.Updated.Equal(m.Event.Recorded) {
				t.Errorf("%s: %s stands in place %d, updated %v", name, r.Address(), i, r.Updated)
			}
			for _, to := range reference.FindAllSubmatch(r.JSON, -1) {
				if !slices.ContainsFunc(all, func(r fhir.Resource) bool { return r.Address() == string(to[1]) }) {
					t.Errorf("%s: %s refers to %s, which is not there", name, r.Address(), to[1])
				}
			}
			if !json.Valid(r.JSON) || bytes.Contains(r.JSON, []byte(`"reference":"urn:uuid:`)) {
				t.Errorf("%s: %s", name, r.JSON)
			}
			if tagged := bytes.Contains(r.JSON, []byte(`"code":"HTEST"`)); m.Event.Test && tagged == slices.Contains([]string{"Patient", "RelatedPerson", "Organization", "Device"}, r.Type) {
				t.Errorf("%s: %s says that it is of a test: %v", name, r.Type, tagged)
			}
		}
		if focused == 0 {
			t.Errorf("%s is about nothing", name)
		}
	}
}

// TestWordsAreNoReferences: what a carer types can look like a reference, and stays what it is.
func TestWordsAreNoReferences(t *testing.T) {
	m := message(events.Fall, "sly")
	m.Event.Words = `","id":"x","reference":"urn:uuid:` + events.UUID("patient", hub.URL, thomas.ID) + `"`
	for _, r := range resources(t, m) {
		var c struct {
			ID      string
			Payload []struct{ ContentString string }
		}
		if err := json.Unmarshal(r.JSON, &c); err != nil || c.ID != r.ID {
			t.Errorf("%v: %s", err, r.JSON)
		}
		if r.Type == "Communication" && !strings.HasSuffix(c.Payload[1].ContentString, m.Event.Words) {
			t.Errorf("the words have become %q", c.Payload[1].ContentString)
		}
	}
}

func TestAlarmHasNoResources(t *testing.T) {
	if _, err := fhir.Resources(encodeAlarm(t)); events.KindOf(err) != events.Invalid {
		t.Errorf("got %v", err)
	}
	if _, err := fhir.Resources([]byte(`{"resourceType":"Bundle"}`)); events.KindOf(err) != events.Invalid {
		t.Errorf("got %v", err)
	}
}

// TestValidatorsOfResources has the engines judge every resource of every message by itself.
func TestValidatorsOfResources(t *testing.T) {
	dir := t.TempDir()
	for name, m := range messages() {
		for i, r := range resources(t, m) {
			file := filepath.Join(dir, name+"-"+string(rune('a'+i))+"-"+r.Type+".json")
			if err := os.WriteFile(file, r.JSON, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, dir)
}

func resources(t *testing.T, m fhir.Message) []fhir.Resource {
	t.Helper()
	out, err := fhir.Resources(encode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
