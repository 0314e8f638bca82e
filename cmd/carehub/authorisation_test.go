package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/fhirapi"
	"carehub/events/intake"
	"carehub/subscribers/oauth"
)

// attempt is a request by which somebody might learn of a patient. {patient}, {event}, {nhs} and {related} stand for the
// pseudonym, an event, the NHS number and the carer's logical id.
type attempt struct {
	method, path, body, media string
	// empty: what there is to see is a list, so that the answer is an empty one: 200. shut: not even a provider who is told of
	// the patient gets anything by it.
	empty, shut bool
	carers      bool // only carers who have signed in get anything by it: TestCarersPages
}

const formMedia = "application/x-www-form-urlencoded"

// open says of a route that it is about no patient: what everybody may have.
var open []attempt

// authorisation is every route of the hub, and how a provider with valid credentials might try to get at a patient of
// others by it. A new route needs a row here.
func authorisation() map[string][]attempt {
	table := map[string][]attempt{
		"GET /healthz":                              open,
		"GET /readyz":                               open,
		"GET /metrics":                              open,
		"GET /fhir/metadata":                        open,
		"GET /.well-known/smart-configuration":      open,
		"GET /fhir/.well-known/smart-configuration": open,
		"POST /oauth/token":                         open,
		"POST /fhir/$process-message":               open, // shows nothing of anybody; that its answers do not tell who is known is tested in events/intake
		"POST /events":                              {{method: "POST", path: "/events", body: `{"patient":"{patient}","kind":"fall"}`, media: "application/json", shut: true}},
		"GET /events":                               {{method: "GET", path: "/events?patient={patient}", empty: true}, {method: "GET", path: "/events?patient={patient}&before={event}", empty: true}},
		"GET /events/{id}":                          {{method: "GET", path: "/events/{event}"}},
		"GET /events/{id}/stream":                   {{method: "GET", path: "/events/{event}/stream"}},
		"POST /events/{id}/ack":                     {{method: "POST", path: "/events/{event}/ack", body: `{"answer":"seen","name":"Jo"}`, media: "application/json"}},
		"POST /events/{id}/correct":                 {{method: "POST", path: "/events/{event}/correct", body: `{"correction":"retracted"}`, media: "application/json", shut: true}},
		"GET /m/{token}/document/{document}":        {{method: "GET", path: "/m/{event}/document/{document}", shut: true}},
		"GET /fhir/Binary/{id}":                     {{method: "GET", path: "/fhir/Binary/{document}"}, {method: "HEAD", path: "/fhir/Binary/{document}"}},
		"/m/{token}":                                {{method: "GET", path: "/m/{event}", shut: true}, {method: "POST", path: "/m/{event}", body: "code=123456", media: formMedia, shut: true}},
		"GET /signin":                               open, "POST /signout": open,
		"GET /signin/{token}":           {{method: "GET", path: "/signin/{event}", shut: true}},
		"POST /signin/{token}":          {{method: "POST", path: "/signin/{event}", body: "once=1", media: formMedia, shut: true}},
		"GET /signin/oidc/{subscriber}": open, "GET /signin/oidc/{subscriber}/callback": open,
		"GET /signin/passkey.js": open, "POST /signin/passkey/challenge": open, "POST /signin/passkey": open,
		"GET /signin/passkey": open, "POST /signin/passkey/options": open, "POST /signin/passkey/add": open, // of who has signed in, and about no patient
		"/inbox/{token}": {{method: "GET", path: "/inbox/{event}", shut: true}, {method: "POST", path: "/inbox/{event}", body: "code=123456", media: formMedia, shut: true}},
		"/fhir/":         {{method: "GET", path: "/fhir/Observation?patient={patient}", shut: true}, {method: "GET", path: "/fhir/Patient/{patient}/$everything", shut: true}},
	}
	// A provider's own endpoints are about no patient, but for the events that it asks to be sent again.
	table["GET /endpoints"], table["GET /endpoints/{channel}/log"] = open, open
	table["POST /endpoints/{channel}/{action}"] = []attempt{{method: "POST", path: "/endpoints/webhook/redeliver", body: `{"event":"{event}"}`, media: "application/json", shut: true}}
	// A carer's own browsers are about no patient: that nobody changes another's is tested in subscribers/push.
	table["GET /push/key"] = []attempt{{method: "GET", path: "/push/key", carers: true}}
	for _, method := range []string{"POST", "DELETE"} {
		table[method+" /push/devices"] = []attempt{{method: method, path: "/push/devices", body: `{"endpoint":"https://push.example/1"}`, media: "application/json", carers: true}}
	}
	subscriptions(table)
	for pattern, attempts := range carersPages() {
		for i := range attempts {
			attempts[i].carers = true
		}
		table[pattern] = attempts
	}
	for pattern, attempts := range adminsPages() {
		for i := range attempts {
			attempts[i].carers = true
		}
		table[pattern] = attempts
	}
	for _, public := range []string{"/admin/static/{file}", "/manifest.webmanifest", "/sw.js", "/static/{file}"} {
		table["GET "+public] = open
	}
	for _, resource := range fhirapi.Types {
		at, id, version := "/fhir/"+resource, "{event}", "{event}"
		switch resource {
		case "Patient":
			id = "{patient}"
		case "RelatedPerson":
			id = "{related}"
		case "DocumentReference":
			id, version = "{document}", "{documented}"
		case "Organization":
			id = "{organisation}"
		}
		table["GET "+at+"/{id}"] = []attempt{{method: "GET", path: at + "/" + id}, {method: "HEAD", path: at + "/" + id}}
		table["GET "+at+"/{id}/_history/{version}"] = []attempt{{method: "GET", path: at + "/" + id + "/_history/" + version, shut: resource == "Organization"}}
		search := []string{"_id=" + id}
		post := []string{"_id=" + id}
		switch resource {
		case "Organization":
		case "Patient":
			search = append(search, "identifier={url}/id/patient|{patient}")
			post = append(post, "identifier=https://fhir.nhs.uk/Id/nhs-number|{nhs}")
		default:
			search = append(search, "patient={patient}", "patient=Patient/{patient}&_lastUpdated=ge2020", "patient={patient}&_id="+id)
			post = append(post, "patient:identifier=https://fhir.nhs.uk/Id/nhs-number|{nhs}", "patient.identifier=https://fhir.nhs.uk/Id/nhs-number|{nhs}")
		}
		for _, query := range search {
			table["GET "+at] = append(table["GET "+at], attempt{method: "GET", path: at + "?" + query, empty: true})
		}
		for _, form := range post {
			table["POST "+at+"/_search"] = append(table["POST "+at+"/_search"], attempt{method: "POST", path: at + "/_search", body: form, media: formMedia, empty: true})
		}
	}
	return table
}

// subscriptions are the attempts by Subscriptions: with a filter for the patient, and at the Subscription of another
// provider.
func subscriptions(table map[string][]attempt) {
	const at, fhirMedia = "/fhir/Subscription", "application/fhir+json"
	one := at + "/{subscription}"
	get := func(path string, empty bool) attempt { return attempt{method: "GET", path: path, empty: empty} }
	post := func(path, body, media string, empty bool) attempt {
		return attempt{method: "POST", path: path, body: body, media: media, empty: empty}
	}
	filtered := func(id, filter string) string {
		return `{"resourceType":"Subscription",` + id + `"status":"requested","reason":"Curiosity","criteria":"{url}/fhir/SubscriptionTopic/any",` +
			`"_criteria":{"extension":[{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-filter-criteria","valueString":"` + filter + `"}]},` +
			`"channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:9/hook","payload":"application/fhir+json","_payload":{"extension":[` +
			`{"url":"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content","valueCode":"full-resource"}]}}}`
	}
	table["POST "+at] = []attempt{post(at, filtered("", "Encounter?patient=Patient/{patient}"), fhirMedia, false),
		post(at, filtered("", "Condition?patient={url}/fhir/Patient/{patient}"), fhirMedia, false)}
	table["PUT "+at+"/{id}"] = []attempt{{method: "PUT", path: one, body: filtered(`"id":"{subscription}",`, "Encounter?patient={patient}"), media: fhirMedia}}
	table["DELETE "+at+"/{id}"] = []attempt{{method: "DELETE", path: one, shut: true}} // of their own it is gone after the first
	table["GET "+at] = []attempt{get(at+"?_id={subscription}", true)}
	table["POST "+at+"/_search"] = []attempt{post(at+"/_search", "_id={subscription}", formMedia, true)}
	table["GET "+at+"/{id}"] = []attempt{get(one, false)}
	table["GET "+at+"/$status"] = []attempt{get(at+"/$status?id={subscription}", true)}
	table["POST "+at+"/$status"] = []attempt{post(at+"/$status", "id={subscription}", formMedia, true)}
	table["GET "+at+"/{id}/$status"], table["POST "+at+"/{id}/$status"] = []attempt{get(one+"/$status", false)}, []attempt{post(one+"/$status", "", "", false)}
	table["GET "+at+"/{id}/$events"], table["POST "+at+"/{id}/$events"] = []attempt{get(one+"/$events", false)}, []attempt{post(one+"/$events", "", "", false)}
}

// subscribed makes a Subscription to everything about a patient and returns its id.
func (b *bystander) subscribed(credential string, w whom) string {
	b.t.Helper()
	table := map[string][]attempt{}
	subscriptions(table)
	answer := b.asks(credential, table["POST /fhir/Subscription"][0].about(b.hub.current().hub.URL, w))
	if answer.Code != http.StatusCreated {
		b.t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return b.read(answer.Body.String()).ID
}

// bystander is a hub whose frailty team is told of Thomas, and not of Olive, of whom the hospice is told.
type bystander struct {
	*town
	hub         *hub
	doors       *doors
	credentials []string // of the frailty team: a token of the hub's own, and an OAuth2 access token
}

// whom are the patients that the attempts are about: the frailty team's own, one of others, and one that there is not.
type whom map[string]string

func newBystander(t *testing.T) (b *bystander, mine, theirs, nobody whom) {
	w := newTown(t)
	w.edit("patients.yaml", "p-7f3k:", "p-8g4m: {name: Olive Ostrich, born: 1950-01-02, nhs_number: \"9990000026\"}\np-7f3k:")
	w.edit("hub.yaml", "timezone:", "admins: [gwen]\ntimezone:")
	w.edit("carers.yaml", "tom:", "gwen: {name: Gwen Ostrich, relationship: niece}\ntom:")
	writeFile(t, filepath.Join(w.dir, "subscribers/ward-board.yaml"), "id: ward-board\nname: Ward board\nphone: \"01234\"\n")
	writeFile(t, filepath.Join(w.dir, "routing/p-8g4m.yaml"), "patient: p-8g4m\nlogged_by:\n  gwen: {as: [gran], may: [log, see]}\n"+
		"  ward-board: {may: [log]}\nrules:\n  - on: [admission, attendance, discharge, fall, document]\n    notify: [hospice]\n    attach: all\n")
	w.attaching()
	b = &bystander{town: w}
	team, hospice := w.newToken("frailty-team"), w.newToken("hospice")
	carers := map[string]string{"ruth": w.newToken("ruth"), "gwen": w.newToken("gwen")}
	client := strings.Fields(w.carehub("client", "create", "frailty-team", "--scope", "system/*.cruds", "--dir", w.dir))
	b.run()
	b.credentials = []string{team, b.accessToken(client[1], client[3])}
	logged := func(carer, patient string) string {
		answer := b.asks(carers[carer], attempt{method: "POST", path: "/events", media: "application/json", body: `{"patient":"` + patient + `","kind":"admission","because":"fall","place":"Riverside Hospital"}`})
		if answer.Code != http.StatusCreated {
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		}
		return w.read(answer.Body.String()).ID
	}
	mine = whom{"patient": "p-7f3k", "event": logged("ruth", "p-7f3k"), "nhs": "9990000018", "related": events.RelatedID("ruth", "p-7f3k"), "organisation": "frailty-team"}
	theirs = whom{"patient": "p-8g4m", "event": logged("gwen", "p-8g4m"), "nhs": "9990000026", "related": events.RelatedID("gwen", "p-8g4m"), "organisation": "ward-board"}
	nobody = whom{"patient": "p-none", "event": events.NewID(events.Actor{Kind: events.Carer, ID: "gwen"}, "p-none", "x"), "nhs": "9990000034",
		"related": events.RelatedID("gwen", "p-none"), "organisation": "ward-empty"}
	for carer, of := range map[string]whom{"ruth": mine, "gwen": theirs} {
		of["documented"], of["document"] = b.documented(carer, of["patient"])
	}
	nobody["documented"] = events.NewID(events.Actor{Kind: events.Carer, ID: "gwen"}, "p-none", "document")
	nobody["document"] = events.DocumentID(nobody["documented"], events.DocPhoto, "none")
	mine["subscription"], theirs["subscription"] = b.subscribed(team, mine), b.subscribed(hospice, theirs)
	nobody["subscription"] = events.NewSubscriptionID(nil)
	return b, mine, theirs, nobody
}

// documented logs an event with a photograph.
func (b *bystander) documented(carer, patient string) (event, document string) {
	b.t.Helper()
	by := events.Actor{Kind: events.Carer, ID: carer}
	event = events.NewID(by, patient, "document")
	d, err := b.hub.documents.Keep(b.t.Context(), event, events.DocPhoto, photograph(b.t))
	if err == nil {
		_, err = b.hub.intake.Log(b.t.Context(), by, intake.Request{Patient: patient, Kind: events.DocumentAdded, Key: "document", Documents: []events.Document{d}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return event, d.ID
}

// run opens the hub and runs what its doors need, but delivers nothing.
func (b *bystander) run() {
	b.t.Helper()
	f, err := loadForUse(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.hub = newHub(f, slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	b.t.Cleanup(b.hub.close)
	if err := b.hub.open(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 4)
	tokensKnown, clientsKnown, sessionsKnown := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { running <- b.hub.tokens.follow(ctx, func() { close(tokensKnown) }) }()
	go func() { running <- b.hub.oauth.Clients.Follow(ctx, func() { close(clientsKnown) }) }()
	go func() { running <- b.hub.signin.Follow(ctx, func() { close(sessionsKnown) }) }()
	go func() { running <- b.hub.trail.Run(ctx) }()
	<-tokensKnown
	<-clientsKnown
	<-sessionsKnown
	b.t.Cleanup(func() {
		cancel()
		for range cap(running) {
			<-running
		}
	})
	b.doors = b.hub.routes(b.hub.desk(), ctx.Done())
}

func (b *bystander) accessToken(id, secret string) string {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, oauth.TokenPath, strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", formMedia)
	r.SetBasicAuth(id, secret)
	answer := httptest.NewRecorder()
	b.doors.ServeHTTP(answer, r)
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &granted); err != nil || granted.Token == "" {
		b.t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return granted.Token
}

// about fills in whom an attempt is about.
func (a attempt) about(url string, w whom) attempt {
	pairs := []string{"{url}", url}
	for name, value := range w {
		pairs = append(pairs, "{"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	a.path, a.body = fill.Replace(a.path), fill.Replace(a.body)
	return a
}

// asks makes an attempt of the doors, whose answer must be as docs/openapi.yaml says.
func (b *bystander) asks(credential string, a attempt) *httptest.ResponseRecorder {
	b.t.Helper()
	at, query, _ := strings.Cut(a.path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		b.t.Fatal(err)
	}
	body := a.body
	if a.media == formMedia {
		name, value, _ := strings.Cut(body, "=")
		body = url.Values{name: {value}}.Encode()
	}
	r := httptest.NewRequestWithContext(b.t.Context(), a.method, at+"?"+values.Encode(), io.NopCloser(strings.NewReader(body)))
	r.Header.Set("Authorization", "Bearer "+credential)
	r.Header.Set("Idempotency-Key", "attempt")
	if a.media != "" {
		r.Header.Set("Content-Type", a.media)
	}
	answer := httptest.NewRecorder()
	b.doors.ServeHTTP(answer, r)
	conforms(b.t, a.method, at, answer.Code, answer.Header(), answer.Body.Bytes())
	return answer
}

// TestAuthorisation: for every route, a provider who tries to get at a patient that routing does not give it gets, byte for
// byte, what there is to say about a patient who does not exist.
func TestAuthorisation(t *testing.T) {
	t.Parallel()
	b, mine, theirs, nobody := newBystander(t)
	table := authorisation()
	for _, pattern := range b.doors.patterns {
		if _, known := table[pattern]; !known {
			t.Errorf("%s is not in the table of this test: say how a provider might get at a patient of others by it", pattern)
		}
	}
	for pattern, attempts := range table {
		if !slices.Contains(b.doors.patterns, pattern) {
			t.Errorf("%s is in the table of this test, and not served", pattern)
		}
		for _, a := range attempts {
			for i, credential := range b.credentials {
				name := fmt.Sprintf("%s %s %s, by credential %d", a.method, a.path, a.body, i)
				b.unseen(name, credential, a, theirs, nobody)
				if !a.shut && !a.carers && !strings.HasSuffix(pattern, "/stream") && (i == 0 || strings.Contains(a.path, "/fhir/")) {
					b.seen(name, credential, a, mine)
				}
			}
		}
	}
	for _, secret := range []string{"Olive", "Ostrich", "Gwen", "Thomas", "9990000026", "9990000018", "9990000034", "nhs-number", "identifier"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}

// unseen makes an attempt at the patient of others, and the same at nobody.
func (b *bystander) unseen(name, credential string, a attempt, theirs, nobody whom) {
	b.t.Helper()
	at, none := b.asks(credential, a.about(b.hub.current().hub.URL, theirs)), b.asks(credential, a.about(b.hub.current().hub.URL, nobody))
	swap := make([]string, 0, 2*len(theirs))
	for k, v := range theirs {
		swap = append(swap, v, nobody[k])
	}
	said := strings.NewReplacer(swap...).Replace(at.Body.String())
	if said != none.Body.String() || at.Code != none.Code {
		b.t.Errorf("%s: status %d: %s\nfor nobody %d: %s", name, at.Code, at.Body, none.Code, none.Body)
	}
	if a.carers {
		if led := at.Code == http.StatusSeeOther && strings.HasPrefix(at.Header().Get("Location"), "/signin?"); !led && at.Code != http.StatusUnauthorized {
			b.t.Errorf("%s: status %d: %s", name, at.Code, at.Body)
		}
		return
	}
	if refused := slices.Contains([]int{http.StatusForbidden, http.StatusNotFound}, at.Code); !refused && (!a.empty || at.Code != http.StatusOK) {
		b.t.Errorf("%s: status %d: %s", name, at.Code, at.Body)
	}
	for header := range at.Header() {
		if got, want := at.Header().Get(header), none.Header().Get(header); got != want {
			b.t.Errorf("%s: %s is %q, for nobody %q", name, header, got, want)
		}
	}
	if strings.Contains(at.Body.String(), "Ostrich") || a.empty && at.Code == http.StatusOK && strings.Contains(at.Body.String(), `"resource"`) {
		b.t.Errorf("%s: %s", name, at.Body)
	}
}

// seen makes the same attempt at the provider's own patient: an attempt that never succeeds proves nothing.
func (b *bystander) seen(name, credential string, a attempt, mine whom) {
	b.t.Helper()
	answer := b.asks(credential, a.about(b.hub.current().hub.URL, mine))
	listed := strings.Contains(answer.Body.String(), `"resource"`) || strings.Contains(answer.Body.String(), `"events":[`)
	if answer.Code != http.StatusOK && answer.Code != http.StatusCreated || a.empty && !listed {
		b.t.Errorf("%s: of their own: status %d: %s", name, answer.Code, answer.Body)
	}
}

// TestRulesInForce: what a provider was told of ends with the rule that named it, for reading too.
func TestRulesInForce(t *testing.T) {
	t.Parallel()
	b, mine, _, _ := newBystander(t)
	read := attempt{method: "GET", path: "/fhir/Encounter/{event}"}.about("", mine)
	if answer := b.asks(b.credentials[0], read); answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	b.edit("routing/p-7f3k.yaml", "  - on: [admission, attendance, discharge]\n    notify: [riverside-surgery, district-nurses, hospice, frailty-team]",
		"  - on: [admission, attendance, discharge]\n    notify: [riverside-surgery, district-nurses, hospice]")
	b.edit("routing/p-7f3k.yaml", "notify: [frailty-team, hospice]", "notify: [hospice]") // of a fall
	f, err := loadForUse(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.hub.equip(f.channels)
	b.hub.adopt(f).channels.close(t.Context())
	b.doors = b.hub.routes(b.hub.desk(), nil)
	for _, credential := range b.credentials {
		if answer := b.asks(credential, read); answer.Code != http.StatusNotFound {
			t.Errorf("status %d: %s", answer.Code, answer.Body)
		}
	}
	if answer := b.asks(b.credentials[0], attempt{method: "GET", path: "/events/{event}"}.about("", mine)); answer.Code != http.StatusNotFound {
		t.Errorf("who was told: status %d: %s", answer.Code, answer.Body)
	}
}

// TestReadsAreOnRecord: the audit trail has each access, in a chain that holds, and names patients by pseudonym only.
func TestReadsAreOnRecord(t *testing.T) {
	t.Parallel()
	b, mine, theirs, _ := newBystander(t)
	for _, a := range []attempt{
		{method: "GET", path: "/fhir/Encounter/{event}"},
		{method: "POST", path: "/fhir/Patient/_search", body: "identifier=https://fhir.nhs.uk/Id/nhs-number|{nhs}", media: formMedia},
	} {
		b.asks(b.credentials[0], a.about("", mine))
		b.asks(b.credentials[1], a.about("", theirs))
	}
	var outcomes []string
	head, err := audit.Verify(t.Context(), b.hub.store, func(event json.RawMessage) error {
		var e struct {
			Subtype []struct{ Code string }
			Outcome string
		}
		for _, secret := range []string{"Thomas", "Olive", "999000"} {
			if strings.Contains(string(event), secret) {
				t.Errorf("the trail tells %s: %s", secret, event)
			}
		}
		err := json.Unmarshal(event, &e)
		if code := e.Subtype[0].Code; code != "create" { // who logged it, whenever that was written
			outcomes = append(outcomes, code+" "+e.Outcome)
		}
		return err
	})
	if want := []string{"read 0", "read 4", "search-type 0", "search-type 0"}; err != nil || head.N == 0 || !slices.Equal(outcomes, want) {
		t.Errorf("%v: %v", outcomes, err)
	}
}
