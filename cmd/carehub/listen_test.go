package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carehub/events/fhir"
)

// listening runs carehub listen and returns its address, its secret's file and what it prints.
func listening(t *testing.T, args ...string) (url, secretFile string, said *journal) {
	t.Helper()
	secretFile, said = filepath.Join(t.TempDir(), "secret"), &journal{}
	writeFile(t, secretFile, hookSecret())
	ctx, cancel := context.WithCancel(t.Context())
	cmd, ended := rootCommand(), make(chan error, 1)
	cmd.SetOut(said)
	cmd.SetArgs(append([]string{"listen", "--listen", "127.0.0.1:0", "--secret-file", secretFile}, args...))
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	address := regexp.MustCompile(`Listening on (http://\S+)`)
	waitUntil(t, "it listens", func() bool { return address.MatchString(said.String()) })
	return address.FindStringSubmatch(said.String())[1], secretFile, said
}

func trigger(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out journal
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"trigger"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestAtTheDesk: what trigger sends, listen answers, shows and passes on as it came; all of it is marked as a test.
func TestAtTheDesk(t *testing.T) {
	program := newSystem(t, &receiver{name: "my program"})
	program.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	url, secret, said := listening(t, "--forward-to", program.server.URL+"/mine?a=b")
	out, err := trigger(t, "admission", "--to", url, "--secret-file", secret)
	if err != nil {
		t.Fatal(err, out)
	}
	contains(t, out, "challenge: echoed", "taken (202)")
	contains(t, said.String(), "challenge  signature verified  echoed", `"Admit Notification"  signature verified  your program answered 202 Accepted`)
	got := program.all()
	if len(got) != 1 || got[0].url != "/mine?a=b" || got[0].header.Get("webhook-signature") == "" {
		t.Fatalf("passed on %+v", got)
	}
	m, err := fhir.Decode(got[0].body)
	if err != nil || !m.Event.Test || !strings.Contains(string(got[0].body), "HTEST") {
		t.Errorf("%v, a test: %v", err, m.Event.Test)
	}
	for _, format := range []string{"cloudevents", "thin"} {
		if out, err := trigger(t, "fall", "--to", url, "--secret-file", secret, "--format", format); err != nil {
			t.Error(format, err, out)
		}
	}
	contains(t, said.String(), `"care-fall-1"  signature verified`, `"carehub.event"  signature verified`)
	for _, r := range program.all()[1:] {
		if !strings.Contains(string(r.body), `test":true`) {
			t.Errorf("not marked as a test: %s", r.body)
		}
	}
}

// TestAtTheDeskWithAnotherSecret: nothing is taken for the hub's that is not.
func TestAtTheDeskWithAnotherSecret(t *testing.T) {
	url, _, said := listening(t)
	other := filepath.Join(t.TempDir(), "other")
	writeFile(t, other, hookSecret())
	out, err := trigger(t, "fall", "--to", url, "--secret-file", other)
	if err == nil || !strings.Contains(out, "A hub would send it nothing.") {
		t.Errorf("%v: %s", err, out)
	}
	contains(t, said.String(), "SIGNATURE NOT VERIFIED", "answered 401")
}

// TestTriggerLogsATest at a hub: it goes where it would go, marked as a test.
func TestTriggerLogsATest(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	token := filepath.Join(t.TempDir(), "token")
	writeFile(t, token, w.token("ruth"))
	out, err := trigger(t, "admission", "--patient", "dad", "--hub", w.url, "--token-file", token)
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the surgery has it", func() bool { return len(w.surgery.all()) == 1 })
	if m := w.surgery.messages()[0]; !m.Event.Test || !strings.Contains(out, m.Event.ID) {
		t.Errorf("%s: %+v", out, m.Event)
	}
}

// TestDeskRefuses what cannot work, or would open this machine to others.
func TestDeskRefuses(t *testing.T) {
	elsewhere := httptest.NewServer(nil)
	defer elsewhere.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, hookSecret())
	for what, args := range map[string][]string{
		"every address":      {"listen", "--listen", "0.0.0.0:0"},
		"a name":             {"listen", "--listen", "hub.example:0"},
		"no URL":             {"listen", "--listen", "127.0.0.1:0", "--forward-to", "mine"},
		"no kind":            {"trigger", "admision", "--to", elsewhere.URL, "--secret-file", secret},
		"neither":            {"trigger", "fall"},
		"both":               {"trigger", "fall", "--to", elsewhere.URL, "--patient", "dad"},
		"no secret":          {"trigger", "fall", "--to", elsewhere.URL},
		"plain http outside": {"trigger", "fall", "--to", "http://gp.example/", "--secret-file", secret},
		"a private address":  {"trigger", "fall", "--to", "https://10.0.0.1/", "--secret-file", secret},
		"a format":           {"trigger", "fall", "--to", elsewhere.URL, "--secret-file", secret, "--format", "xml"},
	} {
		cmd := rootCommand()
		cmd.SetOut(&journal{})
		cmd.SetArgs(args)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
