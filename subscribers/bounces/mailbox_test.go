package bounces_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/subscribers/bounces"
	"carehub/subscribers/email/mailtest"
)

// wire is a way to a server that can be cut.
type wire struct {
	port int
	mu   sync.Mutex
	open []net.Conn
	n    int
}

// newWire leads to a port of this machine until the test ends.
func newWire(t *testing.T, to int) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{port: l.Addr().(*net.TCPAddr).Port}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				_ = in.Close()
				continue
			}
			w.mu.Lock()
			w.open, w.n = append(w.open, in, out), w.n+1
			w.mu.Unlock()
			work.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			work.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(); work.Wait() })
	return w
}

// cut breaks every connection, and returns how many there have been.
func (w *wire) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
	return w.n
}

// runMailbox reads a mailbox until the test ends.
func runMailbox(t *testing.T, m *bounces.Mailbox) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestMailbox: two hubs read a real mailbox. Reports are taken and marked, other mail is let be, nothing is marked that was not
// taken, and a broken connection is followed by another.
func TestMailbox(t *testing.T) {
	server := mailtest.Start(t)
	w := newWorld(t)
	way := newWire(t, server.IMAP)
	account := bounces.Account{Host: server.Host, Port: way.port, User: mailtest.User, Password: func() string { return mailtest.Password }, RootCAs: server.Roots}
	var mu sync.Mutex
	troubles, seen := 2, 0
	mine := &bounces.Mailbox{Account: account, Mark: w.addresses.Mark(), Log: slog.New(slog.NewTextHandler(w.logged, nil)),
		Take: func(ctx context.Context, message []byte) (bounces.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if seen++; troubles > 0 {
				if troubles--; server.Seen(t, mailtest.User) > 0 {
					t.Error("marked before it was taken")
				}
				return "", errors.New("the store is away")
			}
			return w.is.Take(ctx, message)
		}}
	private := "From: Ruth <ruth@home.example>\nTo: care@hub.example\nSubject: thank you\n\nNot for a machine.\n"
	server.Put(t, mailtest.User, private)
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 0, 0)))
	runMailbox(t, mine)
	until(t, "it is marked", func() bool { return server.Seen(t, mailtest.User) == 1 })
	mu.Lock()
	if seen != 3 {
		t.Errorf("%d messages were fetched", seen)
	}
	mu.Unlock()
	runMailbox(t, &bounces.Mailbox{Account: account, Mark: w.addresses.Mark(), Take: w.hub(w.store).Take, Log: slog.New(slog.DiscardHandler)})
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 1, 0))) // told of while they wait
	until(t, "the next is marked", func() bool { return server.Seen(t, mailtest.User) == 2 })
	before := way.cut()
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 2, 0)))
	server.Put(t, mailtest.User, string(w.report("vacation", 2, 0)))
	until(t, "those after the cut are marked", func() bool { return server.Seen(t, mailtest.User) == 4 })
	if way.cut() == before {
		t.Error("there was no other connection")
	}
	if n := len(w.records()); n != 3 {
		t.Errorf("%d records", n)
	}
	if time.Since(mine.Read()) > time.Minute {
		t.Errorf("last read %v", mine.Read())
	}
	if log := w.logged.String(); strings.Contains(log, "care@") || strings.Contains(log, mailtest.Password) {
		t.Errorf("logged:\n%s", log)
	}
}

// TestMailboxReadByPeople: that somebody has opened a report before the hub could does not keep it from being taken, once.
func TestMailboxReadByPeople(t *testing.T) {
	server := mailtest.Start(t)
	w := newWorld(t)
	var mu sync.Mutex
	taken := 0
	way := newWire(t, server.IMAP)
	m := &bounces.Mailbox{Account: bounces.Account{Host: server.Host, Port: way.port, User: mailtest.User, RootCAs: server.Roots,
		Password: func() string { return mailtest.Password }}, Mark: w.addresses.Mark(), Log: slog.New(slog.DiscardHandler),
		Take: func(ctx context.Context, message []byte) (bounces.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			taken++
			return w.is.Take(ctx, message)
		}}
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 0, 0)))
	server.Open(t, mailtest.User)
	runMailbox(t, m)
	until(t, "it is taken", func() bool { return len(w.records()) == 1 })
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 1, 0)))
	until(t, "the next is marked, and so both are", func() bool { return server.Seen(t, mailtest.User) == 2 })
	way.cut()
	server.Put(t, mailtest.User, string(w.report("postfix-failed", 2, 0)))
	until(t, "the one after the cut is taken", func() bool { return len(w.records()) == 3 })
	mu.Lock()
	defer mu.Unlock()
	if taken != 3 {
		t.Errorf("taken %d times", taken)
	}
}

// TestMailboxRefused: no sign-in goes to a server with a certificate of somebody else, and what is wrong is said in fixed words.
func TestMailboxRefused(t *testing.T) {
	server := mailtest.Start(t)
	oauth := func(mechanism string) func(*bounces.Account) {
		return func(a *bounces.Account) {
			a.Mechanism, a.Token = mechanism, func(context.Context) (string, error) { return "wrong", nil }
		}
	}
	for _, c := range []struct {
		what, want string
		edit       func(*bounces.Account)
	}{
		{"a stranger", "connect: no secure connection", func(a *bounces.Account) { a.RootCAs = nil }},
		{"another password", "sign in: refused", func(a *bounces.Account) { a.Password = func() string { return "wrong" } }},
		{"another mailbox", "select the mailbox: refused", func(a *bounces.Account) { a.Mailbox = "Bounces" }},
		{"nobody", "connect: failed", func(a *bounces.Account) { a.Port = 1 }},
		{"another token", "sign in: refused", oauth("XOAUTH2")},
		{"another bearer", "sign in: refused", oauth("OAUTHBEARER")},
	} {
		logged := &lockedBuffer{}
		m := &bounces.Mailbox{Account: bounces.Account{Host: server.Host, Port: server.IMAP, User: mailtest.User, RootCAs: server.Roots,
			Password: func() string { return mailtest.Password }}, Mark: "care+b-", Log: slog.New(slog.NewTextHandler(logged, nil)),
			Take: func(context.Context, []byte) (bounces.Result, error) { return "", nil }}
		c.edit(&m.Account)
		runMailbox(t, m)
		defer until(t, c.what+": "+c.want, func() bool { return strings.Contains(logged.String(), c.want) })
	}
}
