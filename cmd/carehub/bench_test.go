package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/receipts"
)

// BenchmarkDoor is what it costs to take in an event that four are told of, without the store and the engine: first the
// handler alone, then with Go's HTTP server before it, over one connection, its other end included.
func BenchmarkDoor(b *testing.B) {
	b.Run("handler", func(b *testing.B) {
		door, n := benchDoor(b), 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			w := httptest.NewRecorder()
			r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(benchRequest(n))))
			if door.ServeHTTP(w, r); w.Code != http.StatusCreated {
				b.Fatal(w.Code, w.Body)
			}
		}
	})
	b.Run("server", func(b *testing.B) {
		conn, n := benchServer(b, benchDoor(b)), 0
		answers := bufio.NewReader(conn)
		b.ReportAllocs()
		for b.Loop() {
			n++
			_, _ = io.WriteString(conn, benchRequest(n))
			if err := readAnswer(answers); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchDoor is POST /events of the example's hub.
func benchDoor(b *testing.B) http.Handler {
	f, problems := loadFolder("../../deploy/example", loadOptions{noSecrets: true, types: channelTypes})
	if problems.Failed() {
		b.Fatal(problems)
	}
	known := newTokens(nil)
	known.byHash[hashToken("care_ruth")] = token{ID: "ruth", Kind: events.Carer}
	d, log := desk{f, nil}, slog.New(slog.NewJSONHandler(io.Discard, nil))
	viewer := receipts.Viewer{Source: nowhere{}, Zone: d.Zone, Phones: d.Phones, Clock: time.Now}
	in := intake.New(nowhere{}, func() intake.Desk { return d }, time.Now)
	door := &intake.Handler{Intake: in, Authenticate: known.authenticate, Log: log,
		View: func(ctx context.Context, st events.Stored) (any, error) { return viewer.View(ctx, st) }}
	mux := http.NewServeMux()
	mux.Handle("POST /events", door)
	return mux
}

func benchRequest(n int) string {
	const body = `{"patient":"p-7f3k","kind":"admission","place":"Riverside Hospital","words":"He fell at home and was taken in."}`
	return fmt.Sprintf("POST /events HTTP/1.1\r\nHost: hub.example\r\nUser-Agent: bench\r\nContent-Length: %d\r\n"+
		"Authorization: Bearer care_ruth\r\nContent-Type: application/json\r\nIdempotency-Key: bench-%d\r\n\r\n%s", len(body), n, body)
}

func benchServer(b *testing.B, door http.Handler) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveUntil(ctx, l, door, slog.New(slog.DiscardHandler)) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return conn
}

// readAnswer reads one answer, with as little as that needs.
func readAnswer(r *bufio.Reader) error {
	size := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			_, _ = r.Discard(size)
			return err
		}
		if value, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			size, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
}

// nowhere is a store that keeps nothing, and an engine that has told nobody yet.
type nowhere struct{}

func (nowhere) Publish(_ context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	return events.Stored{Seq: 1, Record: rec, Message: message}, true, nil
}

func (nowhere) Find(context.Context, string) (events.Stored, error) {
	return events.Stored{}, &events.Error{Kind: events.NotFound}
}

func (nowhere) Latest(context.Context, string, events.Kind) (events.Event, bool, error) {
	return events.Event{}, false, nil
}

func (nowhere) Timeline(context.Context, string, events.Place, int) ([]events.Stored, error) {
	return nil, nil
}

func (nowhere) Receipts(_ context.Context, st events.Stored) ([]events.Receipt, error) {
	out := make([]events.Receipt, len(st.Record.Plan.Recipients))
	for i, r := range st.Record.Plan.Recipients {
		out[i] = events.Receipt{Recipient: r, Outcome: events.Outcome{State: events.Trying, Channel: r.Channels[0].Key, At: st.Record.Event.Recorded}}
	}
	return out, nil
}

func (nowhere) Watch(string) (<-chan struct{}, func()) { return nil, func() {} }
