package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPIAnswers asks a running hub by every kind of door. town.ask holds what comes against the document, here and in
// all other tests.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	w := newBouncingTown(t)
	client := strings.Fields(w.carehub("client", "create", "frailty-team", "--dir", w.dir))
	w.start()
	as := callers{w.token("ruth"), w.token("riverside-surgery"), w.token("frailty-team"), w.token("riverside-hospital")}
	v := w.settled(as.ruth, w.says(as.ruth, `dad admitted at "Riverside Hospital" 3h ago`).ID)
	_, invitation, _ := strings.Cut(strings.TrimSpace(w.carehub("invite", "ruth", "--dir", w.dir)), "/signin")
	w.holdAnswers(slices.Concat(eventCalls(as, v.ID), systemCalls(as, v.ID, basic(client[1], client[3])), pageCalls(v.ID, invitation), otherCalls()))
}

// callers are the tokens of those who ask.
type callers struct{ ruth, surgery, team, ward string }

var form = []string{"Content-Type", formMedia}

// eventCalls are about an event that ruth has logged.
func eventCalls(as callers, id string) []doorCall {
	return []doorCall{
		{"POST", "/events", as.ruth, `{"text": "dad had a fall"}`, []string{"Idempotency-Key", "one", "Content-Type", "application/json"}, 201},
		{"POST", "/events", as.ruth, `{"text": "dad had a fall"}`, []string{"Idempotency-Key", "one", "Content-Type", "application/json"}, 200},
		{"POST", "/events", as.ruth, `{"text": "dad came home"}`, []string{"Idempotency-Key", "one", "Content-Type", "application/json"}, 409},
		{"POST", "/events", as.ruth, `{"text": "dad might fall"}`, []string{"Idempotency-Key", "two", "Content-Type", "application/json"}, 400},
		{"POST", "/events", as.ruth, `{"text": "dad had a fall", "dry_run": true}`, []string{"Content-Type", "application/json"}, 200},
		{"POST", "/events", as.ruth, `{"words": "` + strings.Repeat("x", 70<<10) + `"}`, []string{"Content-Type", "application/json"}, 413},
		{"POST", "/events", "", `{}`, nil, 401},
		{"POST", "/events", as.surgery, `{"patient": "p-7f3k", "kind": "fall"}`, []string{"Idempotency-Key", "one", "Content-Type", "application/json"}, 403},
		{"POST", "/events", as.ward, `{"specversion": "1.0", "id": "1", "source": "pas", "type": "care-fall-1", "time": "2026-11-22T01:50:00Z", "subject": "9990000018"}`,
			[]string{"Content-Type", "application/cloudevents+json"}, 202},
		{"POST", "/events", as.ward, `{"specversion": "1.0", "id": "2", "source": "pas", "type": "care-fall-1", "time": "2026-11-22T01:50:00Z", "subject": "9990000018",
			"data": {"birth_date": "1941-03-11", "family_name": "Example"}}`, []string{"Content-Type", "application/cloudevents+json"}, 201},
		{"GET", "/events?patient=p-7f3k", as.ruth, "", nil, 200},
		{"GET", "/events?patient=p-7f3k&limit=0", as.ruth, "", nil, 400},
		{"GET", "/events?patient=p-7f3k", "", "", nil, 401},
		{"GET", "/events/" + id, as.ruth, "", nil, 200},
		{"GET", "/events/none", as.ruth, "", nil, 404},
		{"GET", "/events/none/stream", as.ruth, "", nil, 404},
		{"POST", "/events/" + id + "/ack", as.surgery, `{"answer": "seen", "name": "Jo", "role": "nurse", "line": "We'll ring today."}`, []string{"Content-Type", "application/json"}, 200},
		{"POST", "/events/" + id + "/ack", as.surgery, `{"answer": "seen"}`, []string{"Content-Type", "application/json"}, 400},
		{"POST", "/events/" + id + "/ack", as.ward, `{"answer": "seen", "name": "Jo"}`, []string{"Content-Type", "application/json"}, 404},
		{"POST", "/events/" + id + "/ack", "", `{"answer": "seen", "name": "Jo"}`, []string{"Content-Type", "application/json"}, 401},
		{"POST", "/events/" + id + "/correct", as.ruth, `{"correction": "wrong"}`, []string{"Content-Type", "application/json"}, 400},
		{"POST", "/events/" + id + "/correct", "", `{"correction": "retracted"}`, []string{"Content-Type", "application/json"}, 401},
		{"POST", "/events/" + id + "/correct", as.surgery, `{"correction": "retracted"}`, []string{"Content-Type", "application/json"}, 403},
		{"POST", "/events/none/correct", as.ruth, `{"correction": "retracted"}`, []string{"Content-Type", "application/json"}, 404},
		{"POST", "/events/" + id + "/correct", as.ruth, `{"correction": "wrong-time", "occurred": "2026-11-22T01:50:00Z"}`, []string{"Content-Type", "application/json"}, 201},
		{"POST", "/events/" + id + "/correct", as.ruth, `{"correction": "retracted"}`, []string{"Content-Type", "application/json"}, 409},
	}
}

// systemCalls are those of providers' systems; client is what one signs in with.
func systemCalls(as callers, id, client string) []doorCall {
	return []doorCall{
		{"GET", "/endpoints", as.surgery, "", nil, 200},
		{"GET", "/endpoints", as.ruth, "", nil, 403},
		{"GET", "/endpoints/webhook/log", as.surgery, "", nil, 200},
		{"GET", "/endpoints/webhook/log?limit=x", as.surgery, "", nil, 400},
		{"POST", "/endpoints/webhook/test", as.surgery, "", nil, 200},
		{"POST", "/endpoints/webhook/rotate-secret", as.surgery, "", nil, 200},
		{"POST", "/endpoints/webhook/pause", as.surgery, "", nil, 200},
		{"POST", "/endpoints/webhook/redeliver", as.surgery, `{"event": "` + id + `"}`, nil, 409},
		{"POST", "/endpoints/webhook/resume", as.surgery, "", nil, 200},
		{"POST", "/endpoints/webhook/recover", as.surgery, `{"since": "2020-01-01T00:00:00Z", "all": true}`, nil, 200},
		{"POST", "/endpoints/webhook/none", as.surgery, "", nil, 404},
		{"GET", "/fhir/Encounter/" + id, as.team, "", nil, 200},
		{"GET", "/fhir/Encounter/" + id, as.team, "", []string{"Accept", "application/fhir+xml"}, 406},
		{"GET", "/fhir/Encounter/" + id, "", "", nil, 401},
		{"GET", "/fhir/Encounter/none", as.team, "", nil, 404},
		{"GET", "/fhir/Binary/none", as.team, "", nil, 404},
		{"GET", "/fhir/Binary/none", "", "", nil, 401},
		{"GET", "/fhir/Encounter/" + id + "/_history/" + id, as.team, "", nil, 200},
		{"GET", "/fhir/Encounter?patient=p-7f3k", as.team, "", nil, 200},
		{"GET", "/fhir/Encounter", as.team, "", nil, 400},
		{"POST", "/fhir/Patient/_search", as.team, "_id=p-7f3k", form, 200},
		{"POST", "/fhir/Patient/_search", as.team, "{}", []string{"Content-Type", "application/json"}, 415},
		{"POST", "/fhir/Subscription", as.team, "{}", []string{"Content-Type", "application/fhir+json"}, 422},
		{"GET", "/fhir/Subscription", as.team, "", nil, 200},
		{"POST", "/fhir/Subscription/_search", as.team, "status=active", form, 200},
		{"GET", "/fhir/Subscription?none=1", as.team, "", nil, 422},
		{"GET", "/fhir/Subscription/none", as.team, "", nil, 404},
		{"PUT", "/fhir/Subscription/none", as.team, "{}", nil, 404},
		{"DELETE", "/fhir/Subscription/none", as.team, "", nil, 404},
		{"GET", "/fhir/Subscription/$status", as.team, "", nil, 200},
		{"POST", "/fhir/Subscription/$status", as.team, "", form, 200},
		{"GET", "/fhir/Subscription/none/$status", as.team, "", nil, 404},
		{"POST", "/fhir/Subscription/none/$status", as.team, "", nil, 404},
		{"GET", "/fhir/Subscription/none/$events", as.team, "", nil, 404},
		{"POST", "/fhir/Subscription/none/$events", as.team, "", nil, 404},
		{"POST", "/fhir/$process-message", as.ward, "{", []string{"Content-Type", "application/fhir+json"}, 400},
		{"POST", "/fhir/$process-message", as.ward, "{}", []string{"Content-Type", "application/fhir+json"}, 422},
		{"POST", "/fhir/$process-message", as.ward, "{}", []string{"Content-Type", "text/plain"}, 415},
		{"POST", "/fhir/$process-message", "", "{}", nil, 401},
		{"GET", "/fhir/metadata", "", "", nil, 200},
		{"GET", "/.well-known/smart-configuration", "", "", nil, 200},
		{"GET", "/fhir/.well-known/smart-configuration", "", "", nil, 200},
		{"POST", "/oauth/token", "", "grant_type=password", form, 400},
		{"POST", "/oauth/token", "", "grant_type=client_credentials", form, 401},
		{"POST", "/oauth/token", "", "grant_type=client_credentials", append(form, "Authorization", client), 200},
		{"POST", "/oauth/token", "", "grant_type=client_credentials&scope=patient/Encounter.r", append(form, "Authorization", client), 400},
	}
}

// pageCalls are of pages, by somebody who is not signed in; invitation is the end of a link to sign in with.
func pageCalls(id, invitation string) []doorCall {
	return []doorCall{
		{"GET", "/m/none", "", "", nil, 404},
		{"POST", "/m/none", "", "code=1", form, 404},
		{"GET", "/m/none/document/none", "", "", nil, 404},
		{"GET", "/signin", "", "", nil, 200},
		{"GET", "/signin/none", "", "", nil, 404},
		{"POST", "/signin/none", "", "once=1", form, 404},
		{"POST", "/signin" + invitation, "", "once=1", form, 303},
		{"GET", "/signin/oidc/none", "", "", nil, 404},
		{"GET", "/signin/oidc/none/callback", "", "", nil, 404},
		{"GET", "/signin/passkey", "", "", nil, 303},
		{"GET", "/signin/passkey.js", "", "", nil, 200},
		{"POST", "/signin/passkey/options", "", "", nil, 401},
		{"POST", "/signin/passkey/add", "", "", nil, 401},
		{"POST", "/signin/passkey/challenge", "", "", nil, 403}, // at an address browsers allow none
		{"POST", "/signin/passkey", "", "", nil, 403},
		{"POST", "/signout", "", "", form, 303},
		{"GET", "/", "", "", nil, 303},
		{"GET", "/log/p-7f3k", "", "", nil, 303},
		{"GET", "/log/p-7f3k/when?what=fall", "", "", nil, 303},
		{"POST", "/log/p-7f3k/when", "", "what=fall", form, 401},
		{"POST", "/log/p-7f3k/check", "", "what=fall", form, 401},
		{"POST", "/log/p-7f3k/send", "", "what=fall", form, 401},
		{"GET", "/log/p-7f3k/phones", "", "", nil, 303},
		{"POST", "/log/p-7f3k/missing", "", "", form, 401},
		{"GET", "/e/" + id, "", "", nil, 303},
		{"GET", "/e/" + id + "/rows", "", "", nil, 303},
		{"POST", "/e/" + id + "/undo", "", "", form, 401},
		{"GET", "/e/" + id + "/mistake", "", "", nil, 303},
		{"POST", "/e/" + id + "/mistake", "", "", form, 401},
		{"GET", "/e/" + id + "/live", "", "", nil, 303},
		{"GET", "/e/" + id + "/document/none", "", "", nil, 303},
		{"GET", "/p/p-7f3k", "", "", nil, 303},
		{"GET", "/p/p-7f3k/card", "", "", nil, 303},
		{"GET", "/p/p-7f3k/letter/" + id, "", "", nil, 303},
		{"GET", "/admin", "", "", nil, 303},
		{"GET", "/admin/rows", "", "", nil, 303},
		{"GET", "/admin/live", "", "", nil, 303},
		{"GET", "/admin/events/" + id, "", "", nil, 303},
		{"GET", "/admin/recipients", "", "", nil, 303},
		{"GET", "/admin/recipients/hospice/fhir", "", "", nil, 303},
		{"GET", "/admin/recipients/hospice/fhir/redeliver/" + id, "", "", nil, 303},
		{"POST", "/admin/recipients/hospice/fhir/redeliver/" + id, "", "", form, 401},
		{"GET", "/admin/alarms", "", "", nil, 303},
		{"GET", "/admin/patients", "", "", nil, 303},
		{"GET", "/admin/patients/p-7f3k", "", "", nil, 303},
		{"GET", "/admin/static/none.js", "", "", nil, 404},
		{"GET", "/push/key", "", "", nil, 303},
		{"POST", "/push/devices", "", "{}", []string{"Content-Type", "application/json"}, 401},
		{"DELETE", "/push/devices", "", "{}", []string{"Content-Type", "application/json"}, 401},
	}
}

// otherCalls are those of a phone's browser, a mail server and monitoring.
func otherCalls() []doorCall {
	return []doorCall{
		{"GET", "/manifest.webmanifest", "", "", nil, 200},
		{"GET", "/sw.js", "", "", nil, 200},
		{"GET", "/static/icon-192.png", "", "", nil, 200},
		{"GET", "/inbox/none", "", "", nil, 404},
		{"POST", "/inbox/none", "", "", form, 404},
		{"POST", "/mail/bounces", "token-of-the-mail-server", bounceReport("nobody@riverside.example"), []string{"Content-Type", "message/rfc822"}, 200},
		{"POST", "/mail/bounces", "token-of-the-mail-server", "", nil, 400},
		{"POST", "/mail/bounces", "another", "", nil, 401},
		{"GET", "/healthz", "", "", nil, 200},
		{"GET", "/readyz", "", "", nil, 200},
		{"GET", "/metrics", "", "", nil, 200},
	}
}

// doorCall is a request that is made of a running hub, and the status that it is to be answered with.
type doorCall struct {
	method, path, token, body string
	headers                   []string
	status                    int
}

// holdAnswers makes calls, of which there must be one for each operation of the document.
func (w *town) holdAnswers(calls []doorCall) {
	w.t.Helper()
	doc, err := described()
	if err != nil {
		w.t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, a := range calls {
		if status, answer := w.ask(a.method, a.path, a.token, a.body, a.headers...); status != a.status {
			w.t.Errorf("%s %s: status %d, not %d: %s", a.method, a.path, status, a.status, answer)
		}
		path, _, _ := strings.Cut(a.path, "?")
		_, pattern := doc.routes.Handler(&http.Request{Method: a.method, URL: &url.URL{Path: path}})
		operation := doc.operations[pattern]
		asked[operation] = true
		if media := mediaOf(a.headers); a.status < http.StatusMultipleChoices && strings.HasSuffix(media, "json") {
			for _, value := range values(w.t, media, []byte(a.body)) {
				if err := doc.judge(doc.follow(operation+"/requestBody/content/"+escape(media)+"/schema"), value); err != nil {
					w.t.Errorf("docs/openapi.yaml: what %s takes is another: %v", pattern, err)
				}
			}
		}
	}
	for pattern, pointer := range doc.operations {
		if !asked[pointer] {
			w.t.Errorf("%s is not asked for here", pattern)
		}
	}
}

// TestMessagesByAccessToken: a client whose scopes say so sends messages, and no other.
func TestMessagesByAccessToken(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	clients := map[string]int{"system/Bundle.c": http.StatusBadRequest, usualScope: http.StatusForbidden}
	made := map[string][]string{}
	for scope := range clients {
		made[scope] = strings.Fields(w.carehub("client", "create", "riverside-hospital", "--scope", scope, "--dir", w.dir))
	}
	w.start()
	for scope, want := range clients {
		_, answer := w.ask("POST", "/oauth/token", "", "grant_type=client_credentials", "Content-Type", formMedia, "Authorization", basic(made[scope][1], made[scope][3]))
		var granted struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(answer), &granted); err != nil {
			t.Fatal(err)
		}
		if status, answer := w.ask("POST", "/fhir/$process-message", granted.Token, "{", "Content-Type", "application/fhir+json"); status != want {
			t.Errorf("with %s: status %d: %s", scope, status, answer)
		}
	}
}

// mediaOf is the Content-Type among headers that are name and value in turn.
func mediaOf(headers []string) string {
	for pair := range slices.Chunk(headers, 2) {
		if pair[0] == "Content-Type" {
			return pair[1]
		}
	}
	return ""
}

func basic(id, secret string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(id, secret)
	return r.Header.Get("Authorization")
}
