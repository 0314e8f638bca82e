package email_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
)

func TestChannel(t *testing.T) { channeltest.Run(t, harness{}) }

// harness serves scripts to the suite.
type harness struct{}

// Supports: nothing in SMTP sends the client elsewhere. 551 comes near, but is a refusal.
func (harness) Supports(b channeltest.Behaviour) bool { return b != channeltest.Redirect }

func (harness) Serve(t *testing.T, b channeltest.Behaviour) channeltest.Server {
	log := channeltest.NewLog()
	ln := channeltest.Listen(t, log)
	s := &script{password: "hunter2", took: func(data []byte) { log.Take(taken(t, data)) }}
	stop := s.behave(t, b, ln, log)
	s.host, s.port = hostPort(t, ln.Addr().String()), port(t, ln.Addr().String())
	e, channel := open(t, s.config(), events.ContentFull)
	return channeltest.Server{
		Endpoint: readable{t, e},
		Log:      log,
		Private:  []string{recipient, sender, "hunter2", net.JoinHostPort(s.host, fmt.Sprint(s.port)), "help@hub.example"},
		Verify:   func(d events.Delivery, got channeltest.Taken) error { return verify(t, d, got) },
		Close:    func() { channel.Close(context.Background()); stop() },
	}
}

// behave makes the script one of the suite's servers.
func (s *script) behave(t *testing.T, b channeltest.Behaviour, ln net.Listener, log *channeltest.Log) (stop func()) {
	switch b {
	case channeltest.HangAtConnect, channeltest.DropAtConnect, channeltest.RefuseConnection:
		return sync.OnceFunc(channeltest.Raw(ln, b))
	case channeltest.WrongCertificate:
		s.cert = channeltest.Stranger(t)
	case channeltest.SlowDrip:
		s.acts = map[string]func(io.Writer){"body": func(w io.Writer) { channeltest.Drip(w, "250-", s.stop) }}
	case channeltest.HugeReply:
		s.acts = map[string]func(io.Writer){"body": func(w io.Writer) { channeltest.Flood(w, "250-on and on\r\n", log) }}
	case channeltest.DropMidAnswer:
		s.acts = map[string]func(io.Writer){"body": func(w io.Writer) { _, _ = io.WriteString(w, "250 2.0") }}
	}
	s.at = map[channeltest.Behaviour]map[string]action{
		channeltest.CloseAfterEach:   {"taken": drop},
		channeltest.HangBeforeAnswer: {"body": hang},
		channeltest.DropMidDialogue:  {"RCPT": drop},
		channeltest.DropBeforeAnswer: {"body": drop},
		channeltest.TemporaryError:   {"body": gossip("451 4.3.0")},
		channeltest.PermanentError:   {"RCPT": gossip("550 5.1.1")},
		channeltest.AuthRefused:      {"AUTH": gossip("535 5.7.8")},
		channeltest.Busy:             {"RCPT": gossip("421 4.7.0")},
	}[b]
	return s.listen(t, ln)
}

func taken(t *testing.T, data []byte) channeltest.Taken {
	m := read(t, letter{data: data})
	id, _, _ := strings.Cut(strings.TrimPrefix(m.header.Get("Message-Id"), "<"), "@")
	return channeltest.Taken{ID: id, Body: data, Headers: m.header}
}

// verify also looks into the body: the suite asks for full content.
func verify(t *testing.T, d events.Delivery, got channeltest.Taken) error {
	m := read(t, letter{data: got.Body})
	for _, p := range channeltest.Planted {
		if strings.Contains(fmt.Sprint(got.Headers), p) {
			return fmt.Errorf("a header holds %q", p)
		}
	}
	if !strings.Contains(m.text, d.Link()) || !strings.HasSuffix(m.header.Get("Subject"), d.Ref) {
		return errors.New("the link or the reference is missing")
	}
	return nil
}

// readable gives the suite's deliveries a message that the hub could have written, about the same invented patient.
type readable struct {
	t *testing.T
	subscribers.Endpoint
}

func (r readable) Send(ctx context.Context, d events.Delivery) error {
	m := sample()
	m.Event.ID = d.Event
	stored, err := fhir.Encode(m)
	if err != nil {
		return err
	}
	d.Message = stored
	return r.Endpoint.Send(ctx, d)
}
