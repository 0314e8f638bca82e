package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers/email/mailtest"
)

// TestRealMailServers has Postfix and Dovecot take the hub's mail, by each way of signing in that providers of mail ask for, and
// write back what they cannot deliver. The hub reads that over IMAP, tells the next channel, and a person.
func TestRealMailServers(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, "ward@hospice.example")
	for n, auth := range []string{
		fmt.Sprintf("{mechanism: SCRAM-SHA-256, user: %s, password: \"${file:secrets/mail}\"}", mailtest.User),
		fmt.Sprintf("{mechanism: OAUTHBEARER, user: %s, token_url: %s, client_id: %s, client_secret: \"${file:secrets/client}\"}", mailtest.User, server.TokenURL, mailtest.ClientID),
		fmt.Sprintf("{mechanism: XOAUTH2, user: %s, token_url: %s, client_id: %s, client_secret: \"${file:secrets/client}\"}", mailtest.User, server.TokenURL, mailtest.ClientID),
	} {
		mechanism, _, _ := strings.Cut(strings.TrimPrefix(auth, "{mechanism: "), ",")
		t.Run(mechanism, func(t *testing.T) { bounceAndGoOn(t, server, auth, n+1) })
	}
	if server.Tokens.Checked() == 0 {
		t.Error("no token was ever shown")
	}
}

// bounceAndGoOn is one hub with one event for the ward, which has a mailbox, and for two who have none any more: a team with a
// second channel, and a surgery without.
func bounceAndGoOn(t *testing.T, server *mailtest.Server, auth string, nth int) {
	admin, team := newProvider(t, "admin"), newProvider(t, "team")
	hub := newProcess(t, 1, admin, team)
	hub.withMail(t, server, auth)
	f, err := loadForUse(hub.dir)
	if err != nil {
		t.Fatal(err)
	}
	verifyInboxes(t, f, "ward")
	hub.start()
	hub.verifiesByMail(t, server, "ward", "ward@hospice.example", 2*nth-1)
	status, answer, err := hub.post(t.Context(), "bounce-"+fmt.Sprint(nth), `{"patient": "p-0000", "kind": "admission"}`)
	if err != nil || status != 201 {
		t.Fatal(status, answer, err)
	}
	id := answer["id"].(string)
	waitUntil(t, "the team was told by its other channel", func() bool { return hub.state(id, "team") == string(events.Received) })
	waitUntil(t, "the surgery is known not to have been told", func() bool { return hub.state(id, "surgery") == string(events.Refused) })
	if state := hub.state(id, "ward"); state != string(events.Sent) {
		t.Errorf("the ward is %s", state)
	}
	mails := server.AwaitMail(t, "ward@hospice.example", 2*nth)
	if last := mails[len(mails)-1]; !strings.Contains(last, "a message about someone in your care") {
		t.Errorf("the ward got\n%s", last)
	}
	waitUntil(t, "the admin knows of both, and that the ward's inbox was not verified", func() bool { return len(admin.alarmed(t)) >= 3 })
	for _, words := range admin.alarmed(t) {
		if strings.HasPrefix(words, "The email address of The ward has not been verified") {
			continue
		}
		if !strings.Contains(words, "the mail that was sent to them came back") {
			t.Errorf("alarm: %s", words)
		}
	}
	hub.hasReadItsBounces(t, server, nth)
	hub.stop()
	for _, private := range []string{"nobody@", "gone@", "care+b-", "Thomas"} {
		if strings.Contains(hub.logged(), private) {
			t.Errorf("%s stands in the log", private)
		}
	}
}

// verifiesByMail has somebody ask for a link to an inbox, read it there as the nth mail, and answer it.
func (p *process) verifiesByMail(t *testing.T, server *mailtest.Server, subscriber, mailbox string, nth int) {
	t.Helper()
	p.run("subscriber", "verify", subscriber, "--dir", p.dir)
	mails := server.AwaitMail(t, mailbox, nth)
	link, err := url.Parse(linkToAnswer.FindString(unfolded(strings.ReplaceAll(mails[nth-1], "=\n", ""))))
	if err != nil || link.Path == "" {
		t.Fatalf("no link in\n%s", mails[nth-1])
	}
	resp, err := http.PostForm(p.url+link.Path, url.Values{"code": {code}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("verifying the inbox of %s: status %d", subscriber, resp.StatusCode)
	}
}

// hasReadItsBounces: two in the mailbox, written by Postfix and marked as read, and nothing left to do.
func (p *process) hasReadItsBounces(t *testing.T, server *mailtest.Server, nth int) {
	t.Helper()
	for _, m := range server.AwaitMail(t, mailtest.User, 2*nth)[2*(nth-1):] {
		if !strings.Contains(m, "Action: failed") || !strings.Contains(m, "X-Postfix-Queue-ID") {
			t.Errorf("a bounce is\n%s", m)
		}
	}
	waitUntil(t, "the bounces are marked as read", func() bool { return server.Seen(t, mailtest.User) == 2*nth })
	waitUntil(t, "nothing is left to do", func() bool { return p.metric(t, "carehub_bounces_pending") == "0" })
	for series, want := range map[string]string{`carehub_mail_reports_total{result="bounced"}`: "2", `carehub_alarms_total{reason="bounced"}`: "2"} {
		if got := p.metric(t, series); got != want {
			t.Errorf("%s is %s, not %s", series, got, want)
		}
	}
}

// withMail gives a hub a mail account, the ward, and two mailboxes that are not there.
func (p *process) withMail(t *testing.T, server *mailtest.Server, auth string) {
	t.Helper()
	hub := filepath.Join(p.dir, "hub.yaml")
	text, err := os.ReadFile(hub)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, hub, string(text)+fmt.Sprintf("mail:\n  host: %s\n  port: %d\n  from: %s\n  ca_file: %s\n  auth: %s\n"+
		"  bounces:\n    address: care+b-*@hub.example\n    imap: {host: %s, port: %d}\n",
		server.Host, server.SMTP, mailtest.User, server.CAFile, auth, server.Host, server.IMAP))
	writeFile(t, filepath.Join(p.dir, "secrets/mail"), mailtest.Password)
	writeFile(t, filepath.Join(p.dir, "secrets/client"), mailtest.ClientSecret)
	writeFile(t, filepath.Join(p.dir, "subscribers/ward.yaml"), "id: ward\nname: The ward\nchannels:\n  - email: {to: ward@hospice.example}\n")
	writeFile(t, filepath.Join(p.dir, "subscribers/surgery.yaml"), "id: surgery\nname: The surgery\nphone: \"01234 567891\"\nchannels:\n  - email: {to: gone@hospice.example}\n")
	team := filepath.Join(p.dir, "subscribers/team.yaml")
	if text, err = os.ReadFile(team); err != nil {
		t.Fatal(err)
	}
	writeFile(t, team, strings.Replace(string(text), "channels:\n", "channels:\n  - email: {to: nobody@hospice.example}\n", 1))
	writeFile(t, filepath.Join(p.dir, "routing/p-0000.yaml"), "patient: p-0000\nlogged_by: {ruth: {as: [dad], may: [log, see]}}\n"+
		"rules:\n  - {on: admission, notify: [ward, team, surgery]}\n")
}

// alarmed returns what a provider was told as an alarm recipient.
func (p *provider) alarmed(t *testing.T) (words []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.arrivals {
		e, err := fhir.Decode(m.body)
		if err != nil {
			t.Fatal(err)
		}
		if e.Event.Kind == events.Alarm {
			words = append(words, e.Event.Words)
		}
	}
	return words
}

// metric is the value of one series; "" if there is none.
func (p *process) metric(t *testing.T, series string) string {
	t.Helper()
	resp, err := http.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(string(text))
	if m == nil {
		return ""
	}
	return m[1]
}
