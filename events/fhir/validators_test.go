package fhir_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir/validate"
)

// TestValidators has independent engines judge everything that TestGolden holds the encoder to.
func TestValidators(t *testing.T) {
	run(t, golden)
}

// planted are errors that the engines must find, or their silence over the golden files means nothing. Each replaces the
// first old by new in a good message. Those beginning with trap are what golang-fhir-models does if nobody stops it.
var planted = []struct{ name, message, old, new string }{
	{"trap-empty-event-uri", "fall", `"destination":`, `"eventUri":"","destination":`},
	{"trap-empty-payload-members", "fall", `"payload":[{`, `"payload":[{"contentAttachment":{},"contentReference":{},`},
	{"trap-null-list", "fall", `"agent":[`, `"agent":null,"entity":[`},
	{"trap-no-resource-type", "fall", `"resourceType":"Location",`, ``},
	{"both-of-a-choice", "fall", `"destination":`, `"eventUri":"https://hub.example/e","destination":`},
	{"missing-status", "fall", `"status":"completed",`, ``},
	{"missing-class", "admission", `"class":`, `"serviceType":`},
	{"missing-source", "fall", `"source":`, `"sauce":`},
	{"empty-list", "fall", `"given":["Thomas"]`, `"given":[]`},
	{"empty-string", "fall", `"name":"Riverside Hospital"`, `"name":""`},
	{"no-break-space", "fall", `"name":"Riverside Hospital"`, "\"name\":\"Riverside\u00a0Hospital\""},
	{"not-a-list", "fall", `"given":["Thomas"]`, `"given":"Thomas"`},
	{"not-a-boolean", "fall", `"active":true`, `"active":"yes"`},
	{"unknown-element", "fall", `"birthDate":`, `"nhsNumber":"9990000018","birthDate":`},
	{"unknown-resource", "fall", `"resourceType":"Location"`, `"resourceType":"Place"`},
	{"status-not-in-binding", "admission", `"status":"in-progress"`, `"status":"admitted"`},
	{"gender-not-in-binding", "fall", `"gender":"male"`, `"gender":"M"`},
	{"no-such-code", "admission", `"code":"IMP"`, `"code":"INPATIENT"`},
	{"display-of-another-code", "admission", `"inpatient encounter"`, `"emergency"`},
	{"transmitter-is-no-code", "fall", `"code":"assembler","display":"Assembler"`, `"code":"transmitter"`},
	{"impossible-date", "fall", `"1941-03-11"`, `"1941-13-11"`},
	{"british-date", "fall", `"1941-03-11"`, `"11/03/1941"`},
	{"time-without-zone", "fall", `:07+01:00"`, `:07"`},
	{"period-ends-before-it-starts", "admission", `"period":{`, `"period":{"end":"2026-07-11T00:00:00+01:00",`},
	{"telecom-without-system", "fall", `"telecom":[{"system":"phone",`, `"telecom":[{`},
	{"organization-at-home", "fall", `{"system":"email",`, `{"use":"home","system":"email",`},
	{"extension-without-value", "fall", `"valueReference":`, `"id":"x","valueReference_":`},
	{"abated-but-active", "fall", `"onsetDateTime":`, `"abatementDateTime":"2026-07-13","onsetDateTime":`},
	{"total-in-a-message", "fall", `"type":"message"`, `"total":9,"type":"message"`},
	{"bundle-without-type", "fall", `"type":"message",`, ``},
	{"header-not-first", "fall", `"entry":[`, `"entry":[` + alone + `,`},
	{"entry-not-reachable", "fall", second, `,` + alone + second},
	{"full-url-twice", "fall", second, `,{"fullUrl":"` + hubURN + `","id":"`},
	{"full-url-is-not-the-id", "fall", second, second + `0`},
	{"reference-to-nothing", "fall", `"subject":{"reference":"urn:uuid:`, `"subject":{"reference":"urn:uuid:0`},
	{"reference-to-the-wrong-type", "minimal", `"subject":{"reference":`, `"subject":{"reference":"` + hubURN + `","id":`},
	{"narrative-not-escaped", "unicode", `<p>A&amp;E`, `<p>A&E`},
	{"narrative-with-script", "fall", `<p>Riverside Hospital</p>`, `<p>x</p><script>y</script>`},
	{"narrative-of-nothing", "fall", `<p>Riverside Hospital</p>`, `<p> </p>`},
}

var (
	alone = `{"fullUrl":"urn:uuid:11111111-1111-4111-8111-111111111111","resource":{"resourceType":"Basic",` +
		`"id":"11111111-1111-4111-8111-111111111111","code":{"text":"alone"}}}`
	second = `,{"fullUrl":"urn:uuid:` // where the second entry begins
	hubURN = "urn:uuid:" + events.UUID("organization", hub.URL)
)

func TestValidatorsFindPlantedErrors(t *testing.T) {
	dir := t.TempDir()
	good := messages()
	for _, p := range planted {
		was := string(encode(t, good[p.message]))
		is := strings.Replace(was, p.old, p.new, 1)
		if is == was {
			t.Fatalf("%s: nothing to plant it on", p.name)
		}
		if err := os.WriteFile(filepath.Join(dir, p.name+".json"), []byte(is), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "--expect-invalid", dir)
}

// TestLockNamesNoRegistry: where packages come from is for whoever installs them to say; what they are, the hashes say.
func TestLockNamesNoRegistry(t *testing.T) {
	b, err := os.ReadFile("validate/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(`"resolved"`)) || !bytes.Contains(b, []byte(`"integrity"`)) {
		t.Error("package-lock.json names a registry, or lacks hashes")
	}
}

// run gives npm the time that a slow line needs.
func run(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := validate.Run(ctx, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Log(lines[len(lines)-1])
}
