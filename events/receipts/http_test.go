package receipts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// serve puts the two routes on a real socket.
func serve(t *testing.T, s *source) (url string, h *Handler, drain func()) {
	t.Helper()
	draining := make(chan struct{})
	h = &Handler{
		Viewer: viewer(s), Authenticate: bearer, Draining: draining, Log: slog.New(slog.DiscardHandler),
		MaySee: func(by events.Actor, e events.Record) bool { return by == e.Event.By },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events/{id}", h.Get)
	mux.HandleFunc("GET /events/{id}/stream", h.Stream)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL + "/events/", h, func() { close(draining) }
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGetSaysWhoHasBeenTold(t *testing.T) {
	s := admission()
	url, _, _ := serve(t, s)
	s.set(1, events.Outcome{State: events.Sent, Channel: "email", At: friday})
	response := mustGet(t, url+s.id(), "ruth")
	raw := body(t, response)
	var got struct {
		View
		Words string `json:"words"`
	}
	if err := json.Unmarshal([]byte(raw), &got); err != nil || response.StatusCode != 200 || response.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v: %d %s", err, response.StatusCode, raw)
	}
	want := Recipient{ID: "hospice", Name: "The Hospice", Channel: "email", State: events.Sent, At: friday, Rule: "routing/p-7f3k.yaml:4",
		Words: "Sent to The Hospice by email at 15:00. We can't tell yet if it arrived or if anyone has read it."}
	if got.ID != s.id() || got.Rules != "rules-1" || got.Message != "Saved." || got.State != "" || len(got.Recipients) != 2 || got.Recipients[1] != want {
		t.Errorf("%s", raw)
	}
	if strings.Contains(raw, "secret words") || strings.Contains(raw, `"because"`) {
		t.Errorf("says too much: %s", raw)
	}
}

func TestGetUnrouted(t *testing.T) {
	s := admission()
	s.stored.Record.Event.Flags, s.receipts = []events.Flag{events.FlagUnrouted}, nil
	url, _, _ := serve(t, s)
	raw := body(t, mustGet(t, url+s.id(), "ruth"))
	if !strings.Contains(raw, `"state":"unrouted"`) || !strings.Contains(raw, `"recipients":[]`) || !strings.Contains(raw, "Please phone 01234 567890.") {
		t.Errorf("%s", raw)
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	s := admission()
	url, _, _ := serve(t, s)
	for _, path := range []string{"", "/stream"} {
		theirs := mustGet(t, url+s.id()+path, "eve")
		unknown := mustGet(t, url+events.NewID(ruth, "p-7f3k", "other")+path, "eve")
		malformed := mustGet(t, url+"dad"+path, "eve")
		said := body(t, theirs)
		if theirs.StatusCode != 404 || unknown.StatusCode != 404 || malformed.StatusCode != 404 || said != body(t, unknown) || said != body(t, malformed) {
			t.Errorf("%s: %d %s", path, theirs.StatusCode, said)
		}
		if r := mustGet(t, url+s.id()+path, "mallory"); r.StatusCode != 401 || r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d without a token", path, r.StatusCode)
		}
	}
}

func TestStoreThatCannotBeRead(t *testing.T) {
	s := admission()
	s.fail = errors.New("closed")
	url, _, _ := serve(t, s)
	response := mustGet(t, url+s.id(), "ruth")
	if raw := body(t, response); response.StatusCode != 503 || !strings.Contains(raw, `"error":"unavailable"`) || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", response.StatusCode, raw)
	}
}

// watching reads a stream event by event.
type watching struct {
	t     *testing.T
	lines *bufio.Scanner
	id    string
}

func watch(t *testing.T, url, id string) *watching {
	t.Helper()
	response := mustGet(t, url+id+"/stream", "ruth")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	return &watching{t: t, lines: bufio.NewScanner(response.Body)}
}

// next is the next event's name and data; a comment is an event named ":". Nothing is left: "".
func (w *watching) next() (name, data string) {
	for w.lines.Scan() {
		field, value, _ := strings.Cut(w.lines.Text(), ": ")
		switch field {
		case "":
			if value != "" {
				name = ":"
			}
			if name != "" {
				return name, data
			}
		case "id":
			if value <= w.id {
				w.t.Errorf("id %s after %s", value, w.id)
			}
			w.id = value
		case "event":
			name = value
		case "data":
			data = value
		}
	}
	return "", ""
}

func (w *watching) expect(name string, holds ...string) {
	w.t.Helper()
	got, data := w.next()
	missing := slices.ContainsFunc(holds, func(s string) bool { return !strings.Contains(data, s) })
	if got != name || missing {
		w.t.Fatalf("got %s %s, want %s %q", got, data, name, holds)
	}
}

func TestStreamSaysEachChange(t *testing.T) {
	s := admission()
	url, _, drain := serve(t, s)
	w := watch(t, url, s.id())
	w.expect("receipts", `"id":"`+s.id()+`"`, `"state":"trying"`)
	s.set(0, events.Outcome{State: events.Received, Channel: "webhook", At: friday.Add(time.Second)})
	w.expect("receipt", `"id":"riverside-surgery"`, `"state":"received"`, "Received by the Riverside Surgery system at 15:00.")
	s.set(1, events.Outcome{State: events.Sent, Channel: "email", At: friday.Add(time.Second)})
	w.expect("receipt", `"id":"hospice"`, `"state":"sent"`)
	w.expect("settled")
	s.set(1, events.Outcome{State: events.Acknowledged, Channel: "email", At: friday.Add(2 * time.Second)})
	w.expect("receipt", `"state":"acknowledged"`)
	drain()
	w.expect("")
}

func TestStreamOfASettledEvent(t *testing.T) {
	s := admission()
	s.set(0, events.Outcome{State: events.Received, At: friday})
	s.set(1, events.Outcome{State: events.Refused, At: friday})
	url, _, _ := serve(t, s)
	w := watch(t, url, s.id())
	w.expect("receipts")
	w.expect("settled")
}

func TestStreamStaysAlive(t *testing.T) {
	s := admission()
	url, h, _ := serve(t, s)
	h.KeepAlive = time.Millisecond
	w := watch(t, url, s.id())
	w.expect("receipts")
	w.expect(":")
}

func TestStreamEndsWithThePermission(t *testing.T) {
	s := admission()
	url, h, _ := serve(t, s)
	revoked := make(chan struct{})
	h.MaySee = func(events.Actor, events.Record) bool {
		select {
		case <-revoked:
			return false
		default:
			return true
		}
	}
	w := watch(t, url, s.id())
	w.expect("receipts")
	close(revoked)
	s.set(0, events.Outcome{State: events.Received, At: friday})
	w.expect("")
}

func TestStreamsAreBounded(t *testing.T) {
	s := admission()
	url, h, drain := serve(t, s)
	h.MaxStreams = 1
	w := watch(t, url, s.id())
	w.expect("receipts")
	if r := mustGet(t, url+s.id()+"/stream", "ruth"); r.StatusCode != 503 {
		t.Errorf("a second stream: %d", r.StatusCode)
	}
	drain()
	w.expect("")
	if n := s.watchers(); n != 0 {
		t.Errorf("%d still watch", n)
	}
	if r := mustGet(t, url+s.id()+"/stream", "ruth"); r.StatusCode != 200 {
		t.Errorf("when the first has ended: %d", r.StatusCode)
	}
}

// slow is a client that takes nothing.
type slow struct{ http.ResponseWriter }

func (slow) Header() http.Header              { return http.Header{} }
func (slow) Write([]byte) (int, error)        { return 0, errors.New("write: i/o timeout") }
func (slow) WriteHeader(int)                  {}
func (slow) SetWriteDeadline(time.Time) error { return nil }

func TestSlowClientIsDropped(t *testing.T) {
	s := admission()
	_, h, _ := serve(t, s)
	request := httptest.NewRequest(http.MethodGet, "/events/"+s.id()+"/stream", nil)
	request.SetPathValue("id", s.id())
	request.Header.Set("Authorization", "Bearer ruth")
	h.Stream(slow{}, request) // returns
	if n := s.watchers(); n != 0 {
		t.Errorf("%d still watch", n)
	}
}

func TestNothingOfTheEventIsLogged(t *testing.T) {
	s := admission()
	url, h, _ := serve(t, s)
	var logged bytes.Buffer
	h.Log = slog.New(slog.NewTextHandler(&logged, nil))
	mustGet(t, url+"dad", "eve")
	if got := logged.String(); !strings.Contains(got, "error=not_found") || strings.Contains(got, "dad") {
		t.Errorf("logged %s", got)
	}
}
