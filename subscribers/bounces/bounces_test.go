package bounces_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
	"carehub/subscribers/bounces"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a store with one event, and what was done about its bounces.
type world struct {
	t         *testing.T
	store     *stream.Memory
	addresses bounces.Addresses
	event     events.Stored
	is        *bounces.Bounces
	logged    *lockedBuffer

	mu      sync.Mutex
	acted   []bounces.Record
	answers []error // of acting, the last one for good
	counted []bounces.Result
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: stream.NewMemory(1), logged: &lockedBuffer{}}
	var err error
	if w.addresses, err = bounces.NewAddresses([]byte("a key of the hub"), "care+b-*@hub.example"); err != nil {
		t.Fatal(err)
	}
	rec := streamtest.Record("p-7f3k", "key", events.Admission, 3)
	for i := range rec.Plan.Recipients {
		rec.Plan.Recipients[i].Channels = []events.Channel{{Key: "email", Type: "email"}, {Key: "email-2", Type: "email"}}
	}
	if w.event, _, err = w.store.Publish(t.Context(), rec, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	w.is = w.hub(w.store)
	return w
}

// hub is one that shares the store.
func (w *world) hub(store bounces.Store) *bounces.Bounces {
	return bounces.New(bounces.Options{Addresses: w.addresses, Store: store, Act: w.act, Log: slog.New(slog.NewTextHandler(w.logged, nil)),
		At: func(ctx context.Context, at events.Place) (events.Stored, bool, error) {
			return w.store.At(ctx, at.Partition, at.Seq)
		},
		Counted: func(r bounces.Result) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counted = append(w.counted, r)
		}})
}

func (w *world) act(_ context.Context, r bounces.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acted = append(w.acted, r)
	if len(w.answers) == 0 {
		return nil
	}
	answer := w.answers[0]
	if len(w.answers) > 1 {
		w.answers = w.answers[1:]
	}
	return answer
}

func (w *world) acts() []bounces.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acted)
}

// run acts on bounces until the test ends.
func (w *world) run(b *bounces.Bounces) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// report is a sample sent to the return address of a recipient's channel.
func (w *world) report(name string, index, channel int) []byte {
	w.t.Helper()
	leg := events.Leg{Place: w.event.Place(), Index: index, Channel: channel}
	address := w.addresses.For(leg, w.event.Record.Event.ID, w.event.Record.Plan.Recipients[index].ID)
	return bytes.ReplaceAll(sample(w.t, name), []byte("care+b-"+strings.Repeat("a", 40)+"@hub.example"), []byte(address))
}

func (w *world) take(b *bounces.Bounces, message []byte) bounces.Result {
	w.t.Helper()
	result, err := b.Take(w.t.Context(), message)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func (w *world) records() (all []string) {
	w.t.Helper()
	for i := range w.event.Record.Plan.Recipients {
		for _, channel := range []string{"email", "email-2"} {
			key := bounces.Prefix + events.DeliveryID(w.event.Record.Event.ID, w.event.Record.Plan.Recipients[i].ID) + "." + channel
			value, _, ok, err := w.store.HubGet(w.t.Context(), key)
			if err != nil {
				w.t.Fatal(err)
			}
			if ok {
				all = append(all, string(value))
			}
		}
	}
	return all
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestWhatIsTaken(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]bounces.Result{"postfix-delayed": bounces.Delayed, "postfix-relayed": bounces.Ignored, "vacation": bounces.Ignored,
		"read-receipt": bounces.Ignored, "google-plain-delayed": bounces.Delayed} {
		if got := w.take(w.is, w.report(name, 1, 0)); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
	if all := w.records(); len(all) != 0 {
		t.Errorf("recorded %q", all)
	}
	if got := w.take(w.is, sample(t, "postfix-failed")); got != bounces.Foreign {
		t.Errorf("to an address that nobody made: %s", got)
	}
	if got := w.take(w.is, []byte("To: help@hub.example\n\nHello")); got != bounces.Foreign {
		t.Errorf("to somebody else: %s", got)
	}
	for range 2 { // two hubs read the same mailbox
		if got := w.take(w.is, w.report("postfix-failed", 1, 0)); got != bounces.Bounced {
			t.Errorf("a bounce is %s", got)
		}
	}
	all := w.records()
	if len(all) != 1 || !strings.Contains(all[0], `"channel":0`) || !strings.Contains(all[0], `"index":1`) || !strings.Contains(all[0], `"status":"5.1.1"`) {
		t.Errorf("recorded %q", all)
	}
	if strings.Contains(w.logged.String(), "@") || strings.Contains(all[0], "@") {
		t.Errorf("an address stands in the log or in a record:\n%s%s", w.logged, all)
	}
}

func TestEveryShapeCarriesTheAddress(t *testing.T) {
	for name, want := range samples {
		w := newWorld(t)
		result := w.take(w.is, w.report(name, 0, 1))
		if (result == bounces.Bounced) != (want.Verdict == bounces.Failed) || len(w.records()) == 1 != (want.Verdict == bounces.Failed) {
			t.Errorf("%s is %s", name, result)
		}
	}
}

func TestActedOnUntilDone(t *testing.T) {
	w := newWorld(t)
	w.answers = []error{errors.New("not here"), errors.New("not yet"), nil}
	other := w.hub(w.store) // has the partition in a while
	w.run(other)
	w.take(w.is, w.report("postfix-failed", 2, 1))
	until(t, "it was acted on", func() bool { return len(w.acts()) == 3 })
	until(t, "the record is gone", func() bool { return len(w.records()) == 0 && other.Pending() == 0 })
	r := w.acts()[2]
	if r.Leg() != (events.Leg{Place: w.event.Place(), Index: 2, Channel: 1}) || r.Event != w.event.Record.Event.ID || r.Key != "email-2" {
		t.Errorf("acted on %+v", r)
	}
	w.take(w.is, w.report("postfix-failed", 2, 1)) // read again: whoever acts knows that it is done
	until(t, "it was acted on again", func() bool { return len(w.acts()) == 4 && len(w.records()) == 0 })
}

func TestKeptForTheArchive(t *testing.T) {
	w := newWorld(t)
	w.answers = []error{fmt.Errorf("archived: %w", bounces.ErrKeep)}
	w.run(w.is)
	other := w.hub(w.store)
	w.run(other)
	w.take(w.is, w.report("postfix-failed", 0, 0))
	delivery := events.DeliveryID(w.event.Record.Event.ID, w.event.Record.Plan.Recipients[0].ID)
	for _, hub := range []*bounces.Bounces{w.is, other} {
		until(t, "both hubs know", func() bool {
			_, ok := hub.Kept(delivery, "email")
			return ok && hub.Pending() == 0
		})
	}
	if got := w.take(w.is, w.report("postfix-failed", 0, 0)); got != bounces.Bounced || len(w.records()) != 1 {
		t.Errorf("again: %s, %q", got, w.records())
	}
}

// away is a store that cannot be reached.
type away struct{ bounces.Store }

func (away) HubPut(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, &events.Error{Kind: events.Unavailable, Message: "away"}
}

func TestNotTakenWithoutTheStore(t *testing.T) {
	w := newWorld(t)
	if result, err := w.hub(away{w.store}).Take(t.Context(), w.report("postfix-failed", 0, 0)); err == nil {
		t.Errorf("taken as %s", result)
	}
	if len(w.counted) != 0 {
		t.Errorf("counted %q", w.counted)
	}
}

func TestDoor(t *testing.T) {
	w := newWorld(t)
	door := &bounces.Door{Bounces: w.is, Token: func() string { return "token-of-the-mail-server" }, Log: slog.New(slog.DiscardHandler)}
	down := &bounces.Door{Bounces: w.hub(away{w.store}), Token: door.Token, Log: door.Log}
	report := string(w.report("postfix-failed", 0, 0))
	const good, rfc822 = "Bearer token-of-the-mail-server", "message/rfc822"
	for _, c := range []struct {
		what, auth, kind, body string
		door                   *bounces.Door
		status                 int
		answer                 string
	}{
		{"without a token", "", rfc822, report, door, 401, "unauthenticated"},
		{"with another", "Bearer token-of-the-mail-serve", rfc822, report, door, 401, "unauthenticated"},
		{"as a form", good, "application/x-www-form-urlencoded", report, door, 400, "message/rfc822"},
		{"too large", good, rfc822, report + strings.Repeat("x", bounces.MaxMessage), door, 413, "too_large"},
		{"without the store", good, rfc822, report, down, 503, "unavailable"},
		{"to nobody here", good, rfc822, "To: a@b.example\r\n\r\n", door, 200, `"result":"foreign"`},
		{"a bounce", good, rfc822, report, door, 200, `"result":"bounced"`},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mail/bounces", strings.NewReader(c.body))
		r.Header.Set("Authorization", c.auth)
		r.Header.Set("Content-Type", c.kind)
		rec := httptest.NewRecorder()
		c.door.ServeHTTP(rec, r)
		body, _ := io.ReadAll(rec.Body)
		if rec.Code != c.status || !strings.Contains(string(body), c.answer) {
			t.Errorf("%s: %d %s", c.what, rec.Code, body)
		}
	}
	if len(w.records()) != 1 {
		t.Errorf("recorded %q", w.records())
	}
}
