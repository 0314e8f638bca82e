package email_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"carehub/subscribers/channeltest"
	"carehub/subscribers/email"
)

// action is what a scripted server does at one point of the dialogue.
type action string

// Anything else is a reply, sent as it is.
const (
	usual action = ""
	drop  action = "drop"
	hang  action = "hang"
)

// script is a small SMTP server that does as it is told at chosen points of its first connections and as a good server does
// elsewhere. A point is a command, EHLO again after TLS as "EHLO2", or one of "connect", "handshake", "body" (the final dot
// has been read), "taken" (the final 250 has been sent).
type script struct {
	at       map[string]action
	acts     map[string]func(w io.Writer) // in place of an action; the connection is closed afterwards
	took     func(data []byte)            // told of each message that has been read whole
	only     int                          // the number of the connection that misbehaves, from 1; 0 is every one
	noTLS    bool
	maxTLS   uint16
	bind     string // address to listen on, 127.0.0.1 by default
	password string

	host  string
	port  int
	roots *x509.CertPool
	cert  tls.Certificate

	mu    sync.Mutex
	conns int
	said  []string // commands and points, in order, over all connections
	work  sync.WaitGroup
	stop  chan struct{}

	wanted  string // point whose coming reached is closed at
	arrived chan struct{}
}

// reached returns a channel that is closed when the dialogue first comes to a point. Call it before play.
func (s *script) reached(point string) <-chan struct{} {
	s.wanted, s.arrived = point, make(chan struct{})
	return s.arrived
}

func play(t testing.TB, s *script) *script {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(cmp.Or(s.bind, "127.0.0.1"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.listen(t, ln))
	return s
}

// listen runs the script on ln. stop ends it and waits; it may be called twice.
func (s *script) listen(t testing.TB, ln net.Listener) (stop func()) {
	t.Helper()
	if s.cert.Leaf == nil {
		s.cert, s.roots = certificate()
	}
	s.host, s.port, s.stop = hostPort(t, ln.Addr().String()), port(t, ln.Addr().String()), make(chan struct{})
	s.work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.serve(conn) })
		}
	})
	return sync.OnceFunc(func() { close(s.stop); _ = ln.Close(); s.work.Wait() })
}

func (s *script) config() email.Config {
	c := email.Config{
		Host: s.host, Port: s.port, RootCAs: s.roots,
		From: sender, ReplyTo: "help@hub.example", HubName: "Riverside carers' network",
		FullTo: []string{"gp.example"},
	}
	if s.noTLS {
		c.TLS = email.TLSNone
	}
	if s.password != "" {
		c.Auth = email.Auth{Mechanism: "PLAIN", User: user, Password: secret(s.password)}
	}
	return c
}

// count returns how often a point was reached.
func (s *script) count(point string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.said {
		if p == point {
			n++
		}
	}
	return n
}

// visit is one connection to a script.
type visit struct {
	*script
	conn   net.Conn
	lines  *bufio.Reader
	nth    int
	secure bool
}

func (s *script) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns++
	v := &visit{script: s, conn: conn, lines: bufio.NewReader(conn), nth: s.conns}
	s.mu.Unlock()
	done := make(chan struct{})
	defer close(done)
	s.work.Go(func() {
		select {
		case <-s.stop:
		case <-done:
		}
		_ = conn.Close()
	})
	if v.point("connect", "220 mail.example ESMTP") {
		for v.command() {
		}
	}
}

// point does what the script says, or else sends reply. It is false when the connection is over.
func (v *visit) point(name, reply string) bool {
	v.mu.Lock()
	v.said = append(v.said, name)
	if name == v.wanted {
		close(v.arrived)
	}
	v.mu.Unlock()
	if act := v.acts[name]; act != nil {
		act(v.conn)
		return false
	}
	do := v.what(name)
	switch do {
	case usual:
	case drop:
		return false
	case hang:
		<-v.stop
		return false
	default:
		reply = string(do)
	}
	if reply == "" {
		return true
	}
	_, err := fmt.Fprintf(v.conn, "%s\r\n", reply)
	return err == nil && !strings.HasPrefix(reply, "421") // 421: closing the connection
}

// what returns what the script says for a point.
func (v *visit) what(name string) action {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.only != 0 && v.only != v.nth {
		return usual
	}
	return v.at[name]
}

// command answers one command.
func (v *visit) command() bool {
	line, err := v.lines.ReadString('\n')
	if err != nil {
		return false
	}
	verb, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	switch verb {
	case "EHLO":
		return v.hello()
	case "STARTTLS":
		return v.encrypt()
	case "AUTH":
		return v.point("AUTH", "235 2.7.0 welcome")
	case "DATA":
		return v.point("DATA", "354 go on") && v.body()
	case "QUIT":
		return v.point("QUIT", "221 2.0.0 bye") && false
	}
	return v.point(verb, "250 2.0.0 ok")
}

func (v *visit) hello() bool {
	name, reply := "EHLO", "250-mail.example\r\n250-ENHANCEDSTATUSCODES\r\n"
	switch {
	case v.secure:
		name = "EHLO2"
	case !v.noTLS:
		reply += "250-STARTTLS\r\n"
	}
	return v.point(name, reply+"250-AUTH PLAIN\r\n250 8BITMIME")
}

func (v *visit) encrypt() bool {
	if !v.point("STARTTLS", "220 2.0.0 go") || !v.point("handshake", "") {
		return false
	}
	conn := tls.Server(v.conn, &tls.Config{Certificates: []tls.Certificate{v.cert}, MaxVersion: v.maxTLS, MinVersion: tls.VersionTLS10})
	v.conn, v.lines, v.secure = conn, bufio.NewReader(conn), true
	return true
}

// body reads to the final dot, unless the last reply refused DATA.
func (v *visit) body() bool {
	if v.what("DATA") != usual {
		return true
	}
	var data []byte
	for {
		line, err := v.lines.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			if v.took != nil {
				v.took(data)
			}
			return v.point("body", "250 2.0.0 taken") && v.point("taken", "")
		}
		data = append(data, strings.TrimPrefix(line, ".")...)
	}
}

// gossip makes a reply that repeats what no error may hold.
func gossip(code string) action {
	return action(fmt.Sprintf("%s <%s> %s hunter2", code, recipient, channeltest.Gossip))
}
