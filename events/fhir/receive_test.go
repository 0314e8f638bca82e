package fhir_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

const foreign = "testdata/foreign"

// received reads a message that a system not ours wrote, with each old replaced by new.
func received(t testing.TB, name string, edits ...string) (fhir.Incoming, *fhir.Rejected) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(foreign, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%s does not hold %q", name, edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	in, err := fhir.Receive([]byte(text))
	why, _ := errors.AsType[*fhir.Rejected](err)
	if (err == nil) != (why == nil) {
		t.Fatalf("%s: the error is %v", name, err)
	}
	return in, why
}

var (
	details = events.Details{NHSNumber: "9990000018", Born: "1941-03-11", Family: "Example", Name: "Thomas Example"}
	trust   = "Riverside Hospital NHS Trust"
)

func TestReceive(t *testing.T) {
	zone := time.FixedZone("", 3600)
	for name, want := range map[string]fhir.Incoming{
		"uk-admission": {
			Reply:  fhir.Reply{Message: "6e4bafc5-3ac8-4c0e-9d6c-1f6d0b6f2d11", Event: "notification-admit", Endpoint: "https://pas.riverside.example/fhir"},
			Bundle: "0f3a7e0c-8a57-4d7e-9d0b-b0a3c5a7b611", Class: "IMP", Kind: events.Admission, Because: events.Fall,
			Occurred: time.Date(2026, 11, 22, 1, 50, 0, 0, time.UTC), Place: "Acute frailty unit, Riverside Hospital NHS Trust",
			Words:   "Bed 4. Family has been told.",
			From:    events.Origin{Message: "6e4bafc5-3ac8-4c0e-9d6c-1f6d0b6f2d11", Sender: trust, ODS: "RX0ZZ"},
			Patient: details,
		},
		"us-attendance": {
			Reply:  fhir.Reply{Message: "31ab7fe2-e0ad-41ea-bf7c-864d2e68a322", Event: "notification-admit", Endpoint: "https://example.org/Endpoints/P456", Wanted: "always"},
			Bundle: "admit-notification-message-bundle-01", Class: "EMER", Kind: events.Attendance,
			Occurred: time.Date(2026, 7, 12, 1, 22, 15, 0, zone), Place: "HOLY FAMILY HOSPITAL",
			From:    events.Origin{Message: "31ab7fe2-e0ad-41ea-bf7c-864d2e68a322", Sender: "HOLY FAMILY HOSPITAL"},
			Patient: events.Details{NHSNumber: "9990000018", Born: "1941-03-11", Family: "Example", Name: "Mr. Thomas Example"},
		},
		"discharge": {
			Reply:  fhir.Reply{Message: "m-2", Event: "notification-discharge", Endpoint: "https://pas.riverside.example/fhir"},
			Bundle: "b-2", Class: "IMP", Kind: events.Discharge, Occurred: time.Date(2026, 11, 27, 15, 20, 0, 0, time.UTC), Place: trust,
			From: events.Origin{Message: "m-2", Sender: trust}, Patient: details,
		},
		"fall": {
			Reply:  fhir.Reply{Message: "m-3", Event: "notification-new-condition", Endpoint: "https://alarm.riverside.example/fhir"},
			Bundle: "b-3", Kind: events.Fall, Occurred: time.Date(2026, 11, 22, 0, 30, 0, 0, time.UTC), Words: "Pendant alarm. He is up again.",
			From: events.Origin{Message: "m-3", Sender: "Riverside pendant alarms"}, Patient: details,
		},
	} {
		got, why := received(t, name)
		if why != nil {
			t.Errorf("%s: %+v", name, why.Issues)
			continue
		}
		same := got.Occurred.Equal(want.Occurred)
		got.Occurred, want.Occurred = time.Time{}, time.Time{}
		if g, w := toJSON(t, got), toJSON(t, want); g != w || !same {
			t.Errorf("%s is\n%s\nwant\n%s", name, g, w)
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReceiveOwnForm: another hub's message, or this hub's own coming back, is read as any other.
func TestReceiveOwnForm(t *testing.T) {
	for name, m := range messages() {
		got, err := fhir.Receive(encode(t, m))
		if m.Event.Correction != "" || m.Event.Kind == events.DocumentAdded { // not by message yet
			if err == nil {
				t.Errorf("%s is taken in as %+v", name, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %+v", name, err.(*fhir.Rejected).Issues)
			continue
		}
		if got.Kind != m.Event.Kind || got.Because != m.Event.Because || !got.Occurred.Equal(m.Event.Occurred) || got.Test != m.Event.Test {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

// TestReceiveRefuses: each complaint says which element, what is wrong in FHIR's word for it, and what to do.
func TestReceiveRefuses(t *testing.T) {
	const encounter = "Bundle.entry[1].resource"
	for name, c := range map[string]struct {
		message, old, new, code, at string
	}{
		"no bundle":            {"uk-admission", `"Bundle"`, `"Parameters"`, "structure", "Bundle"},
		"another type":         {"uk-admission", `"type": "message"`, `"type": "batch"`, "structure", "Bundle"},
		"name in other case":   {"uk-admission", `"type": "message"`, `"Type": "message"`, "structure", "Bundle"},
		"no bundle id":         {"uk-admission", `"id": "0f3a7e0c-8a57-4d7e-9d0b-b0a3c5a7b611",`, ``, "required", "Bundle.id"},
		"odd bundle id":        {"uk-admission", `0f3a7e0c-8a57`, `0f3a7e0c_8a57`, "value", "Bundle.id"},
		"header not first":     {"uk-admission", `"MessageHeader"`, `"Basic"`, "structure", "Bundle.entry[0].resource"},
		"unsupported event":    {"uk-admission", `notification-admit`, `notification-transfer`, "not-supported", "Bundle.entry[0].resource.eventCoding.code"},
		"another event system": {"uk-admission", `CodeSystem/notification-event`, `CodeSystem/events`, "not-supported", "Bundle.entry[0].resource.eventCoding.code"},
		"retraction":           {"uk-admission", `"code": "new"`, `"code": "delete"`, "not-supported", "Bundle.entry[0].resource.reason"},
		"focus of nothing":     {"uk-admission", `"focus": [{"reference": "urn:uuid:5fe62cd5`, `"focus": [{"reference": "urn:uuid:0fe62cd5`, "not-found", "Bundle.entry[0].resource.focus[0].reference"},
		"focus of wrong type":  {"uk-admission", `"focus": [{"reference": "urn:uuid:5fe62cd5-bfcf-4d3b-a1e9-80d6f75d6f82"`, `"focus": [{"reference": "urn:uuid:06e1f0dd-5fbe-4480-9bb4-6b54ec02d31b"`, "required", "Bundle.entry[0].resource.focus"},
		"planned":              {"uk-admission", `"in-progress"`, `"planned"`, "business-rule", encounter + ".status"},
		"cancelled":            {"uk-admission", `"in-progress"`, `"entered-in-error"`, "not-supported", encounter + ".status"},
		"home visit":           {"uk-admission", `"IMP"`, `"HH"`, "not-supported", encounter + ".class.code"},
		"no time":              {"uk-admission", `"start": "2026-11-22T01:50:00+00:00"`, `"x": 1`, "required", encounter + ".period.start"},
		"day alone":            {"uk-admission", `2026-11-22T01:50:00+00:00`, `2026-11-22`, "value", encounter + ".period.start"},
		"no zone":              {"uk-admission", `2026-11-22T01:50:00+00:00`, `2026-11-22T01:50:00`, "value", encounter + ".period.start"},
		"long words":           {"uk-admission", `Bed 4.`, strings.Repeat("x", 1000), "too-long", "Bundle.entry[5].resource.payload[0].contentString"},
		"long place":           {"uk-admission", `"name": "Acute frailty unit"`, `"name": "` + strings.Repeat("x", 121) + `"`, "too-long", "Bundle.entry[4].resource.name"},
		"not a list":           {"uk-admission", `"focus": [`, `"focus": {}, "other": [`, "structure", "Bundle.entry[0].resource.focus"},
		"not a string":         {"uk-admission", `"in-progress"`, `7`, "structure", encounter + ".status"},
		"unknown modifier":     {"uk-admission", `"status": "in-progress"`, `"modifierExtension": [{"url": "x"}], "status": "in-progress"`, "extension", encounter + ".modifierExtension"},
		"two of one address":   {"uk-admission", `"fullUrl": "urn:uuid:09188b81-0d1d-453c-b0fa-203ef88c794c"`, `"fullUrl": "urn:uuid:06e1f0dd-5fbe-4480-9bb4-6b54ec02d31b"`, "duplicate", "Bundle.entry[4].fullUrl"},
		"two patients":         {"uk-admission", `"resourceType": "Location"`, `"resourceType": "Patient"`, "business-rule", "Bundle.entry[4].resource"},
		"answer":               {"uk-admission", `"focus": [`, `"response": {"identifier": "x", "code": "ok"}, "focus": [`, "required", "Bundle.entry[0].resource.focus"},
		"condition of no fall": {"fall", `217082002`, `38341003`, "not-supported", "Bundle.entry[0].resource.focus"},
		"refuted":              {"fall", `"unconfirmed"`, `"refuted"`, "not-supported", "Bundle.entry[1].resource.verificationStatus"},
		"fall at no time":      {"fall", `"onsetDateTime"`, `"onsetAge"`, "required", "Bundle.entry[1].resource.onsetDateTime"},
		"said in error":        {"fall", `"completed"`, `"entered-in-error"`, "not-supported", "Bundle.entry[2].resource.status"},
		"another patient":      {"fall", `"subject": {"reference": "Patient/p"}, "sent"`, `"subject": {"reference": "Patient/q"}, "sent"`, "not-found", "Bundle.entry[2].resource.subject.reference"},
	} {
		_, why := received(t, c.message, c.old, c.new)
		if why == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		found := false
		for _, i := range why.Issues {
			found = found || i.Code == c.code && i.Expression == c.at
			if strings.Contains(i.Diagnostics, "Example") || i.Diagnostics == "" {
				t.Errorf("%s says %q", name, i.Diagnostics)
			}
		}
		if !found || why.Kind != events.Invalid || why.Broken {
			t.Errorf("%s: %+v", name, why.Issues)
		}
	}
}

// TestReceiveStrictJSON: what two readers could understand in two ways is understood in none.
func TestReceiveStrictJSON(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(foreign, "uk-admission.json"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, text := range map[string]string{
		"name twice":     strings.Replace(good, `"birthDate": `, `"birthDate": "1950-01-01", "birthDate": `, 1),
		"cut off":        good[:len(good)/2],
		"something else": good + "{}",
		"no UTF-8":       strings.Replace(good, "Thomas", "Thom\xffas", 1),
		"too deep":       strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
		"nothing":        "",
	} {
		_, err := fhir.Receive([]byte(text))
		if why, ok := errors.AsType[*fhir.Rejected](err); !ok || !why.Broken {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = fhir.Receive(make([]byte, fhir.MaxMessage+1))
	if events.KindOf(err) != events.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

// TestReceiveDetails: a number that is not certain is none, and so is half a date.
func TestReceiveDetails(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     events.Details
	}{
		"spaces":      {`"value": "9990000018"`, `"value": "999 000-0018"`, details},
		"oid":         {`https://fhir.nhs.uk/Id/nhs-number`, `urn:oid:2.16.840.1.113883.2.1.4.1`, details},
		"old name":    {`"name": [`, `"name": [{"use": "maiden", "family": "Other"}, `, details},
		"half a date": {`1941-03-11`, `1941`, events.Details{NHSNumber: details.NHSNumber, Family: details.Family, Name: details.Name}},
		"no number":   {`https://fhir.nhs.uk/Id/nhs-number`, `https://pas.example/mrn`, events.Details{Born: details.Born, Family: details.Family, Name: details.Name}},
		"two numbers": {`"identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number"`, `"identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000026"}, {"system": "https://fhir.nhs.uk/Id/nhs-number"`,
			events.Details{Born: details.Born, Family: details.Family, Name: details.Name}},
	} {
		if in, why := received(t, "uk-admission", c.old, c.new); why != nil || in.Patient != c.want {
			t.Errorf("%s: %+v, %v", name, in.Patient, why)
		}
	}
	if in, _ := received(t, "uk-admission", `"profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"]`, `"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]`); !in.Restricted {
		t.Error("the mark of confidentiality is lost")
	}
	if in, _ := received(t, "uk-admission", `"resourceType": "Bundle",`, `"resourceType": "Bundle", "meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]},`); !in.Test {
		t.Error("the mark of a test is lost")
	}
	if in, why := received(t, "uk-admission", `{"contentString": "Bed 4. Family has been told."}`, `{"contentString": "Bed 4."}, {"contentAttachment": {"url": "https://pas.example/1"}}`); why != nil || len(in.Notes) != 1 || in.Words != "Bed 4." {
		t.Errorf("an attachment: %+v, %v", in.Notes, why)
	}
}

// TestRespond: what goes back is read as what it says by the hub's own client.
func TestRespond(t *testing.T) {
	in, _ := received(t, "us-attendance")
	if !in.WantsBundle(true) || !in.WantsBundle(false) {
		t.Error("a response was asked for")
	}
	for _, code := range []string{fhir.ResponseOK, fhir.ResponseTransient, fhir.ResponseFatal} {
		b, err := in.Respond(hub, "ward-board", code, at(2, 15), fhir.Issue{Severity: "information", Code: "informational", Diagnostics: "Saved."})
		if got := fhir.ReadResponse(b); err != nil || got.Code != code {
			t.Errorf("%s is read as %+v, %v", code, got, err)
		}
		if !strings.Contains(string(b), `"identifier":"31ab7fe2-e0ad-41ea-bf7c-864d2e68a322"`) {
			t.Errorf("whose answer is it? %s", b)
		}
	}
}

func FuzzReceive(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(foreign, "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := fhir.Receive(b)
		why, ok := errors.AsType[*fhir.Rejected](err)
		if err != nil {
			if !ok || len(why.Issues) == 0 || len(why.Issues) > 20 {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if a := in.Answering; a != nil {
			if in.Kind != "" || !a.Answer.Known() || a.ByPerson() != (a.Role != "") || len([]rune(a.Line)) > events.MaxLine || in.Message == "" {
				t.Fatalf("taken as %+v %+v", in, *a)
			}
			return
		}
		if !in.Kind.Known() || in.Occurred.IsZero() || in.Message == "" || in.Bundle == "" || in.From.Message != in.Message ||
			len([]rune(in.Words)) > events.MaxWords || len([]rune(in.Place)) > events.MaxPlace {
			t.Fatalf("taken as %+v", in)
		}
		if in.Event == "" {
			t.Fatal("taken without an event")
		}
		if _, err := in.Respond(hub, "ward", fhir.ResponseOK, at(1, 0)); err != nil {
			t.Fatal(err)
		}
	})
}
