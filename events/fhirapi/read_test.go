package fhirapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/fhir/validate"
	"carehub/events/fhirapi"
)

// TestEverythingIsWhereItSays reads all that a stay has told, follows every reference, and has the validators judge it.
func TestEverythingIsWhereItSays(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	fell := w.logs(thomas, events.Fall, "", 5, "frailty-team")
	out := w.logs(thomas, events.Discharge, in.ID, 9, "frailty-team")
	dir := t.TempDir()
	seen := map[string]bool{}
	var follow func(path string)
	follow = func(path string) {
		if seen[path] || strings.HasPrefix(path, "Device/") {
			return
		}
		seen[path] = true
		answer := w.get(path)
		body := answer.Body.String()
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &r); err != nil || answer.Code != http.StatusOK || r.ResourceType+"/"+r.ID != path {
			t.Errorf("%s: status %d: %v: %s", path, answer.Code, err, body)
		}
		if got := answer.Header().Get("Content-Type"); got != "application/fhir+json" {
			t.Errorf("%s: %s", path, got)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(path, "/", "-")+".json"), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		for rest := body; ; {
			_, after, found := strings.Cut(rest, `"reference":"`)
			if !found {
				return
			}
			to, _, _ := strings.Cut(after, `"`)
			if rest = after; !strings.HasPrefix(to, "urn:") {
				follow(to)
			}
		}
	}
	for _, e := range []events.Event{in, fell, out} {
		for _, kind := range []string{"Communication/", "Provenance/", "Bundle/", "Location/"} {
			follow(kind + e.ID)
		}
	}
	follow("Organization/frailty-team")
	for _, path := range []string{"Encounter/" + in.ID, "Condition/" + fell.ID, "Patient/p-7f3k", "RelatedPerson/" + events.RelatedID("ruth", thomas.ID), "Organization/hub"} {
		if !seen[path] {
			t.Errorf("nothing refers to %s", path)
		}
	}
	if report, err := validate.Run(t.Context(), dir); err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

// TestStay: an Encounter is the stay as it is now, and was as each event told of it.
func TestStay(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	w.logs(thomas, events.Fall, "", 5, "frailty-team")
	at := "Encounter/" + in.ID
	first := w.get(at)
	if tag := first.Header().Get("ETag"); tag != `W/"`+in.ID+`"` || !strings.Contains(first.Body.String(), `"status":"in-progress"`) {
		t.Errorf("%s: %s", tag, first.Body)
	}
	if got := w.get(at, "If-None-Match", first.Header().Get("ETag")); got.Code != http.StatusNotModified || got.Body.Len() != 0 {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	out := w.logs(thomas, events.Discharge, in.ID, 9, "frailty-team")
	now := w.get(at, "If-None-Match", first.Header().Get("ETag"))
	var e struct {
		Status string
		Period struct{ Start, End string }
		Meta   struct{ VersionID, LastUpdated string }
	}
	body := now.Body.String()
	if err := json.Unmarshal([]byte(body), &e); err != nil || now.Code != http.StatusOK {
		t.Fatalf("status %d: %v", now.Code, err)
	}
	if e.Status != "finished" || e.Period.Start != "2026-07-12T02:13:07+01:00" || e.Period.End != "2026-07-12T02:22:07+01:00" ||
		e.Meta.VersionID != out.ID || e.Meta.LastUpdated != "2026-07-12T02:23:07+01:00" || now.Header().Get("Last-Modified") != "Sun, 12 Jul 2026 01:23:07 GMT" {
		t.Errorf("%s", body)
	}
	for version, status := range map[string]string{in.ID: "in-progress", out.ID: "finished"} {
		if got := w.get(at + "/_history/" + version); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"status":"`+status+`"`) {
			t.Errorf("%s: status %d: %s", version, got.Code, got.Body)
		}
	}
	if found := w.search("Encounter?patient=" + thomas.ID); !slices.Equal(found.ids(), []string{in.ID}) || found.Entry[0].Resource.Meta.VersionID != out.ID {
		t.Errorf("%+v", found)
	}
	w.told = func(rec *events.Record) bool { return rec.Event.ID != in.ID } // told of the discharge alone
	if got := w.get(at); got.Code != http.StatusOK || strings.Contains(got.Body.String(), `"start"`) || !strings.Contains(got.Body.String(), "finished") {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	if got := w.get(at + "/_history/" + in.ID); got.Code != http.StatusNotFound {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
}

// TestBundle: the message is the one that the provider got, but for the id that it is read by.
func TestBundle(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "hospice", "frailty-team")
	st, err := w.store.Find(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := fhir.Open(st.Message, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := envelope.To(fhir.Destination{Recipient: "frailty-team", Name: "Name of frailty-team", Endpoint: sender.URL + "/id/subscriber/frailty-team"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(sent), `"id":"`+events.UUID("bundle", in.ID, "frailty-team")+`"`, `"id":"`+in.ID+`"`, 1)
	if got := w.get("Bundle/" + in.ID); got.Body.String() != want {
		t.Errorf("got %s\nwant %s", got.Body, want)
	}
}

// TestNothingOfOthers: what is not the asker's is answered, byte for byte, as what does not exist.
func TestNothingOfOthers(t *testing.T) {
	w := newWard(t)
	mine := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	untold := w.logs(thomas, events.Fall, "", 1, "hospice")
	theirs := w.logs(other, events.Admission, "", 2, "frailty-team") // told once, and not named any more
	nobody := "ev-none-" + mine.ID[len(mine.ID)-26:]
	ids := map[string][3]string{ // one that does not exist, then two that the asker may not see
		"Patient":       {"p-none", other.ID, other.ID},
		"RelatedPerson": {events.RelatedID("ruth", "p-none"), events.RelatedID("ruth", other.ID), events.RelatedID("tom", thomas.ID)},
		"Organization":  {"nobody", "hospice", "surgery"},
	}
	for _, resource := range fhirapi.Types {
		list, special := ids[resource]
		if !special {
			list = [3]string{nobody, theirs.ID, untold.ID}
		}
		want := w.get(resource + "/" + list[0])
		for _, id := range list[1:] {
			got := w.get(resource + "/" + id)
			if got.Code != http.StatusNotFound || got.Body.String() != want.Body.String() {
				t.Errorf("%s/%s: status %d: %s", resource, id, got.Code, got.Body)
			}
			version := w.get(resource + "/" + id + "/_history/" + mine.ID)
			if version.Code != http.StatusNotFound || version.Body.String() != want.Body.String() {
				t.Errorf("%s/%s: status %d: %s", resource, id, version.Code, version.Body)
			}
			if found := w.search(resource + "?_id=" + id); len(found.Entry) != 0 {
				t.Errorf("%+v", found)
			}
		}
	}
	for _, path := range []string{"Encounter?patient=", "Communication?patient=", "Bundle?patient=", "RelatedPerson?patient="} {
		none := strings.ReplaceAll(w.get(path+"p-none").Body.String(), "p-none", other.ID)
		if got := w.get(path + other.ID).Body.String(); got != none {
			t.Errorf("%s: %s, for nobody %s", path, got, none)
		}
	}
	if found := w.search("Communication?patient=p-7f3k"); !slices.Equal(found.ids(), []string{mine.ID}) {
		t.Errorf("%+v", found)
	}
	for _, resource := range []string{"Patient", "Encounter"} {
		name := map[string]string{"Patient": "identifier", "Encounter": "patient:identifier"}[resource]
		unknown := w.ask("POST", "/fhir/"+resource+"/_search", name+"="+nhs+"|9990000034")
		if got := w.ask("POST", "/fhir/"+resource+"/_search", name+"="+nhs+"|"+other.NHSNumber); got.Code != http.StatusOK || got.Body.String() != unknown.Body.String() {
			t.Errorf("%s", got.Body)
		}
	}
}

// TestRefusals: every error is an OperationOutcome that says what to do, and quotes nothing.
func TestRefusals(t *testing.T) {
	w := newWard(t)
	w.logs(thomas, events.Admission, "", 0, "frailty-team")
	const patient = "/fhir/Patient/p-7f3k"
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code, says         string
	}{
		"no token":             {"GET", patient, "", []string{"Authorization", ""}, 401, "login", "token"},
		"out of scope":         {"GET", patient, "", []string{"Authorization", "Bearer narrow"}, 403, "forbidden", "scope"},
		"not there":            {"GET", "/fhir/Patient/p-none", "", nil, 404, "not-found", "no such resource"},
		"not an id":            {"GET", "/fhir/Patient/a*b", "", nil, 404, "not-found", "no such resource"},
		"not served":           {"GET", "/fhir/Observation/1", "", nil, 404, "not-found", "not served"},
		"wrong method":         {"PUT", patient, "", nil, 405, "invalid", "GET, HEAD"},
		"XML by header":        {"GET", patient, "", []string{"Accept", "application/fhir+xml"}, 406, "invalid", "JSON only"},
		"XML by parameter":     {"GET", patient + "?_format=xml", "", nil, 406, "invalid", "JSON only"},
		"R5":                   {"GET", patient, "", []string{"Accept", "application/fhir+json; fhirVersion=5.0"}, 406, "invalid", "R4"},
		"JSON refused":         {"GET", patient, "", []string{"Accept", "application/json;q=0"}, 406, "invalid", "JSON only"},
		"NHS number as id":     {"GET", "/fhir/Patient/9990000018", "", nil, 400, "invalid", "_search"},
		"NHS number in URL":    {"GET", "/fhir/Patient?identifier=" + nhs + "%7C9990000018", "", nil, 400, "invalid", "_search"},
		"NHS number, grouped":  {"GET", "/fhir/Patient?identifier=999%20000%200018", "", nil, 400, "invalid", "_search"},
		"NHS number of POST":   {"POST", "/fhir/Patient/_search?identifier=" + nhs + "%7C9990000018", "", nil, 400, "invalid", "_search"},
		"nobody asked for":     {"GET", "/fhir/Encounter", "", nil, 400, "invalid", "patient or _id"},
		"two patients":         {"GET", "/fhir/Encounter?patient=p-7f3k&patient=p-8g4m", "", nil, 400, "invalid", "one patient"},
		"no patient":           {"GET", "/fhir/Encounter?patient=dad", "", nil, 400, "invalid", "Patient/p-7f3k"},
		"modifier":             {"GET", "/fhir/Encounter?patient:missing=true", "", nil, 400, "invalid", ":missing"},
		"prefix":               {"GET", "/fhir/Encounter?patient=p-7f3k&_lastUpdated=ap2026", "", nil, 400, "invalid", "prefixes"},
		"time without zone":    {"GET", "/fhir/Encounter?patient=p-7f3k&_lastUpdated=gt2026-07-12T02:14:07", "", nil, 400, "invalid", "zone"},
		"count":                {"GET", "/fhir/Encounter?patient=p-7f3k&_count=many", "", nil, 400, "invalid", "_count"},
		"strict":               {"GET", "/fhir/Encounter?patient=p-7f3k&class=IMP", "", []string{"Prefer", "handling=strict"}, 400, "invalid", "class"},
		"page of nobody":       {"GET", "/fhir/Encounter?_page=abc", "", nil, 400, "invalid", "not one of yours"},
		"form of another type": {"POST", "/fhir/Patient/_search", "{}", []string{"Content-Type", "application/json"}, 415, "invalid", "form-urlencoded"},
		"too long":             {"POST", "/fhir/Patient/_search", "a=" + strings.Repeat("x", 17<<10), nil, 413, "too-long", "too long"},
	} {
		answer := w.ask(c.method, c.path, c.body, c.headers...)
		var o struct {
			ResourceType string
			Issue        []struct{ Code, Diagnostics string }
		}
		body := answer.Body.String()
		if err := json.Unmarshal([]byte(body), &o); err != nil || answer.Code != c.status || o.ResourceType != "OperationOutcome" ||
			o.Issue[0].Code != c.code || !strings.Contains(o.Issue[0].Diagnostics, c.says) || strings.Contains(strings.ReplaceAll(body, "p-7f3k.", ""), "p-7f3k") {
			t.Errorf("%s: status %d: %v: %s", name, answer.Code, err, body)
		}
	}
	if got := w.ask("PUT", patient, "").Header().Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %s", got)
	}
}

func TestAccepted(t *testing.T) {
	w := newWard(t)
	w.logs(thomas, events.Admission, "", 0, "frailty-team")
	for _, accept := range []string{"", "*/*", "application/*;q=0.1", "application/json", "text/html, application/fhir+json; fhirVersion=4.0", "application/fhir+xml;q=0.9,application/fhir+json;q=0.5"} {
		if got := w.get("Patient/p-7f3k", "Accept", accept); got.Code != http.StatusOK {
			t.Errorf("%q: status %d", accept, got.Code)
		}
	}
	if got := w.get("Patient/p-7f3k?_format=json", "Accept", "application/fhir+xml"); got.Code != http.StatusOK {
		t.Errorf("status %d", got.Code)
	}
	head := w.ask(http.MethodHead, "/fhir/Patient/p-7f3k", "")
	if get := w.get("Patient/p-7f3k"); head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") || head.Header().Get("ETag") == "" {
		t.Errorf("status %d: %v", head.Code, head.Header())
	}
	got := w.get("Patient/p-7f3k", "If-Modified-Since", "Sun, 12 Jul 2026 01:14:07 GMT")
	if earlier := w.get("Patient/p-7f3k", "If-Modified-Since", "Sun, 12 Jul 2026 01:14:06 GMT"); got.Code != http.StatusNotModified || earlier.Code != http.StatusOK {
		t.Errorf("status %d, %d", got.Code, earlier.Code)
	}
}

// TestOnRecord: each read is on record before it is answered, refused ones too, and without a record there is no answer.
func TestOnRecord(t *testing.T) {
	w := newWard(t)
	in := w.logs(thomas, events.Admission, "", 0, "frailty-team")
	w.get("Encounter/"+in.ID, "X-Request-Id", "r-1")
	w.get("Patient/p-none")
	w.get("Patient/p-7f3k", "Authorization", "")
	w.ask("POST", "/fhir/Encounter/_search", "patient.identifier="+nhs+"|9990000018&_count=5")
	w.get("Encounter?patient=p-7f3k&_lastUpdated=ge2026")
	by := events.Actor{Kind: events.System, ID: "frailty-team"}
	want := []fhirapi.Access{
		{By: by, Interaction: "read", Type: "Encounter", ID: in.ID, Patient: "p-7f3k", Request: "r-1"},
		{By: by, Interaction: "read", Type: "Patient", ID: "p-none", Patient: "p-none", Refused: events.NotFound},
		{By: by, Interaction: "search-type", Type: "Encounter", Patient: "p-7f3k", Query: "_count=5"},
		{By: by, Interaction: "search-type", Type: "Encounter", Patient: "p-7f3k", Query: "_count=20&_lastUpdated=ge2026&patient=Patient%2Fp-7f3k"},
	}
	for i := range w.trail {
		w.trail[i].At, w.trail[i].From = want[0].At, ""
	}
	if !slices.Equal(w.trail, want) {
		t.Errorf("got %+v\nwant %+v", w.trail, want)
	}
	w.failing = &events.Error{Kind: events.Unavailable, Message: "the trail is away"}
	for _, path := range []string{"Patient/p-7f3k", "Encounter?patient=p-7f3k", "Patient/p-none"} {
		if got := w.get(path); got.Code != http.StatusServiceUnavailable || strings.Contains(got.Body.String(), "Thomas") || got.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d: %s", path, got.Code, got.Body)
		}
	}
}
