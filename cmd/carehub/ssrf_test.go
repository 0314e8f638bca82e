package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carehub/events"
)

// TestSubscriptionsToThisNetwork has a system ask for endpoints in networks that are not for it: refused when it asks, and
// when something is to be sent to one that was allowed once.
func TestSubscriptionsToThisNetwork(t *testing.T) {
	t.Parallel()
	p := subscribable(t)
	p.start()
	surgery := newSubscriber(p, "surgery")
	for _, url := range []string{
		"https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1:8443/x", "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/",
		"https://[::1]/", "https://[::]/", "https://0.0.0.0/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:169.254.169.254]/", "https://[64:ff9b::a00:1]/",
		"https://[64:ff9b::a9fe:a9fe]/", "https://[2002:a00:1::]/", "https://[fe80::1%25eth0]/", "https://100.64.0.1/", "https://224.0.0.1/", "https://0x0a000001/",
		"https://167772161/", "https://10.1/", "http://10.0.0.1/", "http://localhost.example/", "https://nowhere.invalid/", "file:///etc/passwd", "gopher://10.0.0.1/",
	} {
		body := strings.Replace(surgery.wanted("any", "empty", ""), surgery.server.URL+"/hook", url, 1)
		status, _, answer := surgery.ask("POST", "/fhir/Subscription", body)
		if status != http.StatusUnprocessableEntity || !bytes.Contains(answer, []byte("OperationOutcome")) {
			t.Errorf("%s: %d %s", url, status, answer)
		}
	}
	if _, _, found := surgery.ask("GET", "/fhir/Subscription", ""); bytes.Contains(found, []byte(`"entry"`)) {
		t.Errorf("stored: %s", found)
	}
	p.revokedNetwork(surgery)
}

// revokedNetwork takes the network of an endpoint out of egress.allow.
func (p *process) revokedNetwork(surgery *subscriber) {
	t := p.t
	t.Helper()
	elsewhere := newSubscriber(p, "surgery")
	elsewhere.server.Close()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: elsewhere}} // #nosec G112 -- a test
	elsewhere.server.Start()
	t.Cleanup(elsewhere.server.Close)
	id := elsewhere.subscribe("any", "full-resource", "")
	p.stop()
	file := filepath.Join(p.dir, "hub.yaml")
	settings, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, strings.Replace(string(settings), "127.0.0.0/8", "127.0.0.1/32", 1))
	p.start()
	before := len(elsewhere.told())
	p.log1("k1", "a", events.Admission)
	surgery.becomes(id, "error")
	if got := elsewhere.told(); len(got) != before {
		t.Errorf("it was told: %+v", got[before:])
	}

	redirecting := newSubscriber(p, "surgery")
	target := newSubscriber(p, "surgery")
	redirecting.server.Config.Handler = http.RedirectHandler(target.server.URL, http.StatusTemporaryRedirect)
	_, _, made := redirecting.ask("POST", "/fhir/Subscription", redirecting.wanted("any", "full-resource", ""))
	redirecting.becomes(redirecting.is(made).ID, "error")
	if got := target.told(); len(got) != 0 {
		t.Errorf("the redirect was followed: %+v", got)
	}
}
