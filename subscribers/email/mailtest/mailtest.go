// Package mailtest runs a real mail server for tests: Postfix, which takes mail in and writes what it cannot deliver back to its
// sender, and Dovecot, which signs users in, keeps the mailboxes and hands them out over IMAP. Both are Debian's, run as child
// processes on free ports of this machine with everything they keep in a temporary folder, speak TLS with a certificate of
// the test's own authority, and have ended when the test has.
package mailtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The account that the hub sends from, and reads bounces of.
const (
	User         = "care@hub.example"
	Password     = "correct horse battery staple"
	ClientID     = "carehub"
	ClientSecret = "a secret of the client"
)

// Server is both of them, running.
type Server struct {
	Host     string // 127.0.0.1
	SMTP     int    // port of submission, with STARTTLS
	IMAP     int    // port of IMAP over TLS
	CAFile   string // PEM
	Roots    *x509.CertPool
	TokenURL string // of OAuth2 client credentials
	Tokens   *Tokens

	dir string
}

// Start runs a server with these mailboxes beside User's. Mail to any other address of their domains is taken from who is signed
// in, and comes back. It ends the test if the machine has not what it takes.
func Start(t testing.TB, mailboxes ...string) *Server {
	t.Helper()
	need(t)
	dir, err := os.MkdirTemp("", "mail") // a short path: those of sockets have an end
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{Host: "127.0.0.1", SMTP: freePort(t), IMAP: freePort(t), dir: dir, CAFile: filepath.Join(dir, "ca.pem")}
	err = os.Chmod(dir, 0o755) // #nosec G302 -- the servers run under users of their own
	if err != nil {
		t.Fatal(err)
	}
	s.certify(t)
	s.Tokens = newTokens(t)
	s.TokenURL = s.Tokens.url + "/token"
	s.configure(t, append(mailboxes, User))
	s.run(t, "dovecot", "/usr/sbin/dovecot", "-F", "-c", s.path("dovecot.conf"))
	s.run(t, "postfix", "/usr/lib/postfix/sbin/master", "-d", "-c", s.path("postfix"))
	s.await(t, s.IMAP)
	s.await(t, s.SMTP)
	return s
}

// need says what is missing.
func need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("Postfix and Dovecot change users, so this test must run as root: sudo -E go test …")
	}
	for _, file := range []string{"/usr/lib/postfix/sbin/master", "/usr/sbin/dovecot", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/lmtp"} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%s is missing: apt-get install postfix dovecot-imapd dovecot-lmtpd (.ci/test does that, and starts no server)", file)
		}
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// run starts a server in the foreground and ends it with the test.
func (s *Server) run(t testing.TB, name, program string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...) // #nosec G204 -- the test's own
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // a test that is killed leaves nothing running
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("%s had to be killed", name)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &said)
			if log, err := os.ReadFile(s.path(name + ".log")); err == nil {
				t.Logf("%s.log:\n%s", name, log)
			}
		}
	})
}

// await returns when a port answers.
func (s *Server) await(t testing.TB, port int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", s.Host, port))
		if err == nil {
			_ = conn.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("nobody listens on port %d: %v", port, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Mail returns the messages in a mailbox, as they lie there, oldest first.
func (s *Server) Mail(t testing.TB, mailbox string) []string {
	t.Helper()
	user, domain, _ := strings.Cut(mailbox, "@")
	var files []string
	for _, folder := range []string{"cur", "new"} {
		found, err := filepath.Glob(s.path(filepath.Join("mail", domain, user, folder, "*")))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	slices.SortFunc(files, func(a, b string) int { return arrival(filepath.Base(a)).Compare(arrival(filepath.Base(b))) })
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f) // #nosec G304 -- the test's own
		if err == nil {          // else it was moved meanwhile, and is found the next time
			all = append(all, string(b))
		}
	}
	return all
}

// arrival is when a message came, by its name in a maildir: seconds, then microseconds without leading zeros, so that names of
// the same second do not sort as text: 1795823395.M86534P10312.mail,S=3746.
func arrival(name string) time.Time {
	var seconds, micros int64
	_, _ = fmt.Sscanf(name, "%d.M%d", &seconds, &micros) // a file that is no message counts as the oldest
	return time.Unix(seconds, micros*1000)
}

// Put lays a message into a mailbox, as if it had just come.
func (s *Server) Put(t testing.TB, mailbox, message string) {
	t.Helper()
	user, domain, _ := strings.Cut(mailbox, "@")
	home, owner := s.path(filepath.Join("mail", domain, user)), idOf(t, "mail")
	for _, folder := range []string{"tmp", "new", "cur"} {
		s.folder(t, filepath.Join(home, folder), owner)
	}
	now := time.Now()
	name := fmt.Sprintf("%d.M%dP%s.mailtest", now.Unix(), now.Nanosecond()/1000, rand.Text())
	tmp := filepath.Join(home, "tmp", name)
	s.write(t, filepath.Join("mail", domain, user, "tmp", name), message)
	if err := os.Chown(tmp, owner, -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(home, "new", name)); err != nil {
		t.Fatal(err)
	}
}

// Open marks all messages in a mailbox as read, as somebody's mail program does.
func (s *Server) Open(t testing.TB, mailbox string) {
	t.Helper()
	user, domain, _ := strings.Cut(mailbox, "@")
	home := s.path(filepath.Join("mail", domain, user))
	files, err := filepath.Glob(filepath.Join(home, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Rename(f, filepath.Join(home, "cur", filepath.Base(f)+":2,S")); err != nil {
			t.Fatal(err)
		}
	}
}

// Seen is how many messages in a mailbox are marked as read: their names end with the flag S.
func (s *Server) Seen(t testing.TB, mailbox string) (n int) {
	t.Helper()
	user, domain, _ := strings.Cut(mailbox, "@")
	files, err := filepath.Glob(s.path(filepath.Join("mail", domain, user, "cur", "*:2,*")))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, flags, _ := strings.Cut(filepath.Base(f), ":2,"); strings.Contains(flags, "S") {
			n++
		}
	}
	return n
}

// AwaitMail returns the messages in a mailbox when there are n of them.
func (s *Server) AwaitMail(t testing.TB, mailbox string, n int) []string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if all := s.Mail(t, mailbox); len(all) >= n {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("no %d messages for %s", n, mailbox)
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
