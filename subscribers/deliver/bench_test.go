package deliver_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/deliver"
)

// BenchmarkDelivery takes stored events through the engine, from the in-memory store to channels that do nothing and back
// to the ledger. What one delivery costs should not depend on how many an event has.
//
//	go test -run '^$' -bench Delivery ./subscribers/deliver
func BenchmarkDelivery(b *testing.B) {
	for _, recipients := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(recipients), func(b *testing.B) { benchmarkDelivery(b, recipients) })
	}
}

func benchmarkDelivery(b *testing.B, recipients int) {
	logged := (b.N + recipients - 1) / recipients
	deliveries := int64(logged * recipients)
	store := stream.NewMemory(4)
	for n := range logged {
		publishTo(b, store, n, recipients)
	}
	sink := &counter{enough: deliveries, done: make(chan struct{})}
	webhook := []subscribers.Channel{{Channel: events.Channel{Key: "webhook", Type: "webhook"}, Endpoint: sink}}
	engine := deliver.New(deliver.Options{Log: store, Ledger: store,
		Alarm: func(context.Context, events.About, events.Stored) error { return nil },
		Lookup: func(id string) (subscribers.Subscriber, bool) {
			return subscribers.Subscriber{ID: id, Channels: webhook}, true
		}})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used := cpu(b)
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	<-sink.done
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	used = cpu(b) - used
	runtime.ReadMemStats(&after)
	b.ReportMetric(0, "ns/op") // b.N is rounded up to whole events
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
	b.ReportMetric(float64(used.Nanoseconds())/float64(deliveries), "cpu-ns/delivery")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(deliveries), "allocs/delivery")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(deliveries), "B/delivery")
}

// cpu is the processor time used so far: on a busy machine it says more than the time that passed.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// counter is an endpoint that takes everything, and says when it has had enough.
type counter struct {
	n      atomic.Int64
	enough int64
	done   chan struct{}
}

func (c *counter) Send(context.Context, events.Delivery) error {
	if c.n.Add(1) == c.enough {
		close(c.done)
	}
	return nil
}

// publishTo stores the nth event, for so many recipients. A thousand patients take turns.
func publishTo(b *testing.B, store *stream.Memory, n, recipients int) {
	b.Helper()
	by, now := events.Actor{Kind: events.Carer, ID: "ruth"}, time.Now().UTC()
	patient := fmt.Sprintf("p-n%d", n%1000)
	ev := events.Event{ID: events.NewID(by, patient, fmt.Sprint(n)), Patient: patient, Kind: events.Fall, Occurred: now, Recorded: now, By: by}
	plan := events.Plan{Hub: "https://hub.example", Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: 15 * time.Minute,
		GiveUpAfter: 72 * time.Hour}
	for r := range recipients {
		plan.Recipients = append(plan.Recipients, events.Recipient{ID: fmt.Sprintf("r%d", r), Name: "A team", Rule: "routing/p.yaml:4",
			Channels: []events.Channel{{Key: "webhook", Type: "webhook"}}})
	}
	message, err := fhir.Encode(fhir.Message{Event: ev, Patient: events.Patient{ID: patient, Name: "Thomas Example", Born: "1941-03-11"},
		By: events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example"}, Hub: events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}})
	if err != nil {
		b.Fatal(err)
	}
	if _, created, err := store.Publish(b.Context(), events.Record{V: events.RecordVersion, Event: ev, Plan: plan}, message); err != nil || !created {
		b.Fatal(created, err)
	}
}
