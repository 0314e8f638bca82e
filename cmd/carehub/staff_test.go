package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"carehub/events/fhir/validate"
)

// staffed gives the frailty team a sign-in of its organisation's, and starts that: a provider that is not ours, see testdata/oidc.
func (w *town) staffed() (provider string) {
	w.t.Helper()
	dir, err := validate.Install(w.t.Context(), "cmd/carehub/testdata/oidc")
	if err != nil {
		w.t.Fatal(err)
	}
	address := freeAddress(w.t)
	provider = "http://" + address
	writeFile(w.t, filepath.Join(w.dir, "secrets/provider"), "secret-of-the-hub-at-its-provider\n")
	w.edit("hub.yaml", "url: "+w.url, "signin:\n  oidc:\n    - {name: Frailty login, issuer: \""+provider+"\", client_id: hub, client_secret: \"${file:secrets/provider}\",\n"+
		"       subscriber: frailty-team, domains: [frailty.example], claims: {groups: carehub}}\nurl: "+w.url)
	cmd := exec.CommandContext(w.t.Context(), "node", filepath.Join(dir, "provider.mjs"), address[strings.LastIndex(address, ":")+1:],
		w.url+"/signin/oidc/frailty-team/callback")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
		w.t.Fatalf("%q %v", line, err)
	}
	return provider
}

// TestStaff: the staff of an organisation sign in where it has them do so, in a browser; those who may not, and whoever comes back
// with something else than they were sent for, do not.
func TestStaff(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.atHost() // the provider is at another, as it would be
	provider := w.staffed()
	w.start()
	s := newScreen(t, w.url, true)
	s.open("/")
	s.shows(`a[href^="/signin/oidc/"]`)
	s.judge("signin-staff")
	s.open("/signin?lang=cy")
	s.shows(`a[href^="/signin/oidc/"]`)
	s.judge("signin-staff.cy")
	s.open("/signin?lang=en-GB")
	s.tap(`a[href^="/signin/oidc/"]`)
	s.shows("button[value=jo]")
	s.tap("button[value=jo]")
	s.says("Jo Nurse")
	if s.path() != "/" {
		t.Errorf("at %s", s.path())
	}
	s.judge("home-staff")
	if got := w.carehub("sessions", "frailty-team", "--dir", w.dir); !strings.HasPrefix(got, "frailty-team") {
		t.Errorf("sessions: %s", got)
	}

	for who, in := range map[string]bool{"jo": true, "lee": true, "sam": false, "kit": false, "nobody": false} {
		if got := w.staffComes(provider, who, nil); got != in {
			t.Errorf("%s is signed in: %t", who, got)
		}
	}
	for _, changed := range []string{"nonce", "state", "code_challenge"} {
		if w.staffComes(provider, "jo", func(asked url.Values) { asked.Set(changed, strings.Repeat("A", 43)) }) {
			t.Errorf("with another %s jo is signed in", changed)
		}
	}
	for _, secret := range []string{"Jo", "Nurse", "Lee", "frailty.example", "secret-of-the-hub"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
	if got := w.carehub("revoke", "frailty-team", "--dir", w.dir); !strings.HasPrefix(got, "revoked 3 sessions,") {
		t.Error(got)
	}
	s.open("/")
	s.says("Sign in to")
}

// staffComes goes the way that a browser goes, with what is asked of the provider changed, and reports whether it is signed in.
func (w *town) staffComes(provider, who string, change func(asked url.Values)) bool {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: w.http.Transport, CheckRedirect: w.http.CheckRedirect}
	at := w.url + "/signin/oidc/frailty-team"
	for range 10 {
		resp, err := client.Get(at) // #nosec G107 -- a test's own servers
		if err != nil {
			w.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		next, err := resp.Location()
		switch {
		case err == nil:
			if next.Path == "/auth" && next.Query().Has("nonce") && change != nil {
				asked := next.Query()
				change(asked)
				next.RawQuery = asked.Encode()
			}
			at = next.String()
		case strings.HasPrefix(at, provider+"/interaction/") && resp.StatusCode == http.StatusOK:
			at += "?login=" + who
		default:
			home, err := client.Get(w.url + "/")
			if err != nil {
				w.t.Fatal(err)
			}
			home.Body.Close()
			return home.StatusCode == http.StatusOK
		}
	}
	w.t.Fatalf("led around in circles, to %s", at)
	return false
}
