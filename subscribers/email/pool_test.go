package email

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// wire is an SMTP server without a network, so that a synctest bubble owns the time.
type wire struct {
	mu    sync.Mutex
	verbs []string
	dials int
}

func (w *wire) dial(ctx context.Context) (*session, error) {
	near, far := net.Pipe()
	w.mu.Lock()
	w.dials++
	w.mu.Unlock()
	go w.serve(far)
	s := &session{conn: &meter{Conn: near}, probe: time.Second}
	release := s.obey(ctx)
	defer release()
	client, err := smtp.NewClient(s.conn, "mail.example")
	if err != nil {
		return nil, err
	}
	s.client = client
	return s, client.Hello("hub.example")
}

func (w *wire) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewReader(conn)
	_, _ = fmt.Fprint(conn, "220 hello\r\n")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.Fields(line + " .")[0]
		w.mu.Lock()
		w.verbs = append(w.verbs, verb)
		w.mu.Unlock()
		reply := "250 ok"
		switch verb {
		case "DATA":
			reply = "354 go on"
		case "hello":
			continue // the message; its final dot is answered
		case "QUIT":
			_, _ = fmt.Fprint(conn, "221 bye\r\n")
			return
		}
		_, _ = fmt.Fprintf(conn, "%s\r\n", reply)
	}
}

func (w *wire) count(verb string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.verbs {
		if v == verb {
			n++
		}
	}
	return n
}

var hello = message{from: "a@hub.example", to: "b@gp.example", bytes: []byte("hello\r\n")}

func TestIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p := newPool(2, w.dial)
		for range 3 {
			if err := p.send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			time.Sleep(idleTime - time.Second) // work keeps it open
		}
		if w.dials != 1 || w.count("QUIT") != 0 {
			t.Errorf("%d connections, %d QUIT, want 1 and 0", w.dials, w.count("QUIT"))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.count("QUIT") != 1 || len(p.idle) != 0 {
			t.Errorf("%d QUIT and %d idle connections after the idle time, want 1 and 0", w.count("QUIT"), len(p.idle))
		}
		p.close(t.Context())
	})
}

func TestConnectionRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p := newPool(1, w.dial)
		for range maxPerConn + 1 {
			if err := p.send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w.dials != 2 || w.count("QUIT") != 1 {
			t.Errorf("%d connections, %d QUIT for %d messages, want 2 and 1", w.dials, w.count("QUIT"), maxPerConn+1)
		}
		p.close(t.Context())
		p.close(t.Context())
		if w.count("QUIT") != 2 {
			t.Errorf("%d QUIT after close, want 2", w.count("QUIT"))
		}
	})
}

func TestNoMoreThanItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p := newPool(3, w.dial)
		var senders sync.WaitGroup
		for range 20 {
			senders.Go(func() {
				if err := p.send(t.Context(), hello); err != nil {
					t.Error(err)
				}
			})
		}
		senders.Wait()
		if w.dials > 3 {
			t.Errorf("%d connections, want 3 at the most", w.dials)
		}
		p.close(t.Context())
		if err := p.send(t.Context(), hello); err == nil {
			t.Error("a closed pool sends")
		}
	})
}

func TestCloseBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, func(ctx context.Context) (*session, error) {
			<-ctx.Done()
			return nil, at(stepConnect, context.Cause(ctx))
		})
		result := make(chan error, 1)
		go func() { result <- p.send(context.Background(), hello) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.close(ctx)
		if err := <-result; err == nil {
			t.Error("an attempt that was broken off did not fail")
		}
	})
}

// No 60 seconds see more messages than were allowed, and a few go at once.
func TestLimiter(t *testing.T) {
	for _, perMinute := range []int{1, 3, 4, 20, 1000} {
		synctest.Test(t, func(t *testing.T) {
			limiter := newLimiter(perMinute)
			begin := time.Now()
			var times []time.Duration
			for time.Since(begin) < 5*time.Minute {
				if err := limiter.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				times = append(times, time.Since(begin))
			}
			for i := perMinute; i < len(times); i++ {
				if times[i]-times[i-perMinute] < time.Minute-time.Millisecond {
					t.Fatalf("%d a minute: %d within %v", perMinute, perMinute+1, times[i]-times[i-perMinute])
				}
			}
			if n := len(times); n < perMinute*3 {
				t.Errorf("%d a minute: only %d in five minutes", perMinute, n)
			}
		})
	}
}
