package email_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/email"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sender    = "care@hub.example"
	recipient = "reception@gp.example"
)

// letter is one message as the server took it.
type letter struct {
	from, to string
	ret      string
	notify   []smtp.DSNNotify
	data     []byte
}

// server is a real SMTP server. It asks for STARTTLS, and for AUTH when it has mechanisms.
type server struct {
	host  string
	port  int
	roots *x509.CertPool

	mechanisms []string
	auth       func(mechanism string, tls tls.ConnectionState) (sasl.Server, error)

	mu       sync.Mutex
	letters  []letter
	sessions int
}

// start runs the server until the test ends; change sets it up before.
func start(t testing.TB, s *server, change ...func(*smtp.Server)) *server {
	t.Helper()
	cert, roots := certificate()
	srv := smtp.NewServer(smtp.BackendFunc(s.newSession))
	srv.Domain = "mail.example"
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	srv.EnableDSN = true
	srv.ErrorLog = quiet{}
	for _, f := range change {
		f(srv)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port, s.roots = hostPort(t, ln.Addr().String()), port(t, ln.Addr().String()), roots
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); _ = ln.Close(); <-served }) // Serve may not have seen ln when Close runs
	return s
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// certificate returns a server's certificate for 127.0.0.1 and the roots that vouch for it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv.TLS.Certificates[0], roots
})

func hostPort(t testing.TB, address string) string {
	t.Helper()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func port(t testing.TB, address string) int {
	t.Helper()
	_, text, _ := net.SplitHostPort(address)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *server) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &session{server: s, conn: c}, nil
}

// taken returns what has arrived so far.
func (s *server) taken() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letter(nil), s.letters...)
}

func (s *server) config() email.Config {
	return email.Config{
		Host: s.host, Port: s.port, RootCAs: s.roots,
		From: sender, ReplyTo: "help@hub.example", HubName: "Riverside carers' network",
		FullTo: []string{"gp.example"},
	}
}

type session struct {
	server *server
	conn   *smtp.Conn
	signed bool
	letter letter
}

func (s *session) AuthMechanisms() []string { return s.server.mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	state, _ := s.conn.TLSConnectionState()
	exchange, err := s.server.auth(mechanism, state)
	if err != nil {
		return nil, err
	}
	return &noted{exchange, s}, nil
}

// noted remembers success, and answers failure as servers do.
type noted struct {
	sasl.Server
	session *session
}

func (n *noted) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := n.Server.Next(response)
	if err != nil {
		return nil, false, &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no: " + channeltest.Gossip}
	}
	n.session.signed = n.session.signed || done
	return challenge, done, err
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	if len(s.server.mechanisms) > 0 && !s.signed {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	s.letter = letter{from: from, ret: string(options.Return)}
	return nil
}

func (s *session) Rcpt(to string, options *smtp.RcptOptions) error {
	s.letter.to, s.letter.notify = to, options.Notify
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.letter.data = data
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.letters = append(s.server.letters, s.letter)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// open returns an endpoint to recipient over a new channel, which is closed when the test ends.
func open(t testing.TB, c email.Config, content events.Content) (subscribers.Endpoint, *email.Channel) {
	t.Helper()
	channel, err := email.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { channel.Close(context.Background()) })
	endpoint, err := channel.Open(channeltest.Decoder(t, fmt.Sprintf("to: %s\ncontent: %s\n", recipient, content), nil))
	if err != nil {
		t.Fatal(err)
	}
	return endpoint, channel
}

// sample is what is told in most tests.
func sample() fhir.Message {
	zone := time.FixedZone("", 3600)
	return fhir.Message{
		Event: events.Event{
			ID:       events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "key-1"),
			Patient:  "p-7f3k",
			Kind:     events.Admission,
			Because:  events.Fall,
			Occurred: time.Date(2026, 9, 1, 14, 5, 0, 0, zone),
			Recorded: time.Date(2026, 9, 1, 17, 32, 0, 0, zone),
			By:       events.Actor{Kind: events.Carer, ID: "ruth"},
			Place:    "Riverside Hospital <A&E>",
			Words:    "he slipped on the wet step\n.\nFrom: nobody@bad.example\n--boundary & \"quotes\" – möglich",
			Flags:    []events.Flag{events.FlagLate},
		},
		Patient: events.Patient{ID: "p-7f3k", Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018"},
		By:      events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter", Phone: "+44 7700 900124"},
		Hub: events.Sender{
			Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123", Email: "help@hub.example",
		},
		Urgency: events.Urgent,
	}
}

// private is what of sample no header, error or log may hold.
var private = append([]string{"1941", "Example", "7700 900124", "Riverside Hospital", "admi", "fall", recipient, "hunter2"}, channeltest.Planted...)

// deliver wraps a message as the engine does.
func deliver(t testing.TB, m fhir.Message, content events.Content) events.Delivery {
	t.Helper()
	stored, err := fhir.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(m, stored, content)
}

func wrap(m fhir.Message, stored []byte, content events.Content) events.Delivery {
	return events.Delivery{
		ID:        events.DeliveryID(m.Event.ID, "riverside-surgery"),
		Event:     m.Event.ID,
		Ref:       events.Ref(m.Event.ID),
		Kind:      m.Event.Kind,
		Urgent:    m.Urgency == events.Urgent,
		Test:      m.Event.Test,
		Recipient: "riverside-surgery",
		Name:      "Riverside Surgery",
		Content:   content,
		Recorded:  m.Event.Recorded,
		Attempt:   1,
		Link:      func() string { return "https://hub.example/m/8sYc2mQvT0kR4hLZ" },
		Message:   stored,
	}
}

// numbered is the nth of many deliveries.
func numbered(t testing.TB, n int) events.Delivery {
	m := sample()
	m.Event.ID = events.NewID(m.Event.By, "p-7f3k", fmt.Sprint("key-", n))
	return deliver(t, m, events.ContentLink)
}

// failed returns err as a Failure after holding it to silence.
func failed(t testing.TB, err error) *events.Failure {
	t.Helper()
	f, ok := errors.AsType[*events.Failure](err)
	if !ok {
		t.Fatalf("got %v, want a *events.Failure", err)
	}
	said := fmt.Sprintf("%v %+v %#v %v %#v", f, f, f, f.Err, f.Err)
	for _, p := range private {
		if strings.Contains(said, p) {
			t.Errorf("the failure tells %q: %s", p, said)
		}
	}
	return f
}

func mustSend(t testing.TB, e subscribers.Endpoint, d events.Delivery) {
	t.Helper()
	if err := e.Send(t.Context(), d); err != nil {
		f, _ := errors.AsType[*events.Failure](err)
		t.Fatalf("Send: %v: %v", err, f.Err)
	}
}
