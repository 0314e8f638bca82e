package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carehub/events"
)

// door is POST /events on a real socket. Tokens are the ids of their holders. logged is all that it logs.
func door(t *testing.T, fail error) (url string, store *memory, h *Handler, logged *bytes.Buffer) {
	t.Helper()
	in, store, _ := opened()
	store.fail, logged = fail, &bytes.Buffer{}
	h = &Handler{
		Intake: in,
		Authenticate: func(r *http.Request) (events.Actor, error) {
			for _, by := range []events.Actor{ruth, tom, eve, ward} {
				if r.Header.Get("Authorization") == "Bearer "+by.ID {
					return by, nil
				}
			}
			return events.Actor{}, errors.New("unknown token")
		},
		View: func(_ context.Context, s events.Stored) (any, error) {
			return map[string]string{"id": s.Record.Event.ID}, nil
		},
		Log: slog.New(slog.NewTextHandler(logged, nil)),
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, store, h, logged
}

type posted struct {
	token, key, media, body string
}

// post sends p, with what it leaves out as a carer's phone would send it, and reads the answer.
func post(t *testing.T, url string, p posted) (status int, header http.Header, answer map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][2]string{
		"Authorization": {p.token, "Bearer ruth"}, "Idempotency-Key": {p.key, "k"}, "Content-Type": {p.media, "application/json"},
	} {
		if value[0] == "" {
			value[0] = value[1]
		}
		if value[0] != "-" {
			request.Header.Set(name, value[0])
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return response.StatusCode, response.Header, answer
}

func TestPostStoresOnce(t *testing.T) {
	url, store, _, _ := door(t, nil)
	status, header, first := post(t, url, posted{body: `{"text": "dad admitted"}`})
	if status != http.StatusCreated || header.Get("Location") != "/events/"+first["id"].(string) || header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %v", status, header, first)
	}
	status, _, again := post(t, url, posted{body: "{\"text\":\"dad admitted\"}\n"})
	if status != http.StatusOK || again["id"] != first["id"] || len(store.stored) != 1 {
		t.Errorf("repeated: %d %v; %d stored", status, again, len(store.stored))
	}
	status, _, conflict := post(t, url, posted{body: `{"text": "dad discharged"}`})
	if status != http.StatusConflict || conflict["error"] != "conflict" || conflict["event"] != first["id"] {
		t.Errorf("another body: %d %v", status, conflict)
	}
	status, _, fields := post(t, url, posted{key: "k2", token: "Bearer ward", body: `{"patient": "p-7f3k", "kind": "admission", "because": "fall",
		"occurred": "2026-11-20T14:40:00Z", "place": "Riverside", "words": "\"Pale\" & <cold>", "test": true}`})
	e := store.stored[1].Record.Event
	if status != http.StatusCreated || fields["id"] != e.ID || e.By != ward || e.Because != events.Fall || e.Words != `"Pale" & <cold>` || !e.Test {
		t.Errorf("fields: %d %v, stored %+v", status, fields, e)
	}
}

func TestPostRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		posted
		status int
		kind   string
		says   string
	}{
		"no token":         {posted{token: "-", body: `{"text": "dad fell"}`}, 401, "unauthenticated", "token"},
		"wrong token":      {posted{token: "Bearer mallory", body: `{"text": "dad fell"}`}, 401, "unauthenticated", "token"},
		"another carer":    {posted{token: "Bearer eve", body: `{"patient": "p-7f3k", "kind": "fall"}`}, 403, "forbidden", "Nothing was saved"},
		"unknown patient":  {posted{body: `{"patient": "p-zzzz", "kind": "fall"}`}, 403, "forbidden", "Nothing was saved"},
		"unknown alias":    {posted{body: `{"patient": "uncle", "kind": "fall"}`}, 400, "invalid", "neither an id nor a name"},
		"not understood":   {posted{body: `{"text": "dad wasn't admitted"}`}, 400, "invalid", "did not happen"},
		"no key":           {posted{key: "-", body: `{"text": "dad fell"}`}, 400, "invalid", "Idempotency-Key"},
		"bad key":          {posted{key: "a b", body: `{"text": "dad fell"}`}, 400, "invalid", "Idempotency-Key"},
		"no content type":  {posted{media: "-", body: `{"text": "dad fell"}`}, 400, "invalid", "application/json"},
		"form":             {posted{media: "application/x-www-form-urlencoded", body: `text=dad+fell`}, 400, "invalid", "application/json"},
		"too large":        {posted{body: `{"words": "` + strings.Repeat("x", maxBody) + `"}`}, 413, "too_large", "64 KB"},
		"empty":            {posted{body: ``}, 400, "invalid", "JSON object"},
		"an array":         {posted{body: `["dad fell"]`}, 400, "invalid", "JSON object"},
		"cut short":        {posted{body: `{"text": "dad fell"`}, 400, "invalid", "well-formed"},
		"two objects":      {posted{body: `{"text": "dad fell"}{}`}, 400, "invalid", "nothing after it"},
		"unknown field":    {posted{body: `{"text": "dad fell", "urgent": true}`}, 400, "invalid", "unknown or given twice"},
		"other case":       {posted{body: `{"Text": "dad fell"}`}, 400, "invalid", "unknown or given twice"},
		"given twice":      {posted{body: `{"patient": "dad", "patient": "mum", "kind": "fall"}`}, 400, "invalid", "unknown or given twice"},
		"a number":         {posted{body: `{"text": 7}`}, 400, "invalid", `"text"`},
		"not UTF-8":        {posted{body: "{\"text\": \"dad fell\", \"words\": \"\xff\"}"}, 400, "invalid", "UTF-8"},
		"half a surrogate": {posted{body: `{"text": "dad fell", "words": "\ud800"}`}, 400, "invalid", "UTF-8"},
	} {
		url, store, _, logged := door(t, nil)
		status, header, answer := post(t, url, c.posted)
		message, _ := answer["message"].(string)
		if status != c.status || answer["error"] != c.kind || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %v", name, status, answer)
		}
		if status == 401 && header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
		if len(store.stored) != 0 || !strings.Contains(logged.String(), "error="+c.kind) {
			t.Errorf("%s: %d stored, logged %s", name, len(store.stored), logged)
		}
		for _, secret := range []string{"dad", "uncle", "p-zzzz", "Bearer", "ruth"} {
			if strings.Contains(logged.String(), secret) {
				t.Errorf("%s: the log holds %q: %s", name, secret, logged)
			}
		}
	}
}

func TestPostSaysWhatWasUnderstood(t *testing.T) {
	url, _, _, _ := door(t, nil)
	_, _, answer := post(t, url, posted{body: `{"text": "dad admitted to hospital, he is poorly"}`})
	if answer["understood"] != `dad admitted at "hospital"` || !strings.Contains(answer["suggestion"].(string), "double quotes") {
		t.Errorf("%v", answer)
	}
	_, _, answer = post(t, url, posted{body: `{"text": "da admitted"}`})
	if answer["suggestion"] != `did you mean "dad"?` || strings.Contains(answer["message"].(string), "dad") {
		t.Errorf("%v", answer)
	}
}

func TestPostWhenTheStoreFails(t *testing.T) {
	for name, fail := range map[string]error{
		"disk full": &events.Error{Kind: events.Unavailable, Message: "The disk of the store is full. Nothing was saved."},
		"closed":    errors.New("nats: connection closed"),
	} {
		url, store, _, logged := door(t, fail)
		status, header, answer := post(t, url, posted{body: `{"text": "dad fell"}`})
		if status != 503 || answer["error"] != "unavailable" || !strings.Contains(answer["message"].(string), "Nothing was saved.") || header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", name, status, answer)
		}
		if !strings.Contains(logged.String(), "level=ERROR") || len(store.stored) != 0 {
			t.Errorf("%s: logged %s", name, logged)
		}
	}
}

func TestPostSavedButNotShown(t *testing.T) {
	url, store, h, _ := door(t, nil)
	h.View = func(context.Context, events.Stored) (any, error) { return nil, errors.New("ledger away") }
	status, _, answer := post(t, url, posted{body: `{"text": "dad fell"}`})
	if status != 201 || answer["id"] != store.stored[0].Record.Event.ID || !strings.HasPrefix(answer["message"].(string), "Saved.") {
		t.Errorf("%d %v", status, answer)
	}
}

func TestPostDryRun(t *testing.T) {
	url, store, _, _ := door(t, nil)
	status, _, answer := post(t, url, posted{key: "-", body: `{"text": "dad fell at home an hour ago", "dry_run": true}`})
	recipients, _ := answer["recipients"].([]any)
	if status != 200 || answer["dry_run"] != true || answer["about"] != "Thomas Example, born 1941" || answer["kind"] != "fall" ||
		answer["place"] != "home" || answer["occurred"] != "2026-11-20T14:00:00Z" || len(recipients) != 2 || len(store.stored) != 0 {
		t.Errorf("%d %v; %d stored", status, answer, len(store.stored))
	}
	_, _, answer = post(t, url, posted{key: "-", body: `{"text": "mum fell", "dry_run": true}`})
	if answer["state"] != "unrouted" || answer["message"] != "No team is set up to be told. It can be saved, but please phone 01234 567890." {
		t.Errorf("%v", answer)
	}
	status, _, _ = post(t, url, posted{key: "-", token: "Bearer eve", body: `{"patient": "p-7f3k", "kind": "fall", "dry_run": true}`})
	if status != 403 {
		t.Errorf("a stranger's dry run: %d", status)
	}
}

func TestPostOfAPhoneThatLosesItsSignalIsStored(t *testing.T) {
	_, store, h, _ := door(t, nil)
	lost, lose := context.WithCancel(t.Context())
	lose()
	request := httptest.NewRequestWithContext(lost, http.MethodPost, "/events", strings.NewReader(`{"text": "dad fell"}`))
	request.Header.Set("Authorization", "Bearer ruth")
	request.Header.Set("Idempotency-Key", "k")
	request.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(httptest.NewRecorder(), request)
	if len(store.stored) != 1 {
		t.Errorf("%d stored", len(store.stored))
	}
}
