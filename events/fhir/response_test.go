package fhir_test

import (
	"testing"

	"carehub/events/fhir"
)

func TestReadResponse(t *testing.T) {
	answer := func(code string) string {
		return `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader",` +
			`"response":{"identifier":"x","code":"` + code + `"}}}]}`
	}
	duplicate := `{"resourceType":"OperationOutcome","issue":[{"code":"informational"},{"severity":"error","code":"duplicate"}]}`
	cases := map[string]struct {
		body string
		want fhir.Response
	}{
		"ok":        {answer("ok"), fhir.Response{Code: "ok"}},
		"transient": {answer("transient-error"), fhir.Response{Code: "transient-error"}},
		"fatal":     {answer("fatal-error"), fhir.Response{Code: "fatal-error"}},
		"duplicate": {duplicate, fhir.Response{Duplicate: true}},
		"both": {
			`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MessageHeader","response":{"code":"fatal-error"}}},` +
				`{"resource":7},{"resource":` + duplicate + `}]}`,
			fhir.Response{Code: "fatal-error", Duplicate: true},
		},
		"unknown code":     {answer("maybe"), fhir.Response{}},
		"another issue":    {`{"resourceType":"OperationOutcome","issue":[{"code":"invalid"}]}`, fhir.Response{}},
		"not an outcome":   {`{"resourceType":"Basic","issue":[{"code":"duplicate"}]}`, fhir.Response{}},
		"a lone header":    {`{"resourceType":"MessageHeader","response":{"code":"ok"}}`, fhir.Response{}},
		"nothing":          {``, fhir.Response{}},
		"a page":           {`<html>ok</html>`, fhir.Response{}},
		"a list":           {`["ok"]`, fhir.Response{}},
		"types all wrong":  {`{"resourceType":1,"entry":"ok","issue":{}}`, fhir.Response{}},
		"null entries":     {`{"resourceType":"Bundle","entry":[null,{},{"resource":null}]}`, fhir.Response{}},
		"our own outcomes": {string(fhir.Outcome("error", "duplicate", "")), fhir.Response{Duplicate: true}},
	}
	for name, c := range cases {
		if got := fhir.ReadResponse([]byte(c.body)); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	got := string(fhir.Outcome("error", "invalid", `<&> "`))
	want := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"<&> \""}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
