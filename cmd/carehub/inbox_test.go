package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"carehub/events"
	"carehub/events/receipts"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// code is what opens every inbox of the tests, and hashedCode how the store has it: with little memory, for speed.
const (
	code       = "7291"
	hashedCode = "$argon2id$v=19$m=64,t=2,p=1$nVVDjkJaqth2lsJOcGZvog$ErxlAEbfoES1l2RXHO4pW/uQD5sOQRArsPiNNtoEa8o"
)

// verifyInboxes has the store of a hub that does not run know all addresses of its configuration as verified, with code, but
// for those of some.
func verifyInboxes(t *testing.T, f *folder, but ...string) {
	t.Helper()
	ctx := t.Context()
	store, err := openStore(ctx, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.WithoutCancel(ctx))
	learned := endpoints.New(store)
	for _, s := range f.register.All() {
		if slices.Contains(but, s.ID) {
			continue
		}
		for _, c := range s.Channels {
			m, ok := c.Endpoint.(subscribers.Mailbox)
			if !ok {
				continue
			}
			_, err := learned.Change(ctx, s.ID, c.Key, func(rec *endpoints.Record) error {
				rec.Verify(m.Address(), time.Now())
				rec.Inbox.Code = hashedCode
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// reader is a browser: it keeps cookies.
func (w *town) reader() *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Transport: w.http.Transport, Jar: jar}
}

// submits sends a form, name and value in turn, and goes where the answer leads.
func (w *town) submits(c *http.Client, link string, fields ...string) (int, string) {
	w.t.Helper()
	form := url.Values{}
	for pair := range slices.Chunk(fields, 2) {
		form.Set(pair[0], pair[1])
	}
	return w.body(c.PostForm(link, form))
}

// asked waits for the newest mail that asks an address something, and returns its link.
func (w *town) asked(address string, more int) (link string) {
	w.t.Helper()
	waitUntil(w.t, "the mail has come", func() bool {
		var all []string
		for _, raw := range w.mail.to(address) {
			if link := linkToAnswer.FindString(unfolded(raw)); link != "" {
				all = append(all, link)
			}
		}
		if len(all) < more {
			return false
		}
		link = all[len(all)-1]
		return true
	})
	return link
}

// TestAdminWhoIsNotToldYet: no door says that the admin knows while no channel of theirs has taken the alarm.
func TestAdminWhoIsNotToldYet(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.inboxes = true // unverified: what goes there is refused at once
	w.mail.refuse(func(to string) error {
		if to == "on-call@riverside.example" {
			return &smtp.SMTPError{Code: 451, Message: "later"}
		}
		return nil
	})
	w.start()
	ruth := w.token("ruth")
	id := w.says(ruth, "dad admitted").ID
	team := func() receipts.Recipient { return row(w.view(ruth, id), "frailty-team") }
	const refused = "We could not tell Frailty team: their address has not been verified yet. Call 01234 567893."
	waitUntil(t, "the alarm is stored", func() bool { return strings.Contains(team().Words, "admin") })
	if got := team().Words; got != refused+" We are telling your admin, who has not been told yet." {
		t.Errorf("nobody knows, and it says %q", got)
	}
	if said := w.carehub("who", "--event", id, "--dir", w.dir); !strings.Contains(said, "unverified, the alarm recipients have not been told yet") {
		t.Errorf("nobody knows, and who says\n%s", said)
	}
	w.mail.refuse(nil)
	waitUntil(t, "the admin knows", func() bool { return team().Words == refused+" Your admin has been told." })
	if said := w.carehub("who", "--event", id, "--dir", w.dir); !strings.Contains(said, "unverified, the alarm recipients were told") {
		t.Errorf("the admin knows, and who says\n%s", said)
	}
}

// TestInbox: an address gets nothing about a patient before it is verified, by its own mail and page; then messages, which
// open with the code alone.
func TestInbox(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.inboxes = true // as they are: unverified
	w.start()
	ruth := w.token("ruth")
	waitUntil(t, "the admin hears of it at the start", func() bool {
		return strings.Contains(strings.Join(w.mail.to("on-call@riverside.example"), ""), "has not been verified")
	})
	v := w.settled(ruth, w.says(ruth, "dad admitted").ID)
	team := row(v, "frailty-team")
	if want := "We could not tell Frailty team: their address has not been verified yet. Call 01234 567893. Your admin has been told."; team.State != events.Refused || team.Words != want {
		t.Errorf("%+v", team)
	}
	w.asked("team@frailty.example", 1)
	for _, raw := range w.mail.to("team@frailty.example") {
		if plain := unfolded(raw); strings.Contains(plain, "Thomas") || strings.Contains(plain, "7f3k") || strings.Contains(plain, "dmitted") {
			t.Errorf("an unverified address is told:\n%s", raw)
		}
	}

	said := w.carehub("subscriber", "verify", "frailty-team", "--dir", w.dir)
	contains(t, said, "the hub sends a link to the inbox email of frailty-team")
	link := w.asked("team@frailty.example", 2)
	if status, page := w.submits(w.reader(), link, "code", "k-2704"); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, page)
	}
	list := w.carehub("subscriber", "list", "--dir", w.dir)
	if !regexp.MustCompile(`(?m)^frailty-team\s+email\s+verified \d{4}`).MatchString(list) || !regexp.MustCompile(`(?m)^hospice\s+email\s+unverified`).MatchString(list) {
		t.Error(list)
	}
	w.opensWithTheCode(ruth, "K2704")
}

// opensWithTheCode: the message that comes now opens with the code, and with nothing else.
func (w *town) opensWithTheCode(ruth, code string) {
	w.t.Helper()
	if v := w.settled(ruth, w.says(ruth, "dad came home").ID); row(v, "frailty-team").State != events.Sent {
		w.t.Errorf("%+v", row(v, "frailty-team"))
	}
	links := slices.DeleteFunc(w.mail.links("team@frailty.example"), func(l string) bool { return l == "" })
	if len(links) != 1 {
		w.t.Fatalf("links %q", links)
	}
	for _, wrong := range []string{"", "0000", "K2705", strings.Repeat("9", 5000)} {
		status, page := w.submits(w.reader(), links[0], "code", wrong)
		if status != http.StatusForbidden || strings.Contains(page, "Thomas") {
			w.t.Errorf("%.20q: status %d", wrong, status)
		}
	}
	person := w.reader()
	status, page := w.submits(person, links[0], "code", code)
	if status != http.StatusOK {
		w.t.Fatalf("status %d: %s", status, page)
	}
	contains(w.t, page, "Discharged from hospital", "Thomas Example", "/inbox/")
	status, page = w.body(person.Get(links[0]))
	if status != http.StatusOK || !strings.Contains(page, "Thomas Example") {
		w.t.Errorf("the code has to be given again: %d", status)
	}
}

// TestInboxOfAStoppedHub: the commands work by the store too, and the mail is sent when the hub runs.
func TestInboxOfAStoppedHub(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	contains(t, w.carehub("subscriber", "verify", "tom", "--dir", w.dir), "link")
	contains(t, w.carehub("subscriber", "list", "--dir", w.dir), "unverified, link not sent yet")
	w.inboxes = true
	w.start()
	if status, _ := w.submits(w.reader(), w.asked("tom@home.example", 1), "code", code); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	w.stop()
	if list := w.carehub("subscriber", "list", "--dir", w.dir); !regexp.MustCompile(`(?m)^tom\s+email\s+verified`).MatchString(list) {
		t.Error(list)
	}
}

// TestAwayGoesToTheNextChannel: a paused inbox is passed over, and a person is told.
func TestAwayGoesToTheNextChannel(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("subscribers/hospice.yaml", `  - fhir: {url: "http://`+w.hospice.address()+`/fhir", token: "${file:secrets/hospice}"}
  - email: {to: nurses@hospice.example, content: link}`, `  - email: {to: nurses@hospice.example, content: link}
  - fhir: {url: "http://`+w.hospice.address()+`/fhir", token: "${file:secrets/hospice}"}`)
	w.start()
	ruth := w.token("ruth")
	w.settled(ruth, w.says(ruth, "dad admitted").ID)
	w.goesAway("nurses@hospice.example")
	w.goesAway("team@frailty.example")
	v := w.settled(ruth, w.says(ruth, "dad came home").ID)
	if hospice := row(v, "hospice"); hospice.State != events.Received || hospice.Channel != "fhir" {
		t.Errorf("%+v", hospice)
	}
	if team := row(v, "frailty-team"); team.State != events.Refused || !strings.Contains(team.Words, "nothing is sent there for now") {
		t.Errorf("%+v", team)
	}
	waitUntil(t, "the admin has heard of all", func() bool {
		all := unfolded(strings.Join(w.mail.to("on-call@riverside.example"), ""))
		return strings.Contains(all, "Frailty team has paused their inbox") && strings.Contains(all, "Riverside Hospice has paused their inbox") &&
			strings.Contains(all, "they are away and have paused their inbox")
	})
}

// goesAway pauses an inbox, by the page that the newest message there leads to.
func (w *town) goesAway(address string) {
	w.t.Helper()
	person := w.reader()
	_, page := w.submits(person, w.mail.links(address)[0], "code", code)
	until := time.Now().AddDate(0, 0, 7).Format(time.DateOnly)
	status, page := w.submits(person, linkToAnswer.FindString(page), "do", "away", "until", until)
	if status != http.StatusOK || !strings.Contains(page, "It is paused until") {
		w.t.Fatalf("status %d: %s", status, page)
	}
}

// unfolded undoes what quoted-printable does to long lines, and the line breaks of plain text.
func unfolded(raw string) string {
	plain := strings.ReplaceAll(strings.ReplaceAll(raw, "=\r\n", ""), "=3D", "=")
	return strings.Join(strings.Fields(plain), " ")
}
