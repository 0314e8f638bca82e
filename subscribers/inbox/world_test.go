package inbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
	"carehub/events/receipts"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// world is some subscribers with inboxes, and a hub that looks after them. Time is synctest's.
type world struct {
	t     *testing.T
	store *stream.Memory
	who   []subscribers.Subscriber
	post  *office
	*Keeper
	log journal

	mu     sync.Mutex
	alarms []string           // words, of different abouts
	abouts map[string]bool    // that were raised
	deaf   error              // alarms fail with it
	stop   context.CancelFunc // of the keepers that run
	ended  sync.WaitGroup
}

const team, admin = "team@frailty.example", "admin@hub.example"

// inWorld runs what inside a bubble of fake time, with a hub that runs.
func inWorld(t *testing.T, what func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: stream.NewMemory(1), post: &office{}, abouts: map[string]bool{}}
		w.who = []subscribers.Subscriber{
			{ID: "admin", Name: "Admin on call", Channels: []subscribers.Channel{w.channel("email", admin)}},
			{ID: "frailty-team", Name: "Frailty team", Phone: "01234 567893", Channels: []subscribers.Channel{w.channel("email", team)}},
			{ID: "ruth-example", Name: "Ruth Example", Carer: true, Channels: []subscribers.Channel{w.channel("email", "ruth@home.example")}},
		}
		w.start(1)
		defer func() { w.stop(); w.ended.Wait() }()
		what(w)
	})
}

func (w *world) channel(key, to string) subscribers.Channel {
	return subscribers.Channel{Channel: events.Channel{Key: key, Type: "email"}, Endpoint: &mailbox{w.post, to}}
}

// start runs a number of hubs on one store; w.Keeper is one of them.
func (w *world) start(hubs int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = cancel
	for range hubs {
		k := New(Options{
			Registry: endpoints.New(w.store),
			Everyone: func() []subscribers.Subscriber { return w.who },
			Lookup:   w.lookup,
			Hub: func() events.Sender {
				return events.Sender{Name: "Riverside carers' network", URL: "https://hub.example", Phone: "+44 7700 900123"}
			},
			Zone:  london,
			Seal:  receipts.Seal{Key: []byte("a secret of thirty-two characters"), Purpose: "inbox "},
			Alarm: w.alarm, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		})
		k.memory = 64 // or checking codes takes most of the time of a test
		ready := make(chan struct{})
		w.ended.Go(func() { _ = k.Registry.Follow(ctx, func() { close(ready) }) })
		<-ready
		w.ended.Go(func() { _ = k.Run(ctx) })
		w.Keeper = k
	}
}

func london() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err)
	}
	return zone
}

func (w *world) lookup(id string) (subscribers.Subscriber, bool) {
	for _, s := range w.who {
		if s.ID == id {
			return s, true
		}
	}
	return subscribers.Subscriber{}, false
}

func (w *world) alarm(_ context.Context, about events.About, words string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf != nil {
		return w.deaf
	}
	if id := events.AlarmID(about); !w.abouts[id] {
		w.abouts[id] = true
		w.alarms = append(w.alarms, string(about.Reason)+": "+words)
	}
	return nil
}

// told returns the alarms that there were since it was last asked.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.alarms
	w.alarms = nil
	return all
}

// passes lets time pass.
func (w *world) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// mails returns what came for an address since it was last asked.
func (w *world) mails(to string) []subscribers.Note {
	w.passes(time.Second)
	return w.post.take(to)
}

// mail returns the one mail that came for an address.
func (w *world) mail(to string) subscribers.Note {
	w.t.Helper()
	all := w.mails(to)
	if len(all) != 1 {
		w.t.Fatalf("%d mails for %s: %+v", len(all), to, all)
	}
	return all[0]
}

// tell has a message about a patient sent to somebody, and returns why it was not.
func (w *world) tell(id string) events.Reason { return w.send(id, events.Admission) }

func (w *world) send(id string, kind events.Kind) events.Reason {
	w.t.Helper()
	s, ok := w.lookup(id)
	if !ok {
		w.t.Fatalf("no %s", id)
	}
	err := w.Guard(s).Channels[0].Endpoint.Send(w.t.Context(), events.Delivery{Kind: kind})
	if f, ok := errors.AsType[*events.Failure](err); ok {
		if !f.Permanent {
			w.t.Errorf("%s: the next channel would not open", f.Reason)
		}
		return f.Reason
	}
	if err != nil {
		w.t.Error(err)
	}
	return ""
}

// verify has an address verified, by its mail and its page.
func (w *world) verify(id, address, code string) {
	w.t.Helper()
	if err := w.Verify(w.t.Context(), id, "email"); err != nil {
		w.t.Fatal(err)
	}
	if status, page := w.browser().posts(w.mail(address).Link, "code", code); status != http.StatusOK {
		w.t.Fatalf("status %d: %s", status, page)
	}
}

// browser is somebody who opens pages.
type browser struct {
	w       *world
	cookies map[string]string
	last    *httptest.ResponseRecorder
}

func (w *world) browser() *browser { return &browser{w: w, cookies: map[string]string{}} }

func (b *browser) gets(link string) (int, string) { return b.do(http.MethodGet, link, nil) }

// posts sends a form, name and value in turn, and follows where the answer leads.
func (b *browser) posts(link string, fields ...string) (int, string) {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, page := b.do(http.MethodPost, link, form)
	if status == http.StatusSeeOther {
		base, err := url.Parse(link)
		if err != nil {
			b.w.t.Fatal(err)
		}
		to, err := base.Parse(b.last.Header().Get("Location"))
		if err != nil {
			b.w.t.Fatal(err)
		}
		return b.gets(to.String())
	}
	return status, page
}

func (b *browser) do(method, link string, form url.Values) (int, string) {
	r := httptest.NewRequest(method, link, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.SetPathValue("token", link[strings.LastIndex(link, "/")+1:])
	b.last = httptest.NewRecorder()
	b.w.ServeHTTP(b.last, r)
	for _, c := range b.last.Result().Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") {
			b.w.t.Errorf("a cookie that others may see: %v", c)
		}
		b.cookies[c.Name] = c.Value
	}
	return b.last.Code, b.last.Body.String()
}

// office is the mail server.
type office struct {
	mu     sync.Mutex
	sent   []sent
	answer func(to string, n subscribers.Note) error
	tries  int
}

type sent struct {
	to   string
	note subscribers.Note
}

func (o *office) take(to string) (notes []subscribers.Note) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []sent
	for _, s := range o.sent {
		if s.to == to {
			notes = append(notes, s.note)
		} else {
			rest = append(rest, s)
		}
	}
	o.sent = rest
	return notes
}

// mailbox is one address there.
type mailbox struct {
	office *office
	to     string
}

func (m *mailbox) Address() string { return m.to }

func (m *mailbox) At(address string) (subscribers.Mailbox, error) {
	if !strings.Contains(address, "@") {
		return nil, errors.New("no address")
	}
	return &mailbox{m.office, address}, nil
}

func (m *mailbox) Send(_ context.Context, d events.Delivery) error {
	return m.Post(context.Background(), subscribers.Note{Title: string(d.Kind)})
}

func (m *mailbox) Post(_ context.Context, n subscribers.Note) error {
	m.office.mu.Lock()
	defer m.office.mu.Unlock()
	m.office.tries++
	if m.office.answer != nil {
		if err := m.office.answer(m.to, n); err != nil {
			return err
		}
	}
	m.office.sent = append(m.office.sent, sent{m.to, n})
	return nil
}

// journal is a log.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

var _ io.Writer = (*journal)(nil)

// says reports what is missing of a text.
func says(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
