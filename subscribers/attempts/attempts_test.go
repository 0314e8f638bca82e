package attempts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/subscribers/attempts"
)

// shelf is a store in memory.
type shelf struct {
	mu       sync.Mutex
	messages []events.Entry
	err      error
}

func (s *shelf) AppendAttempts(_ context.Context, messages []events.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.messages = append(s.messages, messages...)
	}
	return s.err
}

func (s *shelf) all() []events.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

func (s *shelf) ReadAttempts(_ context.Context, subject string, fn func([]byte) error) error {
	for _, m := range s.all() {
		if m.Key == subject {
			if err := fn(m.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func attempt(n int, to string) events.Attempt {
	at := time.Date(2026, 11, 3, 14, 32, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return events.Attempt{At: at, Recipient: to, Channel: "webhook", Event: fmt.Sprint("ev-", n), Delivery: fmt.Sprint("msg_", n), Number: 1,
		Result: events.Delivered, Took: 3 * time.Millisecond, Reply: &events.Reply{Status: 204, Header: map[string][]string{"Date": {"Tue"}}}}
}

func ids(t *testing.T, l *attempts.Log, since time.Time, limit int) string {
	t.Helper()
	all, err := l.List(t.Context(), "gp", "webhook", since, limit)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range all {
		ids = append(ids, a.Event)
	}
	return strings.Join(ids, " ")
}

// TestWrittenEverySecond, those of one endpoint together; what is not written yet is listed too.
func TestWrittenEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		l := attempts.New(s, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		for n := range 3 {
			l.Add(attempt(n, "gp"))
			l.Add(attempt(n, "nurses"))
		}
		if got := ids(t, l, time.Time{}, 10); got != "ev-0 ev-1 ev-2" || len(s.all()) != 0 {
			t.Errorf("before: %s, %d messages", got, len(s.all()))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := ids(t, l, time.Time{}, 10); got != "ev-0 ev-1 ev-2" || len(s.all()) != 2 {
			t.Errorf("after: %s, %d messages", got, len(s.all()))
		}
		l.Add(attempt(3, "gp"))
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := ids(t, l, attempt(1, "").At, 2); got != "ev-2 ev-3" || len(s.all()) != 3 {
			t.Errorf("at the end: %s, %d messages", got, len(s.all()))
		}
	})
}

// TestBounds: a reply is cut, messages are small, and what cannot be written is let go.
func TestBounds(t *testing.T) {
	s := &shelf{}
	l := attempts.New(s, slog.New(slog.DiscardHandler))
	large := attempt(0, "gp")
	large.Reply = &events.Reply{Status: 500, Body: make([]byte, 5000), Header: map[string][]string{"A": {"first"}, "B": {strings.Repeat("x", 4000)}}}
	for range 1000 {
		l.Add(large)
	}
	l.Flush(t.Context())
	for _, m := range s.all() {
		if len(m.Value) > 64<<10 {
			t.Errorf("a message of %d bytes", len(m.Value))
		}
	}
	all, err := l.List(t.Context(), "gp", "webhook", time.Time{}, 5000)
	if err != nil || len(all) != 1000 || len(all[0].Reply.Body) != events.MaxReplyKept || len(all[0].Reply.Header) != 1 || all[0].Reply.Header["A"][0] != "first" {
		t.Errorf("%d, %v, %+v", len(all), err, all[0].Reply.Header)
	}
	s.err = errors.New("away")
	for n := range 20000 {
		l.Add(attempt(n, "gp"))
	}
	l.Flush(t.Context())
	if got := ids(t, l, attempt(1, "").At, 5); got != "" {
		t.Errorf("kept %s", got)
	}
}

// BenchmarkLog is what the log costs for each attempt: taking it down, and making its part of a message.
//
//	go test -run '^$' -bench Log ./subscribers/attempts
func BenchmarkLog(b *testing.B) {
	l := attempts.New(nowhere{}, slog.New(slog.DiscardHandler))
	a := attempt(1, "gp")
	a.Reply.Header = map[string][]string{"Date": {"Tue, 03 Nov 2026 14:32:00 GMT"}, "Content-Type": {"application/json"}, "Server": {"nginx"}}
	b.ReportAllocs()
	used, n := cpu(b), 0
	for ; b.Loop(); n++ {
		l.Add(a)
		if n%1000 == 999 {
			l.Flush(b.Context())
		}
	}
	b.ReportMetric(float64((cpu(b)-used).Nanoseconds())/float64(n), "cpu-ns/op")
}

// cpu is the processor time used so far: on a busy machine it says more than the time that passed.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

type nowhere struct{}

func (nowhere) AppendAttempts(context.Context, []events.Entry) error                   { return nil }
func (nowhere) ReadAttempts(context.Context, string, func(message []byte) error) error { return nil }
