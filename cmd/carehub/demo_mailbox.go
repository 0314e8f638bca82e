package main

import (
	"context"
	"errors"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// mailbox is the demo's stand-in for a mail server and an inbox: it takes every message and shows it on a page.
type mailbox struct {
	say func(format string, args ...any)

	mu       sync.Mutex
	messages []letter
	counting map[string]int // by address, of those it has spoken of; nil: it keeps quiet
}

type letter struct {
	From, To, Subject, Raw string // the first two are the envelope's
	At                     time.Time
}

// listen serves SMTP on l until ctx ends.
func (m *mailbox) serve(ctx context.Context, l net.Listener) error {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{box: m}, nil }))
	srv.Domain = "mailbox.demo"
	srv.ReadTimeout, srv.WriteTimeout = time.Minute, time.Minute
	srv.MaxMessageBytes, srv.MaxRecipients = 2<<20, 10
	srv.EnableDSN = true
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		_ = srv.Close()
		<-failed
		return nil
	}
}

// session is one SMTP conversation.
type session struct {
	box      *mailbox
	from, to string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error   { s.to = to; return nil }
func (s *session) Reset()                                      { s.from, s.to = "", "" }
func (s *session) Logout() error                               { return nil }

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	subject := ""
	if msg, err := mail.ReadMessage(strings.NewReader(string(raw))); err == nil {
		subject = msg.Header.Get("Subject")
	}
	s.box.mu.Lock()
	s.box.messages = append(s.box.messages, letter{From: s.from, To: s.to, Subject: subject, Raw: string(raw), At: time.Now()})
	speaks := s.box.counting != nil
	if speaks {
		s.box.counting[s.to]++
	}
	n := s.box.counting[s.to]
	s.box.mu.Unlock()
	if speaks {
		s.box.say("The mailbox took mail %d for %s: %q", n, s.to, subject)
	}
	return nil
}

// speak has the mailbox say what comes from now on.
func (m *mailbox) speak() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counting = map[string]int{}
}

var mailboxPage = template.Must(template.New("mailbox").Parse(`<!doctype html><html lang="en-GB"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Demo mailbox</title>
<body style="font: 1.1rem/1.5 sans-serif; max-width: 45rem; margin: 1rem auto; padding: 0 1rem">
<h1>Demo mailbox</h1><p>A stand-in for the providers' inboxes. Nothing here has left this machine.</p>
{{range $i, $m := .}}<h2>{{$m.Subject}}</h2><p>To {{$m.To}}, {{$m.At.Format "15:04:05"}}. <a href="/{{$i}}">As a mail program shows it</a></p>
<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{{$m.Raw}}</pre>{{else}}<p>No mail yet.</p>{{end}}`))

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	messages := append([]letter(nil), m.messages...)
	m.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.URL.Path == "/" {
		_ = mailboxPage.Execute(w, messages)
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || n < 0 || n >= len(messages) {
		http.NotFound(w, r)
		return
	}
	part, err := htmlPart(messages[n].Raw)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(part)
}

// links returns the receipt links of all mails so far, for the demo's next steps.
func (m *mailbox) links() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.messages {
		all = append(all, linkInMail.FindString(l.plain()))
	}
	return all
}

// plain is a mail with its links in one piece.
func (l letter) plain() string {
	return strings.ReplaceAll(strings.ReplaceAll(l.Raw, "=\r\n", ""), "=3D", "=")
}

// asks returns the link by which an address is to be verified, as soon as its mail has come.
func (m *mailbox) asks(to string) (link string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.messages {
		if link = linkToAnswer.FindString(l.plain()); l.To == to && link != "" {
			return link, true
		}
	}
	return "", false
}

var (
	linkInMail   = regexp.MustCompile(`https?://[^\s"<>]+/m/[^\s"<>]+`)
	linkToAnswer = regexp.MustCompile(`https?://[^\s"<>]+/inbox/[^\s"<>]+`)
)

// htmlPart returns the HTML alternative of a mail.
func htmlPart(raw string) ([]byte, error) {
	msg, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return nil, err
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	parts := multipart.NewReader(msg.Body, params["boundary"]) // undoes quoted-printable by itself
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, errors.New("this mail has no HTML part")
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			return io.ReadAll(part)
		}
	}
}
