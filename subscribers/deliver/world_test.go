package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/deliver"
)

// world is a hub in a bubble of fake time: the in-memory store, endpoints that behave as told, and a diary of what
// reached whom and when.
type world struct {
	t     *testing.T
	store *stream.Memory
	start time.Time

	mu         sync.Mutex
	behave     map[string]func(d events.Delivery) error // by recipient/channel
	subs       map[string]subscribers.Subscriber
	quiet      map[string]*events.Quiet // by recipient
	diary      []arrival
	tries      []arrival
	alarms     []events.About
	alarmErr   error
	alarmAfter time.Duration // of the alarms that are logged
	n          int
	ahead      time.Duration // how far the clock at the door is ahead of the engine's
	inflight   int
	peak       int

	stop func()
}

// arrival is one attempt or one accepted message.
type arrival struct {
	to, event, patient string
	kind               events.Kind
	id, body           string
	after              time.Duration // since the start of the world
	attempt            int
}

func newWorld(t *testing.T, recipients ...string) *world {
	w := &world{t: t, store: stream.NewMemory(4), start: time.Now(), behave: map[string]func(events.Delivery) error{},
		subs: map[string]subscribers.Subscriber{}}
	for _, r := range recipients {
		w.register(r)
	}
	return w
}

// register adds a recipient: "gp" with a webhook, or "gp webhook email" with these channels.
func (w *world) register(spec string) {
	f := strings.Fields(spec)
	if len(f) == 1 {
		f = append(f, "webhook")
	}
	sub := subscribers.Subscriber{ID: f[0], Name: "The " + f[0]}
	for _, c := range f[1:] {
		if c == "phone" {
			continue
		}
		sub.Channels = append(sub.Channels, subscribers.Channel{
			Channel: events.Channel{Key: c, Type: c}, Endpoint: &endpoint{w, f[0] + "/" + c}})
	}
	w.subs[sub.ID] = sub
}

type endpoint struct {
	w  *world
	at string
}

func (p *endpoint) Send(ctx context.Context, d events.Delivery) error {
	w := p.w
	e, err := fhir.Decode(d.Message)
	if err != nil {
		w.t.Errorf("%s got a message that cannot be decoded: %v", p.at, err)
	}
	a := arrival{to: p.at, event: d.Event, patient: e.Event.Patient, kind: d.Kind, id: d.ID, body: string(d.Message),
		after: time.Since(w.start), attempt: d.Attempt}
	w.mu.Lock()
	w.tries = append(w.tries, a)
	behave := w.behave[p.at]
	w.inflight++
	w.peak = max(w.peak, w.inflight)
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.inflight--; w.mu.Unlock() }()
	if behave != nil {
		if err := behave(d); errors.Is(err, errHang) {
			<-ctx.Done()
			return &events.Failure{Reason: events.ReasonTimeout, Err: ctx.Err()}
		} else if err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.diary = append(w.diary, a)
	return nil
}

var errHang = errors.New("hang")

func hang(events.Delivery) error { return errHang }
func dead(events.Delivery) error { return &events.Failure{Reason: events.ReasonConnection} }
func gone(events.Delivery) error {
	return &events.Failure{Reason: events.ReasonGone, Permanent: true, Status: 410}
}

func (w *world) behaves(at string, f func(events.Delivery) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behave[at] = f
}

// run starts an engine; stop drains it.
func (w *world) run(options ...func(*deliver.Options)) *deliver.Engine {
	opt := deliver.Options{Log: w.store, Ledger: w.store, Alarm: w.alarm,
		Lookup: func(id string) (subscribers.Subscriber, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			s, ok := w.subs[id]
			return s, ok
		}}
	for _, o := range options {
		o(&opt)
	}
	e := deliver.New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("engine: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
	return e
}

func (w *world) alarm(_ context.Context, about events.About, _ events.Stored) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alarmErr == nil {
		w.alarms = append(w.alarms, about)
	}
	return w.alarmErr
}

// log accepts an event for the recipients.
func (w *world) log(kind events.Kind, patient string, to ...string) events.Stored {
	w.t.Helper()
	w.n++
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	now := time.Now().UTC()
	if w.ahead != 0 {
		now = now.Add(w.ahead)
	}
	ev := events.Event{ID: events.NewID(by, patient, fmt.Sprint("key ", w.n)), Patient: patient, Kind: kind, Occurred: now, Recorded: now, By: by}
	if kind != events.Fall {
		ev.Stay = ev.ID
	}
	plan := events.Plan{Hub: "https://hub.example", Urgency: events.Urgent, FallbackAfter: 5 * time.Minute,
		AlarmAfter: 15 * time.Minute, GiveUpAfter: 72 * time.Hour}
	if kind == events.Discharge {
		plan.FallbackAfter, plan.AlarmAfter = 30*time.Minute, 2*time.Hour
	}
	for _, r := range to {
		rc := events.Recipient{ID: r, Name: "The " + r, Rule: "routing/" + patient + ".yaml:4"}
		if kind == events.Discharge {
			rc.Quiet = w.quiet[r]
		}
		for _, c := range w.subs[r].Channels {
			rc.Channels = append(rc.Channels, c.Channel)
		}
		plan.Recipients = append(plan.Recipients, rc)
	}
	msg, err := fhir.Encode(fhir.Message{Event: ev, Patient: events.Patient{ID: patient, Name: "Thomas Example", Born: "1941-03-11"},
		By: events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example"}, Hub: events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}})
	if err != nil {
		w.t.Fatal(err)
	}
	st, created, err := w.store.Publish(w.t.Context(), events.Record{V: 1, Event: ev, Plan: plan}, msg)
	if err != nil || !created {
		w.t.Fatalf("publish: created %v, %v", created, err)
	}
	return st
}

// partition is where a patient's events are.
func (w *world) partition(patient string) int { return events.PartitionOf(patient, 4) }

// told returns the events that arrived at a recipient/channel, in order.
func (w *world) told(at string) (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.diary {
		if a.to == at {
			ids = append(ids, a.event)
		}
	}
	return ids
}

// most is how many attempts were in flight at a time.
func (w *world) most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak
}

func (w *world) attempts(at string) (out []arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.tries {
		if a.to == at {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) states(e *deliver.Engine, st events.Stored) (out []string) {
	w.t.Helper()
	receipts, err := e.Receipts(w.t.Context(), st)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range receipts {
		out = append(out, r.ID+" "+string(r.State)+" "+string(r.Reason))
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// settle lets everything happen that can without time passing.
func settle() { synctest.Wait() }

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
