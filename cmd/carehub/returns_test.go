package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
)

// bounceReport is what a mail server writes to a return address.
func bounceReport(to string) string {
	return "From: MAILER-DAEMON@mx.frailty.example\r\nTo: " + to + "\r\nSubject: Undelivered Mail\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.frailty.example\r\n\r\nFinal-Recipient: rfc822; team@frailty.example\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n"
}

func newBouncingTown(t *testing.T) *town {
	w := newTown(t)
	w.edit("hub.yaml", "  tls: none\n", "  tls: none\n  bounces: {address: care+b-*@riverside.example, post: {token: \"${file:secrets/bounces}\"}}\n")
	writeFile(t, w.dir+"/secrets/bounces", "token-of-the-mail-server")
	return w
}

// bounces posts a report and returns what the hub makes of it.
func (w *town) bounces(token, to string) (int, string) {
	w.t.Helper()
	return w.ask(http.MethodPost, "/mail/bounces", token, bounceReport(to), "Content-Type", "message/rfc822")
}

// TestBounceIsPosted: the address that the mail server got is the one that it reports to, and a watcher sees the turn.
func TestBounceIsPosted(t *testing.T) {
	t.Parallel()
	w := newBouncingTown(t)
	w.start()
	ruth := w.token("ruth")
	v := w.settled(ruth, w.says(ruth, "dad admitted").ID)
	sender := w.mail.sender(t, "team@frailty.example")
	if !strings.HasPrefix(sender, "care+b-") {
		t.Fatalf("sent from %q", sender)
	}
	if status, answer := w.bounces("another", sender); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d %s", status, answer)
	}
	if status, answer := w.bounces("token-of-the-mail-server", sender); status != http.StatusOK || !strings.Contains(answer, `"bounced"`) {
		t.Fatalf("%d %s", status, answer)
	}
	waitUntil(t, "the team is known not to have been told", func() bool { return row(w.view(ruth, v.ID), "frailty-team").State == events.Refused })
	waitUntil(t, "the admin knows", func() bool { return len(w.mail.to("on-call@riverside.example")) == 1 })
	if words := row(w.settled(ruth, v.ID), "frailty-team").Words; !strings.Contains(words, "the mail came back") {
		t.Errorf("the words are %q", words)
	}
	for range 2 {
		if status, _ := w.bounces("token-of-the-mail-server", sender); status != http.StatusOK {
			t.Errorf("again: %d", status)
		}
	}
	waitUntil(t, "all is done", func() bool { return w.series(w.scrape(), "carehub_bounces_pending") == 0 })
	if n := w.series(w.scrape(), "carehub_alarms_total", "reason=bounced"); n != 1 {
		t.Errorf("%v alarms", n)
	}
}

// TestBounceOfTheArchive: the event has left the store when its mail comes back. Nobody is told again, the admin hears of it, and
// the receipt says so, after a restart too.
func TestBounceOfTheArchive(t *testing.T) {
	t.Parallel()
	w := newBouncingTown(t)
	w.start()
	ruth := w.token("ruth")
	id := w.settled(ruth, w.says(ruth, "dad admitted").ID).ID
	sender := w.mail.sender(t, "team@frailty.example")
	w.stop()
	w.intoTheArchive()
	w.start()
	if state := row(w.view(ruth, id), "frailty-team").State; state != events.Sent {
		t.Errorf("in the archive it is %s", state)
	}
	if status, answer := w.bounces("token-of-the-mail-server", sender); status != http.StatusOK || !strings.Contains(answer, `"bounced"`) {
		t.Fatalf("%d %s", status, answer)
	}
	came := func() bool { return row(w.view(ruth, id), "frailty-team").State == events.Refused }
	waitUntil(t, "the receipt says so", came)
	waitUntil(t, "the admin knows", func() bool { return len(w.mail.to("on-call@riverside.example")) == 1 })
	w.stop()
	w.start()
	waitUntil(t, "it still does", came)
	if n := len(w.mail.to("team@frailty.example")); n != 1 {
		t.Errorf("the team was sent %d mails", n)
	}
}

// sender is the envelope's of the last mail to an address.
func (p *post) sender(t *testing.T, to string) (from string) {
	t.Helper()
	for _, l := range p.all() {
		if l.To == to {
			from = l.From
		}
	}
	return from
}

// intoTheArchive has everything in the store archived.
func (w *town) intoTheArchive() {
	w.t.Helper()
	f, err := loadForUse(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx := context.Background()
	h := newHub(f, slog.New(slog.DiscardHandler))
	defer h.close()
	if err := h.open(ctx); err != nil {
		w.t.Fatal(err)
	}
	if err := h.store.Grow(ctx, 0); err != nil {
		w.t.Fatal(err)
	}
	if err := h.archive.Work(ctx); err != nil {
		w.t.Fatal(err)
	}
	if held, _ := h.archive.Size(); held == 0 {
		w.t.Fatal("nothing is in the archive")
	}
}

// TestMailboxUnread: an hour without the mailbox is told of once, and the next such hour again.
func TestMailboxUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		last := time.Now()
		var alarms []string
		failing := true
		w := mailboxWatch{read: func() time.Time { mu.Lock(); defer mu.Unlock(); return last }, log: slog.New(slog.DiscardHandler),
			alarm: func(_ context.Context, about events.About, _ events.Stored) error {
				mu.Lock()
				defer mu.Unlock()
				if failing = !failing; !failing {
					return errors.New("the store is away")
				}
				alarms = append(alarms, about.Event)
				return nil
			}}
		done := make(chan struct{})
		go func() { w.run(ctx); close(done) }()
		after := func(wait time.Duration, want int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(alarms) != want {
				t.Errorf("alarms: %q, want %d", alarms, want)
			}
		}
		after(59*time.Minute, 0)
		after(3*time.Minute, 1)
		after(5*time.Hour, 1)
		mu.Lock()
		last = time.Now()
		mu.Unlock()
		after(30*time.Minute, 1)
		after(33*time.Minute, 2)
		if alarms[0] == alarms[1] {
			t.Errorf("both are %s", alarms[0])
		}
		cancel()
		<-done
	})
}
