package fhir_test

import (
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

const answeredEvent = "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"

// TestReceiveAnswers: what a status and a sender say, and how the event can be named.
func TestReceiveAnswers(t *testing.T) {
	want := fhir.Answering{Event: answeredEvent, Answer: events.Acting, Name: "Siân Morris", Role: "hospice nurse", Line: "We'll ring the ward today."}
	with := func(change func(*fhir.Answering)) fhir.Answering {
		a := want
		change(&a)
		return a
	}
	const byID, response = `"identifier": {"system": "https://hub.example/id/event", "value": "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, `"response": {"identifier": "m-1", "code": "ok"}, "focus"`
	const focus, sender = `"focus": [{"reference": "urn:uuid:e3d2c9a4-7d3f-4d20-8b20-9f5c7e3d1a03"}]`, `"reference": "urn:uuid:f4e3dab5-8e40-4e31-9c31-a06d8f4e2b04"`
	const practitioner = `"resourceType": "Practitioner", "id": "a5f4ebc6-9f51-4f42-8d42-b17e905f3c05"`
	for name, c := range map[string]struct {
		edits []string
		want  fhir.Answering
	}{
		"a role's":        {nil, want},
		"seen":            {[]string{`"in-progress"`, `"completed"`}, with(func(a *fhir.Answering) { a.Answer = events.Seen })},
		"declined":        {[]string{`"in-progress"`, `"not-done"`}, with(func(a *fhir.Answering) { a.Answer = events.NotForUs })},
		"declined, why":   {[]string{`"in-progress"`, `"not-done", "statusReason": {"text": "Moved\naway"}`, `"payload": [{"contentString": "We'll ring the ward today."}]`, `"recipient": []`}, with(func(a *fhir.Answering) { a.Answer, a.Line = events.NotForUs, "Moved away" })},
		"two texts":       {[]string{`{"contentString": "We'll`, `{"contentString": " Thank\nyou."}, {"contentString": "We'll`}, with(func(a *fhir.Answering) { a.Line = "Thank you. We'll ring the ward today." })},
		"by address":      {[]string{byID, `"reference": "Communication/ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"`}, want},
		"by full address": {[]string{byID, `"reference": "https://hub.example/fhir/Communication/ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"`}, want},
		"by a copy": {[]string{byID, `"reference": "urn:uuid:copy"`, `  ]
}`, `, {"fullUrl": "urn:uuid:copy", "resource": {"resourceType": "Communication", "status": "completed", "identifier": [{"system": "x", "value": "1"}, {"system": "https://hub.example/id/event", "value": "ev-7f3k-aaaaaaaaaaaaaaaaaaaaaaaaaa"}]}}]}`}, want},
		"a response":             {[]string{`"focus"`, response}, with(func(a *fhir.Answering) { a.To = "m-1" })},
		"a practitioner's":       {[]string{sender, `"reference": "Practitioner/a5f4ebc6-9f51-4f42-8d42-b17e905f3c05"`, practitioner, practitioner + `, "qualification": [{"code": {"coding": [{"display": "GP"}]}}]`}, with(func(a *fhir.Answering) { a.Role = "GP" })},
		"named without a record": {[]string{`"reference": "urn:uuid:a5f4ebc6-9f51-4f42-8d42-b17e905f3c05"`, `"display": "Jo Smith"`}, with(func(a *fhir.Answering) { a.Name = "Jo Smith" })},
		"the header's sender":    {[]string{`"sender": {`, `"recipient": [{`, `b04"}`, `b04"}]`, `"destination"`, `"sender": {` + sender + `}, "destination"`}, want},
		"a device's": {[]string{sender, `"reference": "Device/d"`, `  ]
}`, `, {"resource": {"resourceType": "Device", "id": "d"}}]}`}, with(func(a *fhir.Answering) { a.Name, a.Role = "", "" })},
		"an organisation elsewhere": {[]string{sender, `"reference": "Organization/o", "display": "Jo Smith"`}, with(func(a *fhir.Answering) { a.Name, a.Role = "", "" })},
		"a bare response":           {[]string{focus, `"response": {"identifier": "m-1", "code": "ok"}`}, fhir.Answering{Answer: events.Seen, To: "m-1"}},
	} {
		in, why := received(t, "answer", c.edits...)
		if why != nil || in.Answering == nil || *in.Answering != c.want {
			t.Errorf("%s: %+v, %+v", name, in.Answering, why)
		}
	}
}

// TestReceiveNoAnswers: what is no answer of a named person is not taken for one.
func TestReceiveNoAnswers(t *testing.T) {
	const said, role, person = "Bundle.entry[1].resource", "Bundle.entry[2].resource", "Bundle.entry[3].resource"
	for name, c := range map[string]struct{ old, new, code, at string }{
		"no event":         {`"https://hub.example/id/event"`, `"https://hub.example/id/other"`, "required", said + ".inResponseTo"},
		"two events":       {`"inResponseTo": [`, `"inResponseTo": [{"reference": "Communication/ev-7f3k-baaaaaaaaaaaaaaaaaaaaaaaaa"}, `, "invalid", said + ".inResponseTo"},
		"no status":        {`"status": "in-progress",`, ``, "required", said + ".status"},
		"taken back":       {`"in-progress"`, `"entered-in-error"`, "not-supported", said + ".status"},
		"who is not there": {`"urn:uuid:f4e3dab5-8e40-4e31-9c31-a06d8f4e2b04"},`, `"Practitioner/9"},`, "not-found", said + ".sender.reference"},
		"a nameless one":   {`"family": "Morris", "given": ["Siân"]`, `"prefix": ["Dr"]`, "required", person + ".name"},
		"nobody":           {`"practitioner": {"reference": "urn:uuid:a5f4ebc6-9f51-4f42-8d42-b17e905f3c05"},`, ``, "required", role + ".practitioner"},
		"no role":          {`"code": [{"text": "hospice nurse"}]`, `"active": true`, "required", role + ".code"},
		"the patient's":    {`"resourceType": "PractitionerRole"`, `"resourceType": "Patient"`, "not-supported", said + ".sender"},
		"too long":         {`We'll ring`, strings.Repeat("ring ", 40), "too-long", said + ".payload[0].contentString"},
		"a late failure":   {`"focus"`, `"response": {"identifier": "m-1", "code": "fatal-error"}, "focus"`, "not-supported", "Bundle.entry[0].resource.response.code"},
		"two answers":      {`"focus": [`, `"focus": [{"reference": "Communication/e3d2c9a4-7d3f-4d20-8b20-9f5c7e3d1a03"}, `, "invalid", "Bundle.entry[0].resource.focus"},
		"a modified one":   {`"status": "in-progress"`, `"modifierExtension": [{"url": "x"}], "status": "in-progress"`, "extension", said + ".modifierExtension"},
	} {
		_, why := received(t, "answer", c.old, c.new)
		if why == nil || why.Issues[0].Code != c.code || why.Issues[0].Expression != c.at {
			t.Errorf("%s: %+v", name, why)
		}
	}
}
