package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events/fhir"
	"carehub/events/receipts"
)

// town is the hub of deploy/example in this process, with a stand-in on a real socket for each provider's system and for
// the mail server. It is made with newTown, edited where a test needs it otherwise, and started.
type town struct {
	t    *testing.T
	dir  string
	url  string
	log  *journal
	http *http.Client
	keys int

	surgery, nurses, hospice *system
	mail                     *post
	stop                     func() // ends the hub in order; nil while it is not running
	inboxes                  bool   // their addresses are verified, or are to stay as they are
}

func newTown(t *testing.T) *town {
	t.Helper()
	leavesNoGoroutine(t)
	w := &town{t: t, dir: filepath.Join(t.TempDir(), "town"), log: &journal{}, http: &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(w.http.CloseIdleConnections)
	secrets := map[string]string{"riverside-surgery": hookSecret(), "district-nurses": hookSecret(), "hospice": "hospice-bearer-token"}
	w.surgery = newSystem(t, &receiver{name: "The surgery", secret: secrets["riverside-surgery"]})
	w.nurses = newSystem(t, &receiver{name: "The nurses", secret: secrets["district-nurses"]})
	w.hospice = newSystem(t, &receiver{name: "The hospice", token: secrets["hospice"]})
	w.mail = newPost(t)
	own := freeAddress(t)
	w.url = "http://" + own
	swap := strings.NewReplacer("127.0.0.1:9101", w.surgery.address(), "127.0.0.1:9102", w.nurses.address(),
		"127.0.0.1:9103", w.hospice.address(), "port: 2525", "port: "+w.mail.port, "127.0.0.1:8080", own)
	if err := copyExample(w.dir, swap, secrets); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
	})
	return w
}

// edit replaces all of old, which must be there, in a file of the configuration.
func (w *town) edit(file, old, replacement string) {
	w.t.Helper()
	path := filepath.Join(w.dir, file)
	was, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(was), old) {
		w.t.Fatalf("%s does not hold %q: %v", file, old, err)
	}
	writeFile(w.t, path, strings.ReplaceAll(string(was), old, replacement))
}

// start runs the hub. Its inboxes were verified long ago, unless w.inboxes says not to touch them.
func (w *town) start() {
	w.t.Helper()
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f, err := loadToStart(w.t.Context(), w.dir, log)
	if err != nil {
		w.t.Fatal(err)
	}
	if !w.inboxes {
		w.inboxes = true
		verifyInboxes(w.t, f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, down := make(chan string, 1), make(chan error, 1)
	go func() { down <- serve(ctx, f, log, func(address string) { up <- address }) }()
	w.stop = func() {
		w.stop = nil
		cancel()
		if err := <-down; err != nil {
			w.t.Errorf("the hub ended with %v", err)
		}
	}
	select {
	case <-up:
	case err := <-down:
		down <- nil
		w.t.Fatal(err)
	}
}

// token makes a token as an admin would, and waits until a running hub knows it: beside a NATS server that takes a moment.
func (w *town) token(id string) string {
	w.t.Helper()
	token := w.newToken(id)
	waitUntil(w.t, "the token counts", func() bool { return w.stop == nil || w.known(token) })
	return token
}

func (w *town) newToken(id string) string {
	w.t.Helper()
	return strings.TrimSpace(w.carehub("token", "create", id, "--dir", w.dir))
}

// known asks the hub whether a token counts.
func (w *town) known(token string) bool {
	w.t.Helper()
	status, _ := w.ask(http.MethodGet, "/events/none", token, "")
	return status == http.StatusNotFound
}

// carehub runs a command in this process and returns what it prints.
func (w *town) carehub(args ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(w.t.Context()); err != nil {
		w.t.Fatalf("carehub %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

// ask makes one request of the hub and returns the answer, which must be as docs/openapi.yaml says. Headers are name and value in turn.
func (w *town) ask(method, path, token, body string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	return w.body(w.http.Do(req))
}

// body is the status and the body of an answer.
func (w *town) body(resp *http.Response, err error) (int, string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	conforms(w.t, resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, resp.Header, answer)
	return resp.StatusCode, string(answer)
}

// post logs an event under a key.
func (w *town) post(token, key, body string) (int, string) {
	w.t.Helper()
	return w.ask(http.MethodPost, "/events", token, body, "Content-Type", "application/json", "Idempotency-Key", key)
}

// logs logs an event that must be stored.
func (w *town) logs(token, body string) receipts.View {
	w.t.Helper()
	w.keys++
	status, answer := w.post(token, fmt.Sprint("key-", w.keys), body)
	if status != http.StatusCreated {
		w.t.Fatalf("status %d: %s", status, answer)
	}
	return w.read(answer)
}

// says logs a sentence that must be stored.
func (w *town) says(token, text string) receipts.View {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.logs(token, string(body))
}

func (w *town) read(answer string) (v receipts.View) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		w.t.Fatalf("%v in %s", err, answer)
	}
	return v
}

// view is how telling everyone of an event stands.
func (w *town) view(token, id string) receipts.View {
	w.t.Helper()
	status, answer := w.ask(http.MethodGet, "/events/"+id, token, "")
	if status != http.StatusOK {
		w.t.Fatalf("status %d: %s", status, answer)
	}
	return w.read(answer)
}

// settled waits until the hub is done with everyone, and until the alarm recipients know of those who could not be told.
func (w *town) settled(token, id string) (v receipts.View) {
	w.t.Helper()
	waitUntil(w.t, "everyone has been told of "+id, func() bool {
		v = w.view(token, id)
		return v.Settled() && !slices.ContainsFunc(v.Recipients, func(r receipts.Recipient) bool {
			return !r.State.Told() && !strings.Contains(r.Words, "Your admin has been told.")
		})
	})
	return v
}

// row is one recipient's row of a view.
func row(v receipts.View, id string) receipts.Recipient {
	i := slices.IndexFunc(v.Recipients, func(r receipts.Recipient) bool { return r.ID == id })
	if i < 0 {
		return receipts.Recipient{}
	}
	return v.Recipients[i]
}

// system is a provider's: it answers challenges, keeps every other request, and answers as the demo's stand-in does unless told otherwise.
type system struct {
	t      *testing.T
	server *httptest.Server
	stands *receiver

	mu       sync.Mutex
	requests []request
	asked    int              // challenges
	unproved http.HandlerFunc // answers them, unless nil
	instead  http.HandlerFunc
}

// request is what a system was sent.
type request struct {
	url    string
	header http.Header
	body   []byte
}

func newSystem(t *testing.T, stands *receiver) *system {
	stands.say, stands.seen = t.Logf, map[string]bool{}
	s := &system{t: t, stands: stands}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *system) address() string { return s.server.Listener.Addr().String() }

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the hub has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if _, challenged := challengeIn(body); challenged {
		s.mu.Lock()
		s.asked++
		answer := s.unproved
		s.mu.Unlock()
		if answer == nil {
			answer = s.stands.ServeHTTP
		}
		answer(w, r)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, request{r.URL.String(), r.Header.Clone(), body})
	answer := s.instead
	s.mu.Unlock()
	if answer == nil {
		answer = s.stands.ServeHTTP
	}
	answer(w, r)
}

// answers has the system answer otherwise from now on; nil as the stand-in again.
func (s *system) answers(instead http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = instead
}

// holds has the system keep the hub waiting for each answer until let go.
func (s *system) holds() (letGo func()) {
	held := make(chan struct{})
	s.answers(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-held:
			s.stands.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	return sync.OnceFunc(func() { s.answers(nil); close(held) })
}

func (s *system) all() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// messages are the FHIR messages that arrived, in order.
func (s *system) messages() (all []fhir.Message) {
	s.t.Helper()
	for _, r := range s.all() {
		m, err := fhir.Decode(r.body)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// ids are the events that arrived, in order.
func (s *system) ids() (all []string) {
	for _, m := range s.messages() {
		all = append(all, m.Event.ID)
	}
	return all
}

// journal keeps what is logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// stream yields the server-sent events of GET /events/{id}/stream until all is settled.
func (w *town) stream(token, id string) iter.Seq2[string, string] {
	return func(yield func(name, data string) bool) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		c := client{hub: w.url, token: token}
		err := c.stream(ctx, id, func(name string, data []byte) bool { return !yield(name, string(data)) || name == "settled" })
		if err != nil {
			w.t.Error(err)
		}
	}
}

func (w *town) receipt(data string) (r receipts.Recipient) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(data), &r); err != nil {
		w.t.Fatalf("%v in %s", err, data)
	}
	return r
}
