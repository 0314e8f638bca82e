package email_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/email"
)

// want is a Failure without its detail.
type want struct {
	reason    events.Reason
	permanent bool
	body      bool
	status    int
}

func (w want) hold(t *testing.T, err error) {
	t.Helper()
	f := failed(t, err)
	if got := (want{f.Reason, f.Permanent, f.Body, f.Status}); got != w {
		t.Errorf("got %+v (%v), want %+v", got, f.Err, w)
	}
}

// Points of the dialogue before the message has been taken, in their order.
var points = []string{
	"connect", "EHLO", "STARTTLS", "handshake", "EHLO2", "AUTH", "MAIL", "RCPT", "DATA", "body",
}

func TestDropAtEveryPoint(t *testing.T) {
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			s := play(t, &script{at: map[string]action{point: drop}, password: "hunter2"})
			e, _ := open(t, s.config(), events.ContentLink)
			want{reason: events.ReasonConnection}.hold(t, e.Send(t.Context(), numbered(t, 1)))
			if n := s.count("body"); n > 1 {
				t.Errorf("the message was sent %d times in one attempt", n)
			}
		})
	}
}

func TestHangAtEveryPoint(t *testing.T) {
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			s := play(t, &script{at: map[string]action{point: hang}, password: "hunter2"})
			c := s.config()
			c.Timeout = 300 * time.Millisecond
			e, _ := open(t, c, events.ContentLink)
			f := failed(t, e.Send(t.Context(), numbered(t, 1)))
			if f.Reason != events.ReasonTimeout || f.Permanent || !errors.Is(f, context.DeadlineExceeded) {
				t.Errorf("got %v (%v), want timeout, temporary", f, f.Err)
			}
			if s.count(point) != 1 {
				t.Errorf("the dialogue came %d times to %s", s.count(point), point)
			}
		})
	}
}

func TestCancelAtEveryPoint(t *testing.T) {
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := &script{at: map[string]action{point: hang}, password: "hunter2"}
			reached := s.reached(point)
			play(t, s)
			e, _ := open(t, s.config(), events.ContentLink)
			d := numbered(t, 1)
			go func() { <-reached; cancel() }()
			if f := failed(t, e.Send(ctx, d)); f.Permanent || !errors.Is(f, context.Canceled) {
				t.Errorf("got %v (%v), want temporary, cancelled", f, f.Err)
			}
		})
	}
}

func TestReplies(t *testing.T) {
	temporary := func(r events.Reason, status int) want { return want{reason: r, status: status} }
	permanent := func(r events.Reason, status int) want { return want{reason: r, permanent: true, status: status} }
	cases := []struct {
		point string
		reply string
		want  want
	}{
		{"connect", "421 4.3.2", temporary(events.ReasonBusy, 421)},
		{"connect", "554 5.7.1", temporary(events.ReasonServerError, 554)},
		{"connect", "hello", want{reason: events.ReasonServerError}},
		{"EHLO", "421 4.3.2", temporary(events.ReasonBusy, 421)},
		{"STARTTLS", "454 4.7.0", temporary(events.ReasonTLS, 454)},
		{"STARTTLS", "501 5.5.1", temporary(events.ReasonTLS, 501)},
		{"AUTH", "535 5.7.8", temporary(events.ReasonAuth, 535)},
		{"AUTH", "534", temporary(events.ReasonAuth, 534)},
		{"AUTH", "504 5.7.4", temporary(events.ReasonAuth, 504)},
		{"AUTH", "454 4.7.0", temporary(events.ReasonBusy, 454)},
		{"AUTH", "421 4.3.2", temporary(events.ReasonBusy, 421)},
		{"MAIL", "530 5.7.0", temporary(events.ReasonAuth, 530)},
		{"MAIL", "451 4.3.0", temporary(events.ReasonServerError, 451)},
		{"MAIL", "452 4.3.1", temporary(events.ReasonBusy, 452)},
		{"MAIL", "550 5.7.1", temporary(events.ReasonServerError, 550)},
		{"RCPT", "421 4.7.0", temporary(events.ReasonBusy, 421)},
		{"RCPT", "450 4.2.1", temporary(events.ReasonBusy, 450)},
		{"RCPT", "451 4.7.1", temporary(events.ReasonBusy, 451)}, // greylisting
		{"RCPT", "451 4.3.0", temporary(events.ReasonServerError, 451)},
		{"RCPT", "452", temporary(events.ReasonBusy, 452)},
		{"RCPT", "550 5.1.1", permanent(events.ReasonAddress, 550)},
		{"RCPT", "550", permanent(events.ReasonAddress, 550)},
		{"RCPT", "551", permanent(events.ReasonAddress, 551)},
		{"RCPT", "553 5.1.3", permanent(events.ReasonAddress, 553)},
		{"RCPT", "501 5.1.3", permanent(events.ReasonAddress, 501)},
		{"RCPT", "556 5.1.10", permanent(events.ReasonAddress, 556)},
		{"RCPT", "550 5.7.1", permanent(events.ReasonRejected, 550)},
		{"RCPT", "554 5.7.1", permanent(events.ReasonRejected, 554)},
		{"RCPT", "552 5.2.2", temporary(events.ReasonBusy, 552)}, // mailbox full
		{"RCPT", "530 5.7.0", temporary(events.ReasonAuth, 530)},
		{"RCPT", "503 5.5.1", temporary(events.ReasonServerError, 503)},
		{"DATA", "451 4.3.0", temporary(events.ReasonServerError, 451)},
		{"DATA", "554 5.5.1", temporary(events.ReasonServerError, 554)},
		{"body", "421 4.3.2", temporary(events.ReasonBusy, 421)},
		{"body", "451 4.3.0", temporary(events.ReasonServerError, 451)},
		{"body", "452 4.3.1", temporary(events.ReasonBusy, 452)},
		{"body", "552 5.3.4", want{events.ReasonRejected, true, true, 552}},
		{"body", "554 5.7.1", want{events.ReasonRejected, true, true, 554}},
		{"body", "550 5.1.1", permanent(events.ReasonAddress, 550)},
		{"body", "500 5.5.2", temporary(events.ReasonServerError, 500)},
	}
	for _, c := range cases {
		t.Run(c.point+" "+c.reply, func(t *testing.T) {
			s := play(t, &script{at: map[string]action{c.point: gossip(c.reply)}, password: "hunter2"})
			e, _ := open(t, s.config(), events.ContentLink)
			c.want.hold(t, e.Send(t.Context(), numbered(t, 1)))
		})
	}
}

// A reply of several lines is judged by its first, and the rest is not taken for the answer to something else.
func TestRefusalOfSeveralLines(t *testing.T) {
	for _, point := range []string{"RCPT", "body"} {
		refusal := gossip("550-5.1.1") + "\r\n" + gossip("550 5.1.1")
		s := play(t, &script{at: map[string]action{point: refusal}, only: 1})
		e, _ := open(t, s.config(), events.ContentLink)
		want{events.ReasonAddress, true, false, 550}.hold(t, e.Send(t.Context(), numbered(t, 1)))
		if point == "body" { // RCPT goes on over the same, misbehaving connection
			mustSend(t, e, numbered(t, 2))
		}
	}
}

// Whatever happens after the 250 does not matter to the message, nor to the next one.
func TestTakenIsTaken(t *testing.T) {
	cases := map[string]map[string]action{
		"dropped after the 250":      {"taken": drop},
		"dropped within the 250":     {"body": "250-2.0.0 ok", "taken": drop},
		"cut in the second line":     {"body": "250-2.0.0 ok\r\n25", "taken": drop},
		"250 without end":            {"body": action(strings.Repeat("250-on and on\r\n", 1<<16))},
		"says 421 when idle":         {"taken": "421 4.4.2 idle for too long"},
		"says goodbye when idle":     {"taken": "451 4.7.0 timeout waiting for client input"},
		"hangs at QUIT":              {"QUIT": hang},
		"drops at QUIT":              {"QUIT": drop},
		"answers QUIT with an error": {"QUIT": "500 what?"},
	}
	for name, at := range cases {
		t.Run(name, func(t *testing.T) {
			s := play(t, &script{at: at, only: 1})
			e, channel := open(t, s.config(), events.ContentLink)
			mustSend(t, e, numbered(t, 1))
			mustSend(t, e, numbered(t, 2))
			if n := s.count("body"); n != 2 {
				t.Errorf("%d messages sent, want 2", n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			channel.Close(ctx)
		})
	}
}

// A kept connection that hangs is given up for a new one within the same attempt.
func TestDeadConnectionIsReplaced(t *testing.T) {
	s := play(t, &script{})
	c := s.config()
	c.Timeout = 2 * time.Second
	e, _ := open(t, c, events.ContentLink)
	mustSend(t, e, numbered(t, 1))
	s.mu.Lock()
	s.at, s.only = map[string]action{"MAIL": hang}, 1
	s.mu.Unlock()
	mustSend(t, e, numbered(t, 2))
	if s.conns != 2 {
		t.Errorf("%d connections, want 2", s.conns)
	}
}

// One that breaks once the transaction has begun is not: the message could arrive twice.
func TestNothingIsRepeatedAfterMail(t *testing.T) {
	for _, point := range []string{"RCPT", "DATA", "body"} {
		s := play(t, &script{})
		e, _ := open(t, s.config(), events.ContentLink)
		mustSend(t, e, numbered(t, 1))
		s.mu.Lock()
		s.at = map[string]action{point: drop}
		s.mu.Unlock()
		want{reason: events.ReasonConnection}.hold(t, e.Send(t.Context(), numbered(t, 2)))
		if s.count("connect") != 1 {
			t.Errorf("%s: a second connection was made", point)
		}
	}
}

// A refused recipient costs the others nothing: the connection goes on after RSET.
func TestRefusalKeepsConnection(t *testing.T) {
	s := play(t, &script{at: map[string]action{"RCPT": gossip("550 5.1.1")}})
	e, _ := open(t, s.config(), events.ContentLink)
	for n := range 3 {
		want{events.ReasonAddress, true, false, 550}.hold(t, e.Send(t.Context(), numbered(t, n)))
	}
	if s.count("connect") != 1 || s.count("RSET") != 2 {
		t.Errorf("%d connections, %d RSET; want 1 and 2", s.count("connect"), s.count("RSET"))
	}
}

func TestNeverInTheClear(t *testing.T) {
	t.Run("STARTTLS not offered", func(t *testing.T) {
		s := play(t, &script{noTLS: true, password: "hunter2"})
		c := s.config()
		c.TLS = email.TLSMandatory
		e, _ := open(t, c, events.ContentLink)
		want{reason: events.ReasonTLS}.hold(t, e.Send(t.Context(), numbered(t, 1)))
		if s.count("AUTH") != 0 || s.count("MAIL") != 0 {
			t.Error("something was sent in the clear")
		}
	})
	t.Run("EHLO refused", func(t *testing.T) { // go-mail then says HELO, which offers nothing
		s := play(t, &script{at: map[string]action{"EHLO": "502 5.5.1 no"}, password: "hunter2"})
		e, _ := open(t, s.config(), events.ContentLink)
		want{reason: events.ReasonTLS}.hold(t, e.Send(t.Context(), numbered(t, 1)))
		if s.count("AUTH") != 0 || s.count("MAIL") != 0 {
			t.Error("something was sent in the clear")
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		s := play(t, &script{})
		s.cert = channeltest.Stranger(t)
		e, _ := open(t, s.config(), events.ContentLink)
		want{reason: events.ReasonTLS}.hold(t, e.Send(t.Context(), numbered(t, 1)))
	})
	t.Run("another name", func(t *testing.T) {
		s := play(t, &script{bind: "127.0.0.2"}) // the certificate is for 127.0.0.1
		e, _ := open(t, s.config(), events.ContentLink)
		want{reason: events.ReasonTLS}.hold(t, e.Send(t.Context(), numbered(t, 1)))
	})
	t.Run("TLS 1.1", func(t *testing.T) {
		s := play(t, &script{maxTLS: tls.VersionTLS11})
		e, _ := open(t, s.config(), events.ContentLink)
		want{reason: events.ReasonTLS}.hold(t, e.Send(t.Context(), numbered(t, 1)))
	})
}

// A server that never stops talking is hung up on.
func TestReplyWithoutEnd(t *testing.T) {
	for _, point := range []string{"connect", "EHLO", "RCPT"} {
		s := play(t, &script{at: map[string]action{point: action(strings.Repeat("250-on and on\r\n", 1<<16))}})
		e, _ := open(t, s.config(), events.ContentLink)
		if f := failed(t, e.Send(t.Context(), numbered(t, 1))); f.Reason != events.ReasonServerError || f.Permanent {
			t.Errorf("%s: got %v (%v), want server-error, temporary", point, f, f.Err)
		}
	}
}
