package email

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

const (
	dialTimeout = 15 * time.Second
	quitTimeout = 5 * time.Second
	maxReplies  = 256 << 10 // bytes the server may send during one attempt, its certificates included
)

// session is one connection to the mail server, signed in and ready for messages. It is used by one goroutine at a time.
type session struct {
	conn   *meter
	client *smtp.Client
	probe  time.Duration // how long a connection that has been lying idle may take to show that it is alive

	sent     int
	refused  bool // the last transaction was; RSET comes before the next
	unusable bool
	expiry   *time.Timer // while idle
}

// meter ends a connection that sends more than it may.
type meter struct {
	net.Conn
	left int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, errFlood
	}
	n, err := m.Conn.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// dial connects and signs in. The secret is fetched first: a token endpoint may be slow, and servers do not wait.
func (c *Config) dial(ctx context.Context) (*session, error) {
	secret, err := c.Auth.secret(ctx)
	if err != nil {
		return nil, at(stepToken, err)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.address())
	if err != nil {
		return nil, at(stepConnect, err)
	}
	s := &session{conn: &meter{Conn: conn}, probe: c.Timeout / 4}
	release := s.obey(ctx)
	defer release()
	if err := s.open(c, secret); err != nil {
		_ = conn.Close() // go-mail leaves it open
		return nil, err
	}
	return s, nil
}

// obey closes the connection when ctx ends, whatever it is waiting for, until release. go-mail itself knows no context.
func (s *session) obey(ctx context.Context) (release func()) {
	s.conn.left = maxReplies
	stop := context.AfterFunc(ctx, s.drop)
	return func() {
		if !stop() {
			s.unusable = true
		}
	}
}

// drop closes the connection without a word.
func (s *session) drop() { _ = s.conn.Close() }

// open goes from the greeting to being signed in.
func (s *session) open(c *Config, secret string) error {
	client, err := smtp.NewClient(s.conn, c.Host)
	if err != nil {
		return at(stepGreeting, err)
	}
	s.client = client
	client.SkipSMTPUTF8(true) // our headers and addresses are ASCII; asking for it would keep mail from servers without it
	client.SetDSNMailReturnOption("HDRS")
	client.SetDSNRcptNotifyOption("FAILURE,DELAY")
	if err := client.Hello(c.Hello); err != nil {
		return at(stepHello, err)
	}
	if err := s.encrypt(c); err != nil {
		return err
	}
	return c.authenticate(client, secret)
}

func (s *session) encrypt(c *Config) error {
	if c.TLS == TLSNone {
		return nil
	}
	if offered, _ := s.client.Extension("STARTTLS"); !offered {
		return at(stepTLS, errNoSTARTTLS)
	}
	config := &tls.Config{ServerName: c.Host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
	if c.Auth.ClientCert != nil {
		config.Certificates = []tls.Certificate{*c.Auth.ClientCert}
	}
	return at(stepTLS, s.client.StartTLS(config))
}

// send hands one message over. nil means that the server has taken it.
func (s *session) send(ctx context.Context, m message) error {
	release := s.obey(ctx)
	defer release()
	err := s.transact(m)
	s.refused = err != nil
	s.unusable = s.unusable || !usable(err) || stale(err)
	s.sent++
	return err
}

func (s *session) transact(m message) error {
	if err := s.begin(m.from); err != nil {
		return at(stepMail, err)
	}
	if err := s.client.Rcpt("<" + m.to + ">"); err != nil {
		return at(stepRcpt, err)
	}
	data, err := s.client.Data()
	if err != nil {
		return at(stepData, err)
	}
	if _, err := data.Write(m.bytes); err != nil {
		return at(stepBody, err)
	}
	// Not data.Close: that reads the whole answer before it tells what the first line said.
	if err := data.(*smtp.DataCloser).WriteCloser.Close(); err != nil {
		return at(stepBody, err)
	}
	return at(stepAnswer, s.answer())
}

// begin opens a transaction. On a connection that has been lying idle it is also the question whether anyone is there.
func (s *session) begin(from string) error {
	if s.sent > 0 {
		limit := time.AfterFunc(s.probe, s.drop)
		defer limit.Stop()
	}
	if s.refused {
		if err := s.client.Reset(); err != nil {
			return err
		}
	}
	return s.client.Mail("<" + from + ">")
}

// answer reads the reply to the message. Its first line decides, as all lines of a reply carry the same code (RFC 5321,
// 4.2.1): what goes wrong after "250-" cannot make the server give the message back. The line must be whole, though;
// textproto alone would take "250" and a broken connection for a yes.
func (s *session) answer() error {
	line, err := s.client.Text.R.ReadString('\n')
	if err != nil {
		return err
	}
	code, _, err := textproto.NewReader(bufio.NewReader(strings.NewReader(line))).ReadCodeLine(250)
	switch {
	case code != 250:
		s.unusable = true // there may be more lines, unread
		return err
	case err != nil: // more lines to come
		_, _, err = s.client.Text.ReadResponse(250)
		s.unusable = err != nil
	}
	return nil
}

// quit takes leave of the server, briefly.
func (s *session) quit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quitTimeout)
	defer cancel()
	release := s.obey(ctx)
	defer release()
	if !s.unusable {
		_ = s.client.Quit() // nothing hangs on the answer
	}
	s.drop()
}
