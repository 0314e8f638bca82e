package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream/clustertest"
)

// process is a hub in a process of its own, to be killed.
type process struct {
	t       *testing.T
	dir     string
	url     string
	token   string
	log     *os.File
	running *exec.Cmd
}

var testSecret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

// newProcess writes a configuration with one webhook subscriber per receiver, all told of everything, and makes a token.
func newProcess(t *testing.T, patients int, receivers ...*provider) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir()}
	address := freeAddress(t)
	p.url = "http://" + address
	files := map[string]string{
		"hub.yaml": "name: Test hub\ncontact: {phone: \"+44 7700 900123\", email: help@hub.example}\nalarms: {notify: [" + receivers[0].id + "]}\n" +
			"url: " + p.url + "\nlisten: " + address + "\negress: {allow: [127.0.0.0/8]}\n",
		"carers.yaml": "ruth: {name: Ruth Example, relationship: daughter, phone: \"+44 7700 900124\"}\n" +
			"tom: {name: Tom Example, relationship: grandson, phone: \"+44 7700 900125\"}\n",
		"secrets/key": testSecret,
	}
	var ids []string
	for _, r := range receivers {
		ids = append(ids, r.id)
		files["subscribers/"+r.id+".yaml"] = "id: " + r.id + "\nname: The " + r.id + "\nphone: \"01234 567890\"\nchannels:\n" +
			"  - webhook: {url: \"" + r.server.URL + "/hook\", secret: \"${file:secrets/key}\"}\n"
	}
	var people strings.Builder
	for n := range patients {
		id := fmt.Sprintf("p-%04d", n)
		number := ""
		if people.Len() == 0 { // no two have the same
			number = ", nhs_number: \"9990000018\""
		}
		fmt.Fprintf(&people, "%s: {name: Thomas Example, born: 1941-03-11%s}\n", id, number)
		files["routing/"+id+".yaml"] = "patient: " + id + "\nlogged_by: {ruth: {as: [dad " + string(rune('a'+n)) + "], may: [log, see]}}\n" +
			"rules:\n  - {on: [admission, attendance, discharge, fall], notify: [" + strings.Join(ids, ", ") + "]}\n"
	}
	files["patients.yaml"] = people.String()
	for name, text := range files {
		writeFile(t, filepath.Join(p.dir, name), text)
	}
	p.token = p.run("token", "create", "ruth", "--dir", p.dir)
	var err error
	if p.log, err = os.Create(filepath.Join(p.dir, "hub.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill(); p.log.Close() })
	return p
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", clustertest.FreePorts(t, 1)[0])
}

// run runs another carehub command and returns what it prints.
func (p *process) run(args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "carehub", args...)
	cmd.Env = quickExit()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("carehub %s: %v: %s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// quickExit is the environment without the second that the race detector waits at the end of a process.
func quickExit() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// start starts the hub and returns when it is ready.
func (p *process) start() {
	p.t.Helper()
	p.running = exec.Command("carehub", "serve", p.dir)
	p.running.Env = quickExit()
	p.running.Stdout, p.running.Stderr = p.log, p.log
	if err := p.running.Start(); err != nil {
		p.t.Fatal(err)
	}
	waitUntil(p.t, "the hub is ready", func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the hub as a power cut would end its process.
func (p *process) kill() {
	if p.running != nil {
		_ = p.running.Process.Kill()
		_ = p.running.Wait()
		p.running = nil
	}
}

// stop ends the hub in order.
func (p *process) stop() {
	p.t.Helper()
	if err := p.running.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.running.Wait(); err != nil {
		p.t.Errorf("the hub ended with %v", err)
	}
	p.running = nil
}

// post logs an event and returns the status and the answer.
func (p *process) post(ctx context.Context, key, body string) (int, map[string]any, error) {
	return p.send(ctx, "/events", key, body)
}

// send posts JSON to the hub and returns the status and the answer.
func (p *process) send(ctx context.Context, path, key, body string) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer, err
}

// get reads JSON from the hub with the carer's token, and returns the status.
func (p *process) get(path string, into any) int {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode
}

// waitUntil polls until what holds, for two minutes at the most.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// provider is a receiver that verifies signatures with software that is not ours and keeps a diary.
type provider struct {
	t      *testing.T
	id     string
	server *httptest.Server
	before func(w http.ResponseWriter, r *http.Request) (answered bool) // may misbehave

	mu       sync.Mutex
	tries    int                // messages that came, taken or not
	arrivals []message          // that were taken
	first    map[string]message // by event, of those that came
}

type message struct {
	id, event, patient string
	sum                [32]byte
	body               []byte
}

func newProvider(t *testing.T, id string) *provider {
	p := &provider{t: t, id: id, first: map[string]message{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the hub was killed in the middle
	}
	hook, err := standardwebhooks.NewWebhook(testSecret)
	if err == nil {
		err = hook.Verify(body, r.Header)
	}
	if err != nil {
		p.t.Errorf("%s: signature: %v", p.id, err)
	}
	if nonce, is := challengeIn(body); is {
		echoChallenge(w, nonce)
		return
	}
	m, err := fhir.Decode(body)
	if err != nil {
		p.t.Errorf("%s: %v", p.id, err)
	}
	came := message{id: r.Header.Get("webhook-id"), event: m.Event.ID, patient: m.Event.Patient, sum: sha256.Sum256(body), body: body}
	p.see(came)
	if p.before != nil && p.before(w, r) {
		return
	}
	p.take(came)
	w.WriteHeader(http.StatusNoContent)
}

// see compares what came with what came before it, taken or not.
func (p *provider) see(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if f, repeat := p.first[m.event]; !repeat {
		p.first[m.event] = m
	} else if f.id != m.id || f.sum != m.sum {
		p.t.Errorf("%s: the repeat of %s has another id or other bytes", p.id, m.event)
	}
}

func (p *provider) take(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrivals = append(p.arrivals, m)
}

func (p *provider) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries
}

// firsts returns the events of a patient in the order of their first arrival, alarms left out.
func (p *provider) firsts(patient string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	seen := map[string]bool{}
	for _, m := range p.arrivals {
		if m.patient == patient && !seen[m.event] {
			seen[m.event] = true
			ids = append(ids, m.event)
		}
	}
	return ids
}

func (p *provider) count() (arrived, different int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[string]bool{}
	for _, m := range p.arrivals {
		if m.patient != events.HubPatient {
			arrived++
			taken[m.event] = true
		}
	}
	return arrived, len(taken)
}

// logged is what the hub has logged so far.
func (p *process) logged() string {
	p.t.Helper()
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}
