package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/receipts"
)

// apiHub is the real doors over a store in memory, for one carer, ruth, whose dad is p-7f3k.
type apiHub struct {
	mu     sync.Mutex
	stored []events.Stored
	reads  int // of receipts
	// around stands before the doors, as a bad network does.
	around func(w http.ResponseWriter, r *http.Request, doors http.Handler)
}

func (h *apiHub) Publish(_ context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stored {
		if s.Record.Event.ID == rec.Event.ID {
			return s, false, nil
		}
	}
	h.stored = append(h.stored, events.Stored{Record: rec, Message: message})
	return h.stored[len(h.stored)-1], true, nil
}

func (h *apiHub) Latest(context.Context, string, events.Kind) (events.Event, bool, error) {
	return events.Event{}, false, nil
}

func (h *apiHub) Timeline(context.Context, string, events.Place, int) ([]events.Stored, error) {
	return nil, nil
}

func (h *apiHub) Find(_ context.Context, id string) (events.Stored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stored {
		if s.Record.Event.ID == id {
			return s, nil
		}
	}
	return events.Stored{}, &events.Error{Kind: events.NotFound}
}

// Receipts says trying at first, and received from the fourth time on.
func (h *apiHub) Receipts(_ context.Context, s events.Stored) ([]events.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	o := events.Outcome{State: events.Trying, At: s.Record.Event.Recorded}
	if h.reads > 3 {
		o.State = events.Received
	}
	return []events.Receipt{{Recipient: s.Record.Plan.Recipients[0], Outcome: o}}, nil
}

// Watch ticks all the time.
func (h *apiHub) Watch(string) (<-chan struct{}, func()) {
	tick := make(chan struct{})
	close(tick)
	return tick, func() {}
}

func (*apiHub) Registered(events.Actor) bool { return false }

func (*apiHub) Match(events.Details) string { return "" }

func (h *apiHub) Resolve(events.Actor, string) (string, error)         { return "p-7f3k", nil }
func (h *apiHub) Aliases(events.Actor) map[string]string               { return map[string]string{"dad": "p-7f3k"} }
func (h *apiHub) Zone() *time.Location                                 { return time.UTC }
func (h *apiHub) Phones(string) []string                               { return nil }
func (h *apiHub) May(events.Actor, string, time.Time) intake.Authority { return intake.Allowed }
func (h *apiHub) Plan(events.Event) events.Plan {
	return events.Plan{Recipients: []events.Recipient{{ID: "riverside-surgery", Name: "Riverside Surgery", Rule: "routing/p-7f3k.yaml:4",
		Channels: []events.Channel{{Key: "webhook", Type: "webhook"}}}}}
}
func (h *apiHub) People(e events.Event) (events.Patient, events.Person, events.Sender) {
	return events.Patient{ID: e.Patient, Name: "Thomas Example", Born: "1941-03-11"}, events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example"},
		events.Sender{Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123"}
}

func (h *apiHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.stored)
}

// doors starts the hub.
func (h *apiHub) doors(t *testing.T) (url string) {
	t.Helper()
	ruth := events.Actor{Kind: events.Carer, ID: "ruth"}
	authenticate := func(r *http.Request) (events.Actor, error) {
		if r.Header.Get("Authorization") != "Bearer ruths" {
			return events.Actor{}, errors.New("unknown token")
		}
		return ruth, nil
	}
	viewer := receipts.Viewer{Source: h, Phones: h.Phones, Zone: h.Zone, Clock: time.Now}
	quiet := slog.New(slog.DiscardHandler)
	read := &receipts.Handler{Viewer: viewer, Authenticate: authenticate, Log: quiet, MaySee: func(events.Actor, events.Record) bool { return true }}
	mux := http.NewServeMux()
	mux.Handle("POST /events", &intake.Handler{
		Intake: intake.New(h, func() intake.Desk { return h }, time.Now), Authenticate: authenticate, Log: quiet,
		View: func(ctx context.Context, s events.Stored) (any, error) { return viewer.View(ctx, s) },
	})
	mux.HandleFunc("GET /events/{id}", read.Get)
	mux.HandleFunc("GET /events/{id}/stream", read.Stream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.around == nil {
			mux.ServeHTTP(w, r)
			return
		}
		h.around(w, r, mux)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// command runs a command as ruth would, with no terminal.
func command(t *testing.T, cmd *cobra.Command, hub string, args ...string) (out string, code int) {
	t.Helper()
	t.Setenv("CAREHUB_TOKEN", "ruths")
	var b bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetIn(strings.NewReader("y\n"))
	cmd.SetArgs(append(args, "--hub", hub))
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		return b.String(), 0
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return b.String() + exit.msg, exit.code
	}
	return b.String() + err.Error(), 1
}

func contains(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		before, after, found := strings.Cut(got, want)
		if !found {
			t.Errorf("%q is not there, or not in this order, in\n%s", want, before)
			return
		}
		got = after
	}
}

func TestLogShowsSavesAndWatches(t *testing.T) {
	h := &apiHub{}
	out, code := command(t, logCommand(), h.doors(t), "dad", "fell", "and", "was", "admitted", "at", "Riverside Hospital", "20m", "ago", "--yes", "--words", "Awake.")
	if code != 0 || h.count() != 1 {
		t.Fatalf("status %d, %d stored: %s", code, h.count(), out)
	}
	e := h.stored[0].Record.Event
	if e.Kind != events.Admission || e.Because != events.Fall || e.Place != "Riverside Hospital" || e.Words != "Awake." {
		t.Errorf("stored %+v", e)
	}
	contains(t, out, "Admission to hospital after a fall", "Thomas Example, born 1941", "Riverside Hospital",
		"Tell   Riverside Surgery, by webhook (routing/p-7f3k.yaml:4)", "Nothing is saved yet.", "Saved.",
		"carehub status "+e.ID+" --watch", "Telling Riverside Surgery…", "Received by the Riverside Surgery system")
}

func TestLogWithoutWaiting(t *testing.T) {
	h := &apiHub{}
	out, code := command(t, logCommand(), h.doors(t), "dad fell", "--yes", "--no-wait")
	if code != 0 || h.count() != 1 || strings.Contains(out, "Telling") {
		t.Errorf("status %d, %d stored: %s", code, h.count(), out)
	}
}

func TestLogThatIsNotSaved(t *testing.T) {
	h := &apiHub{}
	hub := h.doors(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		hub  string
		args []string
		code int
		says string
	}{
		"not understood":  {hub, []string{"dad", "nearly", "fell", "--yes"}, 1, "NOT SAVED. It seems to say that something did not happen"},
		"a near miss":     {hub, []string{"da", "fell", "--yes"}, 1, `did you mean "dad"?`},
		"nobody to ask":   {hub, []string{"dad", "fell"}, 2, "add --yes"},
		"nothing said":    {hub, []string{"--yes"}, 2, "say what happened"},
		"unknown flag":    {hub, []string{"dad", "fell", "--urgent"}, 2, "unknown flag"},
		"hub away":        {gone.URL, []string{"dad", "fell", "--yes"}, 1, "NOT SAVED. The hub could not be reached"},
		"no URL":          {"hub.example", []string{"dad", "fell", "--yes"}, 2, "URL of a hub"},
		"in the clear":    {"http://hub.example", []string{"dad", "fell", "--yes"}, 2, "in the clear"},
		"no token file":   {hub, []string{"dad", "fell", "--yes", "--token-file", filepath.Join(t.TempDir(), "none")}, 2, "--token-file"},
		"a redirect":      {httptest.NewServer(http.RedirectHandler(hub, http.StatusTemporaryRedirect)).URL, []string{"dad", "fell", "--yes"}, 1, "status 307"},
		"words too long":  {hub, []string{"dad", "fell", "--yes", "--words", strings.Repeat("x", events.MaxWords+1)}, 1, "NOT SAVED"},
		"token not known": {hub, []string{"dad", "fell", "--yes", "--token-file", tokenFile(t, "stolen")}, 1, "A valid token is needed"},
	} {
		out, code := command(t, logCommand(), c.hub, c.args...)
		if code != c.code || !strings.Contains(out, c.says) || strings.Contains(out, "stolen") {
			t.Errorf("%s: status %d: %s", name, code, out)
		}
	}
	if h.count() != 0 {
		t.Errorf("%d stored", h.count())
	}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNoTokenIsWrongUse(t *testing.T) {
	t.Setenv("CAREHUB_TOKEN", "")
	f := hubFlags{hub: "http://127.0.0.1:1"}
	if _, err := f.client(); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("%v", err)
	}
	f.tokenFile = tokenFile(t, "ruths")
	if c, err := f.client(); err != nil || c.token != "ruths" {
		t.Errorf("%v %v", c, err)
	}
}

func TestConfirmAsks(t *testing.T) {
	h := &apiHub{}
	c := client{hub: h.doors(t), token: "ruths"}
	for answer, yes := range map[string]bool{"y\n": true, "Yes\n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var out bytes.Buffer
		err := confirm(t.Context(), c, &out, bufio.NewReader(strings.NewReader(answer)), logRequest{Text: "dad fell"}, false)
		if (err == nil) != yes || !strings.Contains(out.String(), "Save this? [y/N]") {
			t.Errorf("%q: %v %s", answer, err, out.String())
		}
	}
}

// saving reports whether a request may store something.
func saving(r *http.Request) bool { return r.Header.Get("Idempotency-Key") != "" }

func TestAnswerThatIsLostIsAskedForAgain(t *testing.T) {
	h, tries := &apiHub{}, 0
	h.around = func(w http.ResponseWriter, r *http.Request, doors http.Handler) {
		if saving(r) {
			if tries++; tries == 1 {
				doors.ServeHTTP(httptest.NewRecorder(), r) // stored, and then the connection breaks
				panic(http.ErrAbortHandler)
			}
			if tries == 2 {
				http.Error(w, "gateway", http.StatusBadGateway)
				return
			}
		}
		doors.ServeHTTP(w, r)
	}
	var out bytes.Buffer
	c := client{hub: h.doors(t), token: "ruths", pause: time.Millisecond}
	saved, err := c.logAndWatch(t.Context(), &out, logRequest{Text: "dad fell", Key: "k"})
	if err != nil || h.count() != 1 || tries != 3 || saved.ID != h.stored[0].Record.Event.ID {
		t.Errorf("%v after %d tries, %d stored: %s", err, tries, h.count(), out.String())
	}
	contains(t, out.String(), "Not saved yet. Trying again…", "Saved.", "Received by the Riverside Surgery system")
}

func TestHubThatNeverAnswers(t *testing.T) {
	h := &apiHub{}
	h.around = func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	c := client{hub: h.doors(t), token: "ruths", pause: time.Millisecond, patience: 10 * time.Millisecond}
	_, err := c.save(t.Context(), &bytes.Buffer{}, logRequest{Text: "dad fell", Key: "my-key"})
	exit, ok := errors.AsType[exitError](err)
	if !ok || exit.code != 1 || !strings.HasPrefix(exit.msg, "NOT SAVED, as far as") || !strings.Contains(exit.msg, "--key my-key") {
		t.Errorf("%v", err)
	}
}

func TestSameKeyForSomethingElse(t *testing.T) {
	h := &apiHub{}
	hub := h.doors(t)
	if _, code := command(t, logCommand(), hub, "dad", "fell", "--yes", "--no-wait", "--key", "k"); code != 0 {
		t.Fatal(code)
	}
	out, code := command(t, logCommand(), hub, "dad", "admitted", "--yes", "--key", "k")
	if code != 1 || h.count() != 1 {
		t.Errorf("status %d, %d stored", code, h.count())
	}
	contains(t, out, "NOT SAVED.", "carehub status "+h.stored[0].Record.Event.ID)
}

func TestStreamThatBreaksIsOpenedAgain(t *testing.T) {
	h, streams := &apiHub{}, 0
	h.around = func(w http.ResponseWriter, r *http.Request, doors http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/stream") {
			if streams++; streams == 1 {
				doors.ServeHTTP(&breaking{w}, r)
				panic(http.ErrAbortHandler)
			}
		}
		doors.ServeHTTP(w, r)
	}
	var out bytes.Buffer
	c := client{hub: h.doors(t), token: "ruths", pause: time.Millisecond}
	if _, err := c.logAndWatch(t.Context(), &out, logRequest{Text: "dad fell", Key: "k"}); err != nil || streams != 2 {
		t.Errorf("%v after %d streams", err, streams)
	}
	if n := strings.Count(out.String(), "Telling Riverside Surgery…"); n != 1 {
		t.Errorf("said %d times: %s", n, out.String())
	}
	contains(t, out.String(), "Received by the Riverside Surgery system")
}

// breaking takes the first piece of a stream and no more.
type breaking struct{ http.ResponseWriter }

func (b *breaking) Write(p []byte) (int, error) {
	n, _ := b.ResponseWriter.Write(p)
	_ = http.NewResponseController(b.ResponseWriter).Flush()
	return n, errors.New("broken")
}

func (b *breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func TestStatus(t *testing.T) {
	h := &apiHub{}
	hub := h.doors(t)
	if _, code := command(t, logCommand(), hub, "dad", "fell", "--yes", "--no-wait"); code != 0 {
		t.Fatal(code)
	}
	id := h.stored[0].Record.Event.ID
	out, code := command(t, statusCommand(), hub, id)
	if code != 0 {
		t.Error(code)
	}
	contains(t, out, "A fall (p-7f3k)", events.Ref(id), "Saved.", "Telling Riverside Surgery…")
	out, _ = command(t, statusCommand(), hub, id, "--json")
	var v receipts.View
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.ID != id {
		t.Errorf("%v: %s", err, out)
	}
	out, code = command(t, statusCommand(), hub, id, "--watch")
	if code != 0 {
		t.Error(code)
	}
	contains(t, out, "A fall", "Received by the Riverside Surgery system")
	out, _ = command(t, statusCommand(), hub, id, "--watch", "--json")
	contains(t, out, `"state":"received"`)
}

func TestStatusOfNothing(t *testing.T) {
	hub := (&apiHub{}).doors(t)
	for id, c := range map[string]struct {
		code int
		says string
	}{
		"dad": {2, "id of one event"},
		events.NewID(events.Actor{}, "p-7f3k", "none"): {1, "There is no such event here."},
	} {
		if out, code := command(t, statusCommand(), hub, id); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: status %d: %s", id, code, out)
		}
	}
}

func TestSentence(t *testing.T) {
	for want, args := range map[string][]string{
		`dad admitted at "Riverside Hospital" 20m ago`: {"dad", "admitted", "at", "Riverside Hospital", "20m", "ago"},
		`dad admitted at "Riverside"`:                  {`dad admitted at "Riverside"`},
		`"Auntie Jean" fell`:                           {"Auntie Jean", "fell"},
	} {
		if got := sentence(args); got != want {
			t.Errorf("%q: %s", args, got)
		}
	}
}
