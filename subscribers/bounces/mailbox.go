package bounces

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// Account is a mailbox at an IMAP server (RFC 9051, RFC 3501), over TLS from the first byte (RFC 8314).
type Account struct {
	Host    string
	Port    int // 993 unless set
	User    string
	Mailbox string         // INBOX unless set
	RootCAs *x509.CertPool // nil: the system's

	// Either Password, sent by AUTHENTICATE PLAIN, or by LOGIN where the server has only that; or Token, an access token sent by
	// OAUTHBEARER (RFC 7628) or XOAUTH2, whichever Mechanism says, which is asked for each time.
	Password  func() string
	Token     func(ctx context.Context) (string, error)
	Mechanism string
}

const (
	defaultPort = 993
	lookEvery   = 30 * time.Second // where the server cannot tell of new mail by itself
	idleFor     = 5 * time.Minute  // where it can (RFC 2177): still time to look whether the connection is alive
	stepTimeout = time.Minute      // signing in, or one look at what is new
	dialTimeout = 15 * time.Second
	firstPause  = time.Second // after a failure; each further one doubles it
	longest     = 5 * time.Minute
	atOnce      = 256 // messages of which it is asked together whom they are addressed to

	taken    = imap.Flag("$CarehubTaken") // on what is not needed any more; a server that keeps no such flags shows it again with each connection
	lookBack = 14 * 24 * time.Hour        // at what somebody has read before the hub could
)

// Mailbox reads reports from an account, marks as seen and taken those that were addressed to this hub once they are not needed any more,
// and lets everything else be: the mailbox may be one that people read, and one that several hubs read.
type Mailbox struct {
	Account Account
	Mark    string // that every return address has: of other messages nothing but whom they are addressed to is fetched
	Take    func(ctx context.Context, message []byte) (Result, error)
	Log     *slog.Logger

	mu   sync.Mutex
	read time.Time // when it was last read, or Run began
}

// Read is when the mailbox was last read, or when Run began; zero before.
func (m *Mailbox) Read() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read
}

func (m *Mailbox) wasRead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = time.Now()
}

// Run reads until ctx ends. It connects again and again, however long the server is away.
func (m *Mailbox) Run(ctx context.Context) error {
	m.wasRead()
	pause := firstPause
	for ctx.Err() == nil {
		began := m.Read()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if m.Read() != began {
			pause = firstPause
		}
		m.Log.Warn("the mailbox for bounces cannot be read; trying again", "cause", err.Error(), "pause_s", int(pause.Seconds()))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
	return nil
}

// follow reads over one connection for as long as it lasts.
func (m *Mailbox) follow(ctx context.Context) error {
	s, err := m.Account.connect(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	for {
		if err := s.bounded(ctx, stepTimeout, func(ctx context.Context) error { return m.look(ctx, s) }); err != nil {
			return err
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// look takes what has not been looked at yet and is unseen or new enough: that somebody has opened a report does not mean that
// it was taken.
func (m *Mailbox) look(ctx context.Context, s *session) error {
	var from imap.UIDSet
	from.AddRange(s.next, 0)
	found, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{from}, NotFlag: []imap.Flag{taken},
		Or: [][2]imap.SearchCriteria{{{NotFlag: []imap.Flag{imap.FlagSeen}}, {Since: time.Now().Add(-lookBack)}}}}, nil).Wait()
	if err != nil {
		return step("search", err)
	}
	for uids := range slices.Chunk(found.AllUIDs(), atOnce) {
		if err := m.takeSome(ctx, s, uids); err != nil {
			return err
		}
		m.wasRead()
	}
	m.wasRead()
	return nil
}

// takeSome takes those of some messages, by ascending UID, that are addressed to the hub. Whom they are addressed to is compared
// here: not every server finds a part of a word.
func (m *Mailbox) takeSome(ctx context.Context, s *session, uids []imap.UID) error {
	to := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"To", "Delivered-To", "X-Original-To", "Envelope-To"}}
	messages, err := s.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{to}}).Collect()
	if err != nil {
		return step("fetch", err)
	}
	mark := []byte(strings.ToLower(m.Mark))
	slices.SortFunc(messages, func(a, b *imapclient.FetchMessageBuffer) int { return cmp.Compare(a.UID, b.UID) })
	for _, message := range messages {
		if message.UID < s.next { // a range up to * holds the last message even when that is older (RFC 9051, 6.4.8)
			continue
		}
		if len(message.BodySection) > 0 && bytes.Contains(bytes.ToLower(message.BodySection[0].Bytes), mark) {
			if err := m.takeOne(ctx, s, message.UID); err != nil {
				return err
			}
		}
		s.next = message.UID + 1
	}
	return nil
}

// takeOne takes a message. That it has been seen is not the server's business before it has been taken.
func (m *Mailbox) takeOne(ctx context.Context, s *session, uid imap.UID) error {
	body := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: MaxMessage}}
	messages, err := s.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{body}}).Collect()
	if err != nil {
		return step("fetch", err)
	}
	if len(messages) == 0 || len(messages[0].BodySection) == 0 {
		return nil // gone meanwhile
	}
	result, err := m.Take(ctx, messages[0].BodySection[0].Bytes)
	if err != nil {
		return err
	}
	return s.seen(uid, result)
}

// session is one connection, signed in and with the mailbox selected.
type session struct {
	conn   net.Conn
	client *imapclient.Client
	news   chan struct{}
	next   imap.UID // everything before has been looked at
}

// connect signs in. The token is fetched first: servers do not wait.
func (a Account) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	secret, err := a.secret(ctx)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config: &tls.Config{ServerName: a.Host, RootCAs: a.RootCAs, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.Host, strconv.Itoa(cmp.Or(a.Port, defaultPort))))
	if err != nil {
		return nil, step("connect", err)
	}
	s := &session{conn: conn, news: make(chan struct{}, 1), next: 1}
	s.client = imapclient.New(conn, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				s.signal()
			}
		}}})
	err = s.bounded(ctx, stepTimeout, func(context.Context) error { return s.open(a, secret) })
	if err != nil {
		_ = s.client.Close()
		return nil, err
	}
	return s, nil
}

func (a Account) secret(ctx context.Context) (string, error) {
	if a.Token != nil {
		return a.Token(ctx)
	}
	return a.Password(), nil
}

// open signs in and selects the mailbox.
func (s *session) open(a Account, secret string) error {
	if err := s.client.WaitGreeting(); err != nil {
		return step("greeting", err)
	}
	if err := s.signIn(a, secret); err != nil {
		return step("sign in", err)
	}
	if _, err := s.client.Select(cmp.Or(a.Mailbox, "INBOX"), nil).Wait(); err != nil {
		return step("select the mailbox", err)
	}
	return nil
}

func (s *session) signIn(a Account, secret string) error {
	switch {
	case a.Token != nil && a.Mechanism == sasl.OAuthBearer:
		return s.client.Authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: a.User, Token: secret, Host: a.Host,
			Port: cmp.Or(a.Port, defaultPort)}))
	case a.Token != nil:
		return s.client.Authenticate(&xoauth2{a.User, secret})
	case s.client.Caps().Has(imap.AuthCap(sasl.Plain)):
		return s.client.Authenticate(sasl.NewPlainClient("", a.User, secret))
	}
	return s.client.Login(a.User, secret).Wait()
}

// bounded closes the connection when do takes too long, or ctx ends: the client itself knows no context.
func (s *session) bounded(ctx context.Context, most time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()
	return do(ctx)
}

// seen marks a message that was addressed to this hub.
func (s *session) seen(uid imap.UID, result Result) error {
	if result == Foreign {
		return nil
	}
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, taken}}
	return step("mark as seen", s.client.Store(imap.UIDSetNum(uid), flags, nil).Close())
}

// await returns when there may be something new.
func (s *session) await(ctx context.Context) error {
	if !s.client.Caps().Has(imap.CapIdle) {
		select {
		case <-time.After(lookEvery):
			return nil
		case <-s.news:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.bounded(ctx, idleFor+stepTimeout, func(ctx context.Context) error { return s.idle(ctx) })
}

func (s *session) idle(ctx context.Context) error {
	idle, err := s.client.Idle()
	if err != nil {
		return step("idle", err)
	}
	select {
	case <-s.news:
	case <-time.After(idleFor):
	case <-s.client.Closed():
	case <-ctx.Done():
	}
	if err := idle.Close(); err != nil {
		return step("idle", err)
	}
	return step("idle", idle.Wait())
}

func (s *session) signal() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// leave signs off, briefly.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.bounded(ctx, 2*time.Second, func(context.Context) error { return s.client.Logout().Wait() }) // nothing hangs on it
	_ = s.client.Close()
}

// xoauth2 is the client's side of XOAUTH2, which Microsoft and Google have beside OAUTHBEARER.
type xoauth2 struct{ user, token string }

// Start begins the exchange.
func (x *xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers what can only be a refusal, so that the server then says so.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// trouble says at which step reading failed, in fixed words: what the server said may quote anything.
type trouble struct {
	at  string
	err error
}

func (t *trouble) Error() string {
	words := "failed"
	switch {
	case errors.Is(t.err, context.DeadlineExceeded), timedOut(t.err):
		words = "no answer in time"
	case isRefusal(t.err):
		words = "refused"
	case isCertificate(t.err):
		words = "no secure connection"
	}
	return fmt.Sprintf("%s: %s", t.at, words)
}

func (t *trouble) Unwrap() error { return t.err }

func step(at string, err error) error {
	if err == nil {
		return nil
	}
	return &trouble{at, err}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func isRefusal(err error) bool {
	_, refused := errors.AsType[*imap.Error](err)
	_, bearer := errors.AsType[*sasl.OAuthBearerError](err)
	return refused || bearer
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
