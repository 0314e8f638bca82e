package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

// bench is the two doors over a station, with what was logged.
type bench struct {
	*station
	log bytes.Buffer
}

func newBench() *bench { return &bench{station: newStation()} }

func (b *bench) authenticate(r *http.Request) (events.Actor, error) {
	switch r.Header.Get("Authorization") {
	case "Bearer ward":
		return ward, nil
	case "Bearer ruth":
		return events.Actor{}, &events.Error{Kind: events.Forbidden, Message: "Only systems."}
	}
	return events.Actor{}, &events.Error{Kind: events.Unauthenticated, Message: "Send a token."}
}

func sender() events.Sender {
	return events.Sender{Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123"}
}

// sends posts a message to $process-message. Headers are name and value in turn.
func (b *bench) sends(body string, headers ...string) *httptest.ResponseRecorder {
	h := &MessageHandler{Receiver: b.Receiver, Authenticate: b.authenticate, Hub: sender, Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	return ask(h, "/fhir/$process-message", body, append([]string{"Authorization", "Bearer ward", "Content-Type", "application/fhir+json"}, headers...))
}

func ask(h http.Handler, path, body string, headers []string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// foreign is a message as a hospital sends it, with each old replaced by new.
func foreign(t testing.TB, edits ...string) string {
	t.Helper()
	b, err := os.ReadFile("../fhir/testdata/foreign/uk-admission.json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("there is no %q", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return text
}

// answered is as much of an OperationOutcome as is looked at here.
type answered struct {
	ResourceType string
	Issue        []struct {
		Severity, Code, Diagnostics string
		Expression                  []string
	}
}

func outcomeOf(t *testing.T, w *httptest.ResponseRecorder) answered {
	t.Helper()
	var o answered
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 ||
		w.Header().Get("Content-Type") != "application/fhir+json" {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	return o
}

func TestMessageAnswers(t *testing.T) {
	b := newBench()
	w := b.sends(foreign(t))
	o := outcomeOf(t, w)
	if w.Code != http.StatusOK || o.Issue[0].Severity != "information" || !strings.Contains(o.Issue[0].Diagnostics, b.store.stored[0].Record.Event.ID) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if again := b.sends(foreign(t)); again.Code != w.Code || again.Body.String() != w.Body.String() {
		t.Errorf("a repeat: %d %s", again.Code, again.Body)
	}
	w = b.sends(foreign(t, "1941-03-11", "1941-11-03", "0f3a7e0c", "1f3a7e0c", "6e4bafc5", "7e4bafc5", "6e4bafc5", "7e4bafc5"))
	if o := outcomeOf(t, w); w.Code != http.StatusAccepted || o.Issue[0].Severity != "warning" || !strings.Contains(o.Issue[0].Diagnostics, "900123") {
		t.Errorf("held: %d %s", w.Code, w.Body)
	}
	if e := b.store.stored[0].Record.Event; e.Because != events.Fall || e.From.ODS != "RX0ZZ" {
		t.Errorf("stored %+v", e)
	}
	for _, secret := range []string{"9990000018", "Thomas", "Example", "Bed 4", "1941"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("logged %s: %s", secret, b.log.String())
		}
	}
}

// TestMessageRefusals: the status, FHIR's word for it, where it is, and that nothing was stored.
func TestMessageRefusals(t *testing.T) {
	good := foreign(t)
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
		at      string
	}{
		"no token":           {good, []string{"Authorization", ""}, 401, "login", ""},
		"a carer":            {good, []string{"Authorization", "Bearer ruth"}, 403, "forbidden", ""},
		"xml":                {good, []string{"Content-Type", "application/fhir+xml"}, 415, "invalid", ""},
		"no type":            {good, []string{"Content-Type", ""}, 415, "invalid", ""},
		"r5":                 {good, []string{"Content-Type", "application/fhir+json; fhirVersion=5.0"}, 415, "invalid", ""},
		"compressed":         {good, []string{"Content-Encoding", "gzip"}, 415, "invalid", ""},
		"too large":          {strings.Repeat(" ", fhir.MaxMessage) + good, nil, 413, "too-long", ""},
		"not JSON":           {good[:100], nil, 400, "structure", ""},
		"no bundle":          {"{}", nil, 422, "structure", "Bundle"},
		"unsupported":        {foreign(t, "notification-admit", "notification-transfer"), nil, 422, "not-supported", "Bundle.entry[0].resource.eventCoding.code"},
		"without zone":       {foreign(t, "2026-11-22T01:50:00+00:00", "2026-11-22T01:50:00"), nil, 422, "value", "Bundle.entry[1].resource.period.start"},
		"in a year 0":        {foreign(t, "2026-11-22T01:50:00+00:00", "0000-11-22T01:50:00Z"), nil, 422, "value", "Bundle.entry[1].resource.period.start"},
		"a name given twice": {foreign(t, `"birthDate"`, `"birthDate": "1950-01-01", "birthDate"`), nil, 400, "structure", ""},
	} {
		b := newBench()
		w := b.sends(c.body, c.headers...)
		o := outcomeOf(t, w)
		at := ""
		if len(o.Issue[0].Expression) > 0 {
			at = o.Issue[0].Expression[0]
		}
		if w.Code != c.status || o.Issue[0].Code != c.code || at != c.at || o.Issue[0].Severity != "error" || o.Issue[0].Diagnostics == "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		held, _ := b.List(t.Context())
		if len(b.store.stored) != 0 || len(held) != 0 {
			t.Errorf("%s: %d events, %d held", name, len(b.store.stored), len(held))
		}
		if (w.Header().Get("WWW-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", name, w.Header().Get("WWW-Authenticate"))
		}
	}
	b := newBench()
	h := &MessageHandler{Receiver: b.Receiver, Authenticate: b.authenticate, Hub: sender, Log: slog.New(slog.DiscardHandler)}
	if w := ask(h, "/fhir/$process-message?async=true", good, []string{"Authorization", "Bearer ward", "Content-Type", "application/fhir+json"}); w.Code != 422 {
		t.Errorf("async: %d %s", w.Code, w.Body)
	}
}

func TestMessageReusedIDs(t *testing.T) {
	b := newBench()
	b.sends(foreign(t))
	for name, body := range map[string]string{
		"envelope": foreign(t, "6e4bafc5", "7e4bafc5", "6e4bafc5", "7e4bafc5"),
		"message":  foreign(t, "0f3a7e0c", "1f3a7e0c", "Bed 4", "Bed 5"),
	} {
		w := b.sends(body)
		// Not "duplicate": senders take that for a message that got through.
		if o := outcomeOf(t, w); w.Code != http.StatusConflict || o.Issue[0].Code != "conflict" || fhir.ReadResponse(w.Body.Bytes()).Duplicate {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := b.sends(foreign(t, "0f3a7e0c", "1f3a7e0c")); w.Code != http.StatusOK || len(b.store.stored) != 1 {
		t.Errorf("the same message in a new envelope: %d %s", w.Code, w.Body)
	}
}

func TestMessageStoreAway(t *testing.T) {
	b := newBench()
	b.store.fail = errors.New("away")
	w := b.sends(foreign(t))
	if o := outcomeOf(t, w); w.Code != http.StatusServiceUnavailable || o.Issue[0].Code != "transient" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.store.fail = nil
	if w := b.sends(foreign(t)); w.Code != http.StatusOK || len(b.store.stored) != 1 {
		t.Errorf("the repeat: %d %s", w.Code, w.Body)
	}
}

// TestMessageResponses: a Bundle where the sender asked for one, naming the request.
func TestMessageResponses(t *testing.T) {
	asked := func(wanted string) []string {
		return []string{`"eventCoding"`, `"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/messageheader-response-request", "valueCode": "` + wanted + `"}], "eventCoding"`}
	}
	planned := []string{`"in-progress"`, `"planned"`}
	for _, c := range []struct {
		wanted string
		edits  []string
		away   bool
		status int
		code   string
	}{
		{"always", nil, false, 200, "ok"}, {"on-success", nil, false, 200, "ok"}, {"on-error", nil, false, 200, ""}, {"never", nil, false, 200, ""},
		{"always", planned, false, 422, "fatal-error"}, {"on-success", planned, false, 422, ""}, {"on-error", planned, false, 422, "fatal-error"}, {"never", planned, false, 422, ""},
		{"always", nil, true, 503, "transient-error"}, {"unheard-of", nil, false, 200, ""},
		{"always", []string{"1941-03-11", "1941-11-03"}, false, 202, "ok"},
	} {
		b := newBench()
		if c.away {
			b.store.fail = errors.New("away")
		}
		body := foreign(t, append(asked(c.wanted), c.edits...)...)
		w := b.sends(body)
		if got := fhir.ReadResponse(w.Body.Bytes()); w.Code != c.status || got.Code != c.code {
			t.Errorf("%s, %v: %d %s", c.wanted, c.edits, w.Code, w.Body)
		}
		if c.code != "" && !strings.Contains(w.Body.String(), `"identifier":"6e4bafc5-3ac8-4c0e-9d6c-1f6d0b6f2d11"`) {
			t.Errorf("%s: whose answer is it? %s", c.wanted, w.Body)
		}
		if again := b.sends(body); w.Code < 300 && again.Body.String() != w.Body.String() {
			t.Errorf("%s: a repeat is answered %s, first %s", c.wanted, again.Body, w.Body)
		}
	}
}

// posts posts to POST /events.
func (b *bench) posts(body string, headers ...string) *httptest.ResponseRecorder {
	h := &Handler{Intake: b.intake, Receiver: b.Receiver, Log: slog.New(slog.NewTextHandler(&b.log, nil)), Authenticate: func(r *http.Request) (events.Actor, error) {
		if r.Header.Get("Authorization") == "Bearer ruth" {
			return ruth, nil
		}
		return b.authenticate(r)
	}}
	return ask(h, "/events", body, append([]string{"Authorization", "Bearer ward", "Content-Type", "application/cloudevents+json"}, headers...))
}

const admitEvent = `{"specversion": "1.0", "id": "e1", "source": "uk.example.hospital", "type": "care-encounter-admit-1",
  "time": "2026-11-20T14:00:00Z", "subject": "999 000 0018", "filtering": {"encounterclass": "IMP"},
  "data": {"birth_date": "1941-03-11", "family_name": "Example", "place": "Ward 7", "words": "Bed 4."}}`

func TestCloudEvent(t *testing.T) {
	b := newBench()
	w := b.posts(admitEvent)
	var first told
	if err := json.Unmarshal(w.Body.Bytes(), &first); err != nil || w.Code != http.StatusCreated || first.ID != b.store.stored[0].Record.Event.ID {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	e := b.store.stored[0].Record.Event
	if e.Kind != events.Admission || e.Place != "Ward 7" || e.Words != "Bed 4." || !e.Occurred.Equal(friday.Add(-60*60e9)) || e.From.Message != "uk.example.hospital e1" {
		t.Errorf("stored %+v", e)
	}
	if again := b.posts(admitEvent); again.Code != w.Code || again.Body.String() != w.Body.String() {
		t.Errorf("a repeat: %d %s", again.Code, again.Body)
	}
	if w := b.posts(strings.Replace(admitEvent, "Bed 4", "Bed 5", 1)); w.Code != http.StatusConflict {
		t.Errorf("another event of the same id and source: %d %s", w.Code, w.Body)
	}
	if w := b.posts(strings.Replace(admitEvent, ".hospital", ".hospice", 1)); w.Code != http.StatusCreated || len(b.store.stored) != 2 {
		t.Errorf("the same id of another source: %d %s", w.Code, w.Body)
	}
}

// TestCloudEventWithNumberAlone: a number is not enough to tell anybody.
func TestCloudEventWithNumberAlone(t *testing.T) {
	b := newBench()
	alone := `{"specversion": "1.0", "id": "e1", "source": "s", "type": "care-fall-1", "time": "2026-11-20T14:00:00Z", "subject": "9990000018"}`
	w := b.posts(alone)
	if w.Code != http.StatusAccepted || len(b.store.stored) != 0 || len(b.alarms) != 1 || strings.Contains(w.Body.String(), "9990000018") {
		t.Errorf("%d %s, %d events, %d alarms", w.Code, w.Body, len(b.store.stored), len(b.alarms))
	}
	unknown := newBench().posts(strings.Replace(alone, "9990000018", "9990000034", 1))
	if unknown.Code != w.Code || unknown.Body.String() != w.Body.String() {
		t.Errorf("an unknown number is answered %d %s", unknown.Code, unknown.Body)
	}
}

func TestCloudEventRefusals(t *testing.T) {
	for name, c := range map[string]struct{ old, new, says string }{
		"version":         {`"1.0"`, `"0.3"`, "specversion"},
		"no id":           {`"id": "e1", `, ``, `"id"`},
		"no source":       {`"source": "uk.example.hospital", `, ``, `"source"`},
		"space in source": {`uk.example.hospital`, `uk example`, `"source"`},
		"unknown type":    {`care-encounter-admit-1`, `care-encounter-transfer-1`, "care-fall-1"},
		"no time":         {`"time": "2026-11-20T14:00:00Z", `, ``, "time"},
		"no zone":         {`14:00:00Z`, `14:00:00`, "zone"},
		"no subject":      {`"subject": "999 000 0018", `, ``, "NHS number"},
		"twice":           {`"id": "e1"`, `"id": "e1", "id": "e2"`, "twice"},
		"unknown field":   {`"place"`, `"Place"`, "unknown"},
		"not text":        {`"Ward 7"`, `7`, "text"},
		"binary data":     {`"data": {`, `"data_base64": "e30=", "data": {`, "data_base64"},
		"long words":      {`Bed 4`, strings.Repeat("x", 1001), "words"},
		"because":         {`"place"`, `"because": "discharge", "place"`, "because"},
	} {
		b := newBench()
		if !strings.Contains(admitEvent, c.old) {
			t.Fatal(name)
		}
		w := b.posts(strings.Replace(admitEvent, c.old, c.new, 1))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.says, `"`, `\"`)) || len(b.store.stored) != 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	b := newBench()
	for name, headers := range map[string][]string{
		"binary mode": {"Content-Type", "application/json", "Ce-Id", "e1", "Ce-Specversion", "1.0"},
		"batch":       {"Content-Type", "application/cloudevents-batch+json"},
	} {
		if w := b.posts(admitEvent, headers...); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "structured mode") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := b.posts(admitEvent, "Authorization", "Bearer ruth"); w.Code != http.StatusForbidden {
		t.Errorf("a carer: %d %s", w.Code, w.Body)
	}
}

func FuzzCloudEvent(f *testing.F) {
	f.Add([]byte(admitEvent))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ReadCloudEvent(body)
		if err != nil {
			if events.KindOf(err) != events.Invalid {
				t.Fatal(err)
			}
			return
		}
		if !r.Kind.Known() || r.Occurred.IsZero() || !strings.Contains(r.From.Message, " ") || len(r.From.Message) > 256 ||
			len([]rune(r.Words)) > events.MaxWords || len([]rune(r.Place)) > events.MaxPlace {
			t.Fatalf("taken as %+v", r)
		}
	})
}
