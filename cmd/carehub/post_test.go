package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// post is the town's mail server: the demo's mailbox behind a server with STARTTLS and a password, which may refuse.
type post struct {
	box      mailbox
	port     string
	pem      []byte // of its certificate
	password string // taken for any user; with none there is no AUTH

	mu      sync.Mutex
	refuses func(to string) error
}

func newPost(t *testing.T) *post {
	t.Helper()
	p := &post{box: mailbox{say: t.Logf, counting: map[string]int{}}}
	certificate := httptest.NewUnstartedServer(nil) // for the certificate of 127.0.0.1 that it brings
	certificate.StartTLS()
	certificate.Close()
	p.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw})
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &counter{session{box: &p.box}, p}, nil
	}))
	srv.Domain, srv.EnableDSN = "post.example", true
	srv.TLSConfig = &tls.Config{Certificates: certificate.TLS.Certificates, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, p.port, _ = net.SplitHostPort(l.Addr().String())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return p
}

// refuse has the server answer otherwise to mail for some addresses from now on.
func (p *post) refuse(refuses func(to string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

// secure has the hub use TLS and a password.
func (w *town) secure(password string) {
	w.t.Helper()
	w.mail.password = password
	writeFile(w.t, filepath.Join(w.dir, "post.pem"), string(w.mail.pem))
	writeFile(w.t, filepath.Join(w.dir, "secrets/mail"), password)
	w.edit("hub.yaml", "tls: none", `ca_file: post.pem
  auth: {mechanism: PLAIN, user: care@riverside.example, password: "${file:secrets/mail}"}`)
}

// counter is where one client hands in mail.
type counter struct {
	session
	post *post
}

func (c *counter) Rcpt(to string, o *smtp.RcptOptions) error {
	c.post.mu.Lock()
	defer c.post.mu.Unlock()
	if c.post.refuses != nil {
		if err := c.post.refuses(to); err != nil {
			return err
		}
	}
	return c.session.Rcpt(to, o)
}

func (c *counter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *counter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, password string) error {
		if c.post.password == "" || password != c.post.password {
			return errors.New("wrong password")
		}
		return nil
	}), nil
}

// to is the mail for one address, oldest first.
func (p *post) to(address string) (raw []string) {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	for _, l := range p.box.messages {
		if l.To == address {
			raw = append(raw, l.Raw)
		}
	}
	return raw
}

// links are those of the mail for one address.
func (p *post) links(address string) (all []string) {
	one := mailbox{}
	for _, raw := range p.to(address) {
		one.messages = append(one.messages, letter{Raw: raw})
	}
	return one.links()
}

// all is all mail.
func (p *post) all() []letter {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	return slices.Clone(p.box.messages)
}
