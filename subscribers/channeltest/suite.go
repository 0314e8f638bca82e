package channeltest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carehub/events"
)

const (
	deadline = 500 * time.Millisecond // of a Send to a server that hangs
	patience = 30 * time.Second       // of a Send to a server that answers or hangs up
	grace    = 5 * time.Second        // that a Send may take to return once its context has ended
)

var cases = []struct {
	name      string
	behaviour Behaviour
	check     func(t *testing.T, s Server)
}{
	{"accept", Accept, accepted},
	{"same delivery twice", Accept, repeated},
	{"fifty at once", Accept, concurrent},
	{"context already over", Accept, alreadyOver},
	{"connection closed after each", CloseAfterEach, oneAfterAnother},
	{"hang at connect", HangAtConnect, fails(want{reason: events.ReasonTimeout})},
	{"hang before answer", HangBeforeAnswer, fails(want{reason: events.ReasonTimeout})},
	{"cancelled while waiting", HangBeforeAnswer, cancelled},
	{"slow drip", SlowDrip, fails(want{reason: events.ReasonTimeout})},
	{"drop at connect", DropAtConnect, fails(want{reason: events.ReasonConnection})},
	{"drop in mid dialogue", DropMidDialogue, fails(want{reason: events.ReasonConnection})},
	{"drop before answer", DropBeforeAnswer, fails(want{reason: events.ReasonConnection})},
	{"drop in mid answer", DropMidAnswer, fails(want{reason: events.ReasonConnection})},
	{"refuse connection", RefuseConnection, fails(want{reason: events.ReasonConnection})},
	{"wrong certificate", WrongCertificate, fails(want{reason: events.ReasonTLS})},
	{"temporary error", TemporaryError, fails(want{reason: events.ReasonServerError, answered: true})},
	{"permanent error", PermanentError, fails(want{permanent: true, answered: true})},
	{"credentials refused", AuthRefused, fails(want{reason: events.ReasonAuth, either: true, answered: true})},
	{"busy", Busy, fails(want{reason: events.ReasonBusy, answered: true})},
	{"redirect", Redirect, fails(want{answered: true})},
	{"huge reply", HugeReply, hugeReply},
}

// Run holds a channel to everything that is promised of channels. The server of each case is new, and when it is closed no
// goroutine may be left.
func Run(t *testing.T, h Harness) {
	for _, c := range cases {
		if !h.Supports(c.behaviour) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			logged := captureLogs(t)
			s := h.Serve(t, c.behaviour)
			defer s.Close()
			c.check(t, s)
			s.noLeak(t, "log", logged.String())
		})
	}
}

// want describes a failure. An empty reason stands for any.
type want struct {
	reason    events.Reason
	permanent bool
	either    bool // temporary or permanent, as the channel sees it
	answered  bool // there was a status
}

func fails(w want) func(*testing.T, Server) {
	return func(t *testing.T, s Server) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if w.reason == events.ReasonTimeout {
			ctx, cancel = context.WithTimeout(t.Context(), deadline)
		}
		defer cancel()
		w.match(t, s, s.send(ctx, t, Sample()))
		if n := s.Log.strays(); n != 0 {
			t.Errorf("the client followed a redirect %d times", n)
		}
	}
}

func (w want) match(t *testing.T, s Server, err error) {
	t.Helper()
	f, ok := errors.AsType[*events.Failure](err)
	if !ok {
		t.Fatalf("Send returned %v, want a *events.Failure", err)
	}
	if w.reason != "" && f.Reason != w.reason {
		t.Errorf("reason %q, want %q (%v)", f.Reason, w.reason, f.Err)
	}
	if !w.either && errors.Is(err, events.ErrRefused) != w.permanent {
		t.Errorf("permanent: %v, want %v", !w.permanent, w.permanent)
	}
	if w.answered && f.Status == 0 {
		t.Error("the server's status is missing")
	}
	if w.reason == events.ReasonBusy && f.RetryAfter != s.RetryAfter {
		t.Errorf("retry after %v, want %v", f.RetryAfter, s.RetryAfter)
	}
}

func accepted(t *testing.T, s Server) {
	s.mustSend(t, Sample())
	s.mustHave(t, Sample())
}

// repeated sends as the engine does after a crash: same delivery, another attempt.
func repeated(t *testing.T, s Server) {
	first, second := Sample(), Sample()
	second.Attempt = 2
	s.mustSend(t, first)
	s.mustSend(t, second)
	s.mustHave(t, first, second)
	got := s.Log.Taken()
	if got[0].ID != got[1].ID {
		t.Errorf("ids differ: %s, then %s", got[0].ID, got[1].ID)
	}
	if !bytes.Equal(got[0].Body, got[1].Body) {
		t.Errorf("bytes differ:\n%s\nthen\n%s", got[0].Body, got[1].Body)
	}
}

func concurrent(t *testing.T, s Server) {
	var all []events.Delivery
	var senders sync.WaitGroup
	for n := range 50 {
		d := Numbered(n)
		all = append(all, d)
		senders.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := s.Endpoint.Send(ctx, d); err != nil {
				t.Errorf("delivery %d: %v", n, err)
			}
		})
	}
	senders.Wait()
	s.mustHave(t, all...)
	if n := s.Log.Connections(); n > MaxConnections {
		t.Errorf("%d connections for 50 deliveries, want %d at the most", n, MaxConnections)
	}
}

func alreadyOver(t *testing.T, s Server) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want{}.match(t, s, s.send(ctx, t, Sample()))
}

func cancelled(t *testing.T, s Server) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-s.Log.Arrived()
		cancel()
	}()
	want{}.match(t, s, s.send(ctx, t, Sample()))
}

// oneAfterAnother: a kept connection that the server has closed meanwhile is no reason to fail.
func oneAfterAnother(t *testing.T, s Server) {
	all := []events.Delivery{Numbered(1), Numbered(2), Numbered(3)}
	for _, d := range all {
		s.mustSend(t, d)
	}
	s.mustHave(t, all...)
}

func hugeReply(t *testing.T, s Server) {
	s.mustSend(t, Sample())
	s.mustHave(t, Sample())
	s.Close() // waits for the server, so that its count is final
	if n := s.Log.replied(); n > MaxReply {
		t.Errorf("the client let the server send it %d bytes", n)
	}
}

// mustHave fails unless the server took exactly these deliveries, in any order.
func (s Server) mustHave(t *testing.T, sent ...events.Delivery) {
	t.Helper()
	got := s.Log.Taken()
	if len(got) != len(sent) {
		t.Fatalf("the server took %d messages, want %d", len(got), len(sent))
	}
	for _, d := range sent {
		i := slices.IndexFunc(got, func(m Taken) bool { return m.ID == d.ID })
		if i < 0 {
			t.Errorf("delivery %s did not arrive", d.ID)
			continue
		}
		if err := s.verify(d, got[i]); err != nil {
			t.Errorf("delivery %s: %v", d.ID, err)
		}
	}
}

func (s Server) verify(d events.Delivery, got Taken) error {
	if s.Verify != nil {
		return s.Verify(d, got)
	}
	if !bytes.Equal(got.Body, d.Message) {
		return errors.New("the body is not the delivery's message")
	}
	return nil
}
