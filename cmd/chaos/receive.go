package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// arrival is one request that a receiver has read to its end, and what it did with it: a line of the receivers' file.
type arrival struct {
	At      int64       `json:"t"` // Unix nanoseconds
	To      string      `json:"r"`
	ID      string      `json:"id"` // webhook-id, or X-Request-ID
	Sum     string      `json:"sum"`
	Event   string      `json:"e"`
	Patient string      `json:"p"`
	Kind    events.Kind `json:"k"`
	Did     string      `json:"did"`
}

// What a receiver can do with a message.
const (
	takes   = "takes" // 204
	refuses = "422"   // for good, where it speaks FHIR
	fails   = "500"
	busy    = "429" // with Retry-After
	hangs   = "hangs"
	crawls  = "crawls" // reads and answers a byte a second
	cuts    = "cuts"   // the connection, in the middle of its answer
	flaps   = "flaps"  // takes every other one, fails the rest
)

var moods = []string{fails, busy, hangs, crawls, cuts, flaps}

// receivers are all of them, at /r0, /r1, …: POST takes a message, PUT sets a mood for a while.
type receivers struct {
	mu     sync.Mutex
	seen   *os.File
	moods  map[string]mood
	count  int
	events sync.Map     // what is known of events, by id
	known  atomic.Int64 // messages of those
}

type mood struct {
	is    string
	until time.Time
}

// receive is the receivers' process.
func receive(address, file string) error {
	seen, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // #nosec G304 -- the run's own
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &receivers{seen: seen, moods: map[string]mood{}}, ReadHeaderTimeout: time.Minute}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return seen.Close()
}

func (rs *receivers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/$process-message")
	switch r.Method {
	case http.MethodGet: // ready
	case http.MethodPut:
		rs.setMood(to, r.URL.Query())
	default:
		rs.take(w, r, to)
	}
}

func (rs *receivers) setMood(to string, q url.Values) {
	d, _ := time.ParseDuration(q.Get("for"))
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.moods[to] = mood{q.Get("is"), time.Now().Add(d)}
}

// mood is how this receiver is now; until says for how long.
func (rs *receivers) mood(to string) (is string, until time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	m := rs.moods[to]
	if time.Now().After(m.until) {
		return takes, time.Time{}
	}
	if rs.count++; m.is == flaps {
		return []string{takes, fails}[rs.count%2], m.until
	}
	return m.is, m.until
}

// take reads a message, writes down that it has come, and answers as the mood has it.
func (rs *receivers) take(w http.ResponseWriter, r *http.Request, to string) {
	is, until := rs.mood(to)
	var body bytes.Buffer
	if is == crawls {
		crawl(r.Context(), until, func() bool { _, err := io.CopyN(&body, r.Body, 1); return err == nil })
	}
	if _, err := body.ReadFrom(r.Body); err != nil {
		return // the hub has gone in the middle
	}
	sum := sha256.Sum256(body.Bytes())
	if r.Header.Get("Content-Type") == "application/json" { // the hub's challenge: its type, and a nonce to echo
		answer(w, r, is, until, body.Bytes())
		return
	}
	id := cmp.Or(r.Header.Get("Webhook-Id"), r.Header.Get("X-Request-Id"))
	if (is == takes || is == crawls) && unwelcome(to, id) { // or what it took slowly, and unheard, it would refuse later
		is = refuses
	}
	e, err := rs.about(body.Bytes())
	if err != nil {
		is = fails
	}
	rs.write(arrival{At: time.Now().UnixNano(), To: to, ID: id, Sum: hex.EncodeToString(sum[:]), Event: e.ID, Patient: e.Patient, Kind: e.Kind, Did: is})
	answer(w, r, is, until, nil)
}

// about returns the event of a message. The first message of each event is decoded, and one in eight of the others: that takes
// longer than all else here, and the machine is there for the hubs.
func (rs *receivers) about(body []byte) (events.Event, error) {
	id := namedIn(body)
	if known, ok := rs.events.Load(id); ok && rs.known.Add(1)%8 > 0 {
		return known.(events.Event), nil
	}
	m, err := fhir.Decode(body)
	e := events.Event{ID: m.Event.ID, Patient: m.Event.Patient, Kind: m.Event.Kind}
	if err == nil && e.ID == id {
		rs.events.Store(id, e)
	}
	return e, err
}

// namedIn returns the identifier of a message's Communication, which is the event's; "" if it has none.
func namedIn(body []byte) string {
	var bundle struct {
		Entry []struct {
			Resource struct {
				ResourceType string
				Identifier   json.RawMessage // of some resources no list
			}
		}
	}
	_ = json.Unmarshal(body, &bundle) // what is no message is decoded, and found out
	for _, entry := range bundle.Entry {
		var identifiers []struct{ Value string }
		if entry.Resource.ResourceType == "Communication" && json.Unmarshal(entry.Resource.Identifier, &identifiers) == nil && len(identifiers) == 1 {
			return identifiers[0].Value
		}
	}
	return ""
}

// picky is the recipient who refuses some messages for good.
const picky = "picky"

// unwelcome picks these messages: the same ones each time.
func unwelcome(to, id string) bool { return to == picky && sha256.Sum256([]byte(id))[0] < 8 }

// write appends a line, with one write: what a process has written outlives its death.
func (rs *receivers) write(a arrival) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if _, err := rs.seen.Write(append(line, '\n')); err != nil {
		panic(err) // a receiver that cannot keep what it takes must not take it
	}
}

// answer does as the mood has it; what is taken is answered with echo, unless that is nil.
func answer(w http.ResponseWriter, r *http.Request, is string, until time.Time, echo []byte) {
	switch is {
	case fails:
		w.WriteHeader(http.StatusInternalServerError)
	case busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case refuses:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case hangs:
		<-r.Context().Done()
	case cuts:
		if conn, out, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = out.WriteString("HTTP/1.1 20")
			_ = out.Flush()
			_ = conn.Close()
		}
	case crawls:
		w.WriteHeader(http.StatusOK)
		crawl(r.Context(), until, func() bool {
			_, err := w.Write([]byte(" "))
			return err == nil && http.NewResponseController(w).Flush() == nil
		})
	case takes:
		if echo == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write(echo)
	}
}

// crawl does one step a second until the mood is over.
func crawl(ctx context.Context, until time.Time, step func() bool) {
	for time.Now().Before(until) && step() {
		if pause(ctx, time.Second) != nil {
			return
		}
	}
}
