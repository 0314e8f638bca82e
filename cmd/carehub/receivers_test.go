package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"carehub/events"
)

// examples are the receivers of docs/integrators.md: the language of their block, their file, and how to run it.
var examples = []struct {
	language, file string
	build, run     []string
}{
	{"python", "receive.py", nil, []string{"python3", "receive.py"}},
	{"js", "receive.mjs", nil, []string{"node", "receive.mjs"}},
	{"go", "receive.go", nil, []string{"./receive"}},
	{"csharp", "receive.cs", []string{"mcs", "-out:receive.exe", "receive.cs"}, []string{"mono", "receive.exe"}},
}

// TestReceiversOfTheDocs runs each example as it is printed, but for its port, against what a hub sends: the challenge, a
// message, its repeat, and what must be refused.
func TestReceiversOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/integrators.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples {
		t.Run(e.language, func(t *testing.T) {
			t.Parallel()
			block := regexp.MustCompile("(?s)```" + e.language + "\n(.*?)```").FindSubmatch(page)
			if block == nil {
				t.Fatal("there is no example")
			}
			dir, address := t.TempDir(), freeAddress(t)
			_, port, _ := net.SplitHostPort(address)
			secret := hookSecret()
			writeFile(t, filepath.Join(dir, "secrets", "district-nurses"), secret+"\n")
			writeFile(t, filepath.Join(dir, e.file), strings.ReplaceAll(string(block[1]), "9102", port))
			if e.language == "go" { // in this module, which has the library
				build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "receive"), filepath.Join(dir, e.file))
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if e.build != nil {
				build := exec.CommandContext(t.Context(), e.build[0], e.build[1:]...)
				build.Dir = dir
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			r := &exampleReceiver{t: t, url: "http://" + address + "/hooks/care", secret: secret}
			r.start(dir, e.run)
			r.check()
		})
	}
}

// exampleReceiver is an example that runs.
type exampleReceiver struct {
	t           *testing.T
	url, secret string
	said        *bufio.Reader
}

func (r *exampleReceiver) start(dir string, run []string) {
	r.t.Helper()
	cmd := exec.Command(run[0], run[1:]...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.said = bufio.NewReader(out)
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r.t.Failed() {
			r.t.Log(complaints.String())
		}
	})
	waitUntil(r.t, "the example listens", func() bool {
		resp, err := http.Post(r.url, "application/json", strings.NewReader("{}"))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}

// check holds an example to what the page asks of receivers.
func (r *exampleReceiver) check() {
	r.t.Helper()
	const nonce = `{"type":"carehub.endpoint.verification","nonce":"JX3HNONCE"}`
	if status, answer := r.send("msg_challenge", time.Now(), nonce, nil); status != http.StatusOK || !strings.Contains(strings.ReplaceAll(answer, " ", ""), `"nonce":"JX3HNONCE"`) {
		r.t.Errorf("the challenge: %d %s", status, answer)
	}
	d, err := sampleDelivery(events.Admission)
	if err != nil {
		r.t.Fatal(err)
	}
	for range 2 { // the second is a repeat
		if status, answer := r.send(d.ID, time.Now(), string(d.Message), nil); status/100 != 2 {
			r.t.Errorf("a message: %d %s", status, answer)
		}
	}
	for what, c := range map[string]struct {
		at     time.Time
		body   string
		change func(http.Header)
	}{
		"a changed body":    {time.Now(), string(d.Message) + " ", func(h http.Header) { h.Set("webhook-signature", r.sign(d.ID, time.Now(), string(d.Message))) }},
		"an expired one":    {time.Now().Add(-6 * time.Minute), string(d.Message), nil},
		"one of the future": {time.Now().Add(6 * time.Minute), string(d.Message), nil},
		"another id":        {time.Now(), string(d.Message), func(h http.Header) { h.Set("webhook-id", "msg_other") }},
		"no signature":      {time.Now(), string(d.Message), func(h http.Header) { h.Del("webhook-signature") }},
		"no time":           {time.Now(), string(d.Message), func(h http.Header) { h.Del("webhook-timestamp") }},
		"an unsigned nonce": {time.Now(), nonce, func(h http.Header) { h.Set("webhook-signature", "v1,AAAA") }},
	} {
		if status, _ := r.send(d.ID, c.at, c.body, c.change); status != http.StatusUnauthorized {
			r.t.Errorf("%s: %d", what, status)
		}
	}
	two := func(h http.Header) { h.Set("webhook-signature", "v1,AAAA "+h.Get("webhook-signature")) }
	if status, _ := r.send("msg_rotating", time.Now(), string(d.Message), two); status/100 != 2 {
		r.t.Errorf("two signatures: %d", status)
	}
	for range 2 { // the message once, and the one with two signatures
		if line, err := r.said.ReadString('\n'); err != nil || strings.TrimSpace(line) != "Admit Notification" {
			r.t.Errorf("it said %q, %v", line, err)
		}
	}
	if n := r.said.Buffered(); n > 0 {
		r.t.Errorf("it said %d bytes more", n)
	}
}

func (r *exampleReceiver) sign(id string, at time.Time, body string) string {
	hook, err := standardwebhooks.NewWebhook(r.secret)
	if err != nil {
		r.t.Fatal(err)
	}
	signature, err := hook.Sign(id, at, []byte(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return signature
}

func (r *exampleReceiver) send(id string, at time.Time, body string, change func(http.Header)) (status int, answer string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", r.sign(id, at, body))
	if change != nil {
		change(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(said)
}
