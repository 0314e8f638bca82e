package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/receipts"
)

// TestRefusals: whatever is wrong with a request is said with a status and words, and changes nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("carers.yaml", "tom:", "jo: {name: Jo Stranger, relationship: neighbour}\ntom:")
	w.start()
	ruth, tom, jo := w.token("ruth"), w.token("tom"), w.token("jo")
	const fell = `{"text": "dad fell"}`
	first := w.says(ruth, "dad admitted") // key-1

	for name, c := range map[string]struct {
		method, path, token, key, body string
		status                         int
		kind                           events.ErrorKind
		says                           string
	}{
		"no token":               {"POST", "/events", "", "k", fell, 401, events.Unauthenticated, "Send a token"},
		"unknown token":          {"POST", "/events", "care_unknown", "k", fell, 401, events.Unauthenticated, "not known here"},
		"no key":                 {"POST", "/events", ruth, "", fell, 400, events.Invalid, "Idempotency-Key header is required"},
		"key too long":           {"POST", "/events", ruth, strings.Repeat("k", 129), fell, 400, events.Invalid, "128"},
		"unknown name":           {"POST", "/events", ruth, "k", `{"patient": "uncle", "kind": "fall"}`, 400, events.Invalid, "neither an id nor a name"},
		"unknown patient":        {"POST", "/events", ruth, "k", `{"patient": "p-0000", "kind": "fall"}`, 403, events.Forbidden, "Nothing was saved"},
		"another carer's name":   {"POST", "/events", tom, "k", fell, 400, events.Invalid, "name that you use"},
		"another carer":          {"POST", "/events", jo, "k", `{"patient": "p-7f3k", "kind": "fall"}`, 403, events.Forbidden, "Nothing was saved"},
		"same key, other body":   {"POST", "/events", ruth, "key-1", fell, 409, events.Conflict, "Nothing new was saved"},
		"too large":              {"POST", "/events", ruth, "k", `{"text": "` + strings.Repeat("x", 64<<10) + `"}`, 413, events.TooLarge, "Nothing was saved"},
		"not JSON":               {"POST", "/events", ruth, "k", `{"text": "dad fell"`, 400, events.Invalid, "not well-formed"},
		"unknown field":          {"POST", "/events", ruth, "k", `{"text": "dad fell", "urgent": true}`, 400, events.Invalid, "unknown or given twice"},
		"two sorts":              {"POST", "/events", ruth, "k", `{"text": "dad fell", "kind": "fall"}`, 400, events.Invalid, "not both"},
		"nothing":                {"POST", "/events", ruth, "k", `{}`, 400, events.Invalid, "Give"},
		"did not happen":         {"POST", "/events", ruth, "k", `{"text": "dad was not admitted"}`, 400, events.Invalid, "did not happen"},
		"event of nobody":        {"GET", "/events/none", ruth, "", "", 404, events.NotFound, "no such event"},
		"event of another carer": {"GET", "/events/" + first.ID, jo, "", "", 404, events.NotFound, "no such event"},
		"stream of another":      {"GET", "/events/" + first.ID + "/stream", tom, "", "", 404, events.NotFound, "no such event"},
		"read without token":     {"GET", "/events/" + first.ID, "", "", "", 401, events.Unauthenticated, "Send a token"},
	} {
		status, answer := w.ask(c.method, c.path, c.token, c.body, "Content-Type", "application/json", "Idempotency-Key", c.key)
		var said intake.Refused
		err := json.Unmarshal([]byte(answer), &said)
		if err != nil || status != c.status || said.Error != c.kind || !strings.Contains(said.Message, c.says) {
			t.Errorf("%s: status %d: %v: %s", name, status, err, answer)
		}
		if c.kind == events.Conflict && said.Event != first.ID {
			t.Errorf("%s: names %q, want the first event", name, said.Event)
		}
	}
	w.wrongMethods(ruth, first.ID)
	w.onlyThese(ruth, first.ID, w.says(ruth, "dad came home").ID)
}

func (w *town) wrongMethods(token, id string) {
	w.t.Helper()
	for path, methods := range map[string][]string{
		"/events": {"PUT", "DELETE"}, "/events/" + id: {"POST", "PUT", "DELETE", "PATCH"}, "/fhir/metadata": {"POST"},
	} {
		for _, method := range methods {
			if status, _ := w.ask(method, path, token, `{"text": "dad fell"}`, "Idempotency-Key", "k", "Content-Type", "application/json"); status != http.StatusMethodNotAllowed {
				w.t.Errorf("%s %s: status %d", method, path, status)
			}
		}
	}
	for _, media := range []string{"", "text/plain", "application/fhir+json", "application/x-www-form-urlencoded"} {
		status, answer := w.ask("POST", "/events", token, `{"text": "dad fell"}`, "Idempotency-Key", "k", "Content-Type", media)
		if status != http.StatusBadRequest || !strings.Contains(answer, "must be JSON") {
			w.t.Errorf("%q: status %d: %s", media, status, answer)
		}
	}
}

// onlyThese waits for the last of the events at the surgery. Had anything else been stored before it, it would have come
// before it, for all are about one patient.
func (w *town) onlyThese(token string, ids ...string) {
	w.t.Helper()
	w.settled(token, ids[len(ids)-1])
	if got := w.surgery.ids(); !slices.Equal(got, ids) {
		w.t.Errorf("the surgery got %v, want %v", got, ids)
	}
}

// TestRepeat: the same key and body are the same event, with the states as they are now.
func TestRepeat(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.token("ruth")
	v := w.says(ruth, "dad admitted")
	w.settled(ruth, v.ID)
	status, answer := w.post(ruth, "key-1", `{"text": "dad admitted"}`)
	if again := w.read(answer); status != http.StatusOK || again.ID != v.ID || row(again, "hospice").State != events.Received {
		t.Errorf("status %d: %s", status, answer)
	}
	w.onlyThese(ruth, v.ID, w.says(ruth, "dad came home").ID)
}

// TestRevoked: a token counts the moment it is made, and no more the moment it is revoked; a stream ends with it.
func TestRevoked(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	letGo := w.nurses.holds()
	defer letGo()
	w.start()
	ruth := w.newToken("ruth")
	v := w.says(ruth, "dad admitted")
	if out := w.carehub("token", "revoke", "ruth", "--dir", w.dir); out != "revoked 1\n" {
		t.Errorf("revoke printed %q", out)
	}
	for _, path := range []string{"/events/" + v.ID, "/events/" + v.ID + "/stream"} {
		if status, answer := w.ask("GET", path, ruth, ""); status != http.StatusUnauthorized {
			t.Errorf("status %d: %s", status, answer)
		}
	}
	if status, answer := w.post(ruth, "k", `{"text": "dad fell"}`); status != http.StatusUnauthorized {
		t.Errorf("status %d: %s", status, answer)
	}
}

// TestNeverRefused: a wrong clock, ended authority and a flood are stored and marked.
func TestNeverRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("routing/p-7f3k.yaml", "until: 2027-06-30", "until: 2020-06-30")
	w.start()
	ruth, tom := w.token("ruth"), w.token("tom")
	flagged := func(v receipts.View, f events.Flag) {
		t.Helper()
		if !slices.Contains(v.Flags, f) {
			t.Errorf("flags are %v, without %s", v.Flags, f)
		}
	}
	ahead := w.logs(ruth, fmt.Sprintf(`{"patient": "dad", "kind": "fall", "occurred": %q}`, time.Now().AddDate(1, 0, 0).Format(time.RFC3339)))
	flagged(ahead, events.FlagClock)
	if !ahead.Occurred.Equal(ahead.Recorded) || !strings.Contains(ahead.Message, "check the clock") {
		t.Errorf("%+v", ahead)
	}
	flagged(w.says(ruth, "dad came home 3h ago"), events.FlagLate)
	over := w.says(tom, "grandad fell")
	flagged(over, events.FlagAuthorityEnded)
	if len(over.Recipients) != 0 || !strings.HasPrefix(over.Message, "Saved, and passed on.") {
		t.Errorf("whose authority has ended reads %q of %+v", over.Message, over.Recipients)
	}
	var last receipts.View
	for range 40 {
		last = w.says(ruth, "dad fell")
	}
	flagged(last, events.FlagRate)
	w.settled(ruth, last.ID)
	if n := len(w.surgery.all()); n != 43 {
		t.Errorf("the surgery has %d messages of 43", n)
	}
	messages := w.surgery.messages()
	if e := messages[0].Event; e.Said == nil || e.Said.Before(ahead.Recorded.AddDate(0, 11, 0)) || !messages[42].Event.Has(events.FlagRate) {
		t.Errorf("%+v", e)
	}
}

// TestStoreClosed: without a store nothing is saved, and the carer is told so.
func TestStoreClosed(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ruth := w.token("ruth")
	h := w.open()
	known, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); _ = h.tokens.follow(t.Context(), func() { close(known) }) }()
	<-known
	doors := h.routes(h.desk(), nil)
	if err := h.store.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-ended
	for path, want := range map[string]string{"/events": "Nothing was saved", "/readyz": "the store does not answer", "/healthz": "alive"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if path == "/events" {
			r = httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"text": "dad fell"}`))
		}
		r.Header = http.Header{"Authorization": {"Bearer " + ruth}, "Content-Type": {"application/json"}, "Idempotency-Key": {"k"}}
		answer := httptest.NewRecorder()
		doors.ServeHTTP(answer, r)
		if ok := answer.Code == http.StatusOK; ok != (path == "/healthz") || !ok && answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s: status %d: %s", path, answer.Code, answer.Body)
		}
	}
}

// open is the town's hub with its store, before any part of it runs.
func (w *town) open() *hub {
	w.t.Helper()
	f, err := loadForUse(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	h := newHub(f, slog.New(slog.DiscardHandler))
	w.t.Cleanup(h.close)
	if err := h.open(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return h
}

// TestDiskFull: a disk that refuses to be written makes the hub say that nothing was saved, never that it was; the event
// before is delivered, and once there is room the hub goes on by itself. A limit on the size of the process's files stands
// in for the full disk.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	surgery := newProvider(t, "surgery")
	hub := newProcess(t, 1, surgery)
	hub.start()
	post := func(key string) (int, map[string]any) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		status, answer, err := hub.post(ctx, key, `{"patient": "p-0000", "kind": "fall"}`)
		if err != nil {
			t.Fatal(err)
		}
		return status, answer
	}
	before, first := post("before")
	waitUntil(t, "the first event has arrived", func() bool { _, n := surgery.count(); return n == 1 })

	release := limitFiles(t, hub.running.Process.Pid, 1<<10)
	during, said := post("during")
	if before != http.StatusCreated || during != http.StatusServiceUnavailable || !strings.Contains(said["message"].(string), "saved") ||
		!strings.HasPrefix(said["message"].(string), "The store") {
		t.Errorf("status %d, then %d: %v", before, during, said)
	}
	release()
	var second map[string]any
	waitUntil(t, "the same request is taken", func() bool {
		var status int
		status, second = post("during")
		return status == http.StatusCreated || status == http.StatusOK
	})
	waitUntil(t, "the second event has arrived", func() bool { _, n := surgery.count(); return n == 2 })
	if got, want := surgery.firsts("p-0000"), []string{first["id"].(string), second["id"].(string)}; !slices.Equal(got, want) {
		t.Errorf("the surgery got %v, want %v", got, want)
	}
	hub.stop()
}

// limitFiles makes writes beyond n bytes of a file fail in a process until release.
func limitFiles(t *testing.T, pid int, n uint64) (release func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return func() { _ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &old, nil) }
}
