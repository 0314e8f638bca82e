package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/bounces"
)

// meter counts what the hub does, for Prometheus; gauges.go adds what it is at the moment. Labels are closed words,
// numbers of partitions and ids of teams from subscribers/: never a patient, a carer or an address. Series exist from the
// start, at zero, so that the first of anything is seen as a change.
type meter struct {
	http.Handler
	registry   *prometheus.Registry
	events     *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	attempts   *prometheus.HistogramVec
	deliveries *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	alarms     *prometheus.CounterVec
	reports    *prometheus.CounterVec
	stored     prometheus.Observer
	noted      prometheus.Observer
	wrote      atomic.Int64 // when a write was last acknowledged, Unix nanoseconds
}

// channelLabels are the types of channels that this build has.
var channelLabels = []string{"email", "fhir", "push", "sms", "subscription", "webhook"}

func newMeter() *meter {
	m := &meter{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	writes := prometheus.ExponentialBuckets(0.0005, 2, 15) // 0.5 ms to 8 s
	m.events = counter("carehub_events_total", "Events that the doors answered as saved, by kind; answer tells the first time from repeats.", "kind", "answer")
	m.refusals = counter("carehub_refusals_total", "Requests to log an event that the doors refused, by the kind of error.", "error")
	m.attempts = histogram("carehub_attempt_seconds", "Attempts to deliver, by type of channel and what came of them.",
		prometheus.ExponentialBuckets(0.001, 4, 9), "channel", "result")
	m.deliveries = counter("carehub_deliveries_total", "Deliveries that have come to their end, by type of channel and final state.", "channel", "outcome")
	m.latency = histogram("carehub_delivery_seconds", "From an event's acceptance until a recipient's channel has taken it.",
		prometheus.ExponentialBuckets(0.005, 4, 13), "channel") // 5 ms to a day
	m.alarms = counter("carehub_alarms_total", "Alarms that the alarm recipients are told of, each once, by reason.", "reason")
	m.reports = counter("carehub_mail_reports_total", "Messages to return addresses of mails, by what they were: a mail bounced or is delayed, or nothing that counts.", "result")
	m.stored = histogram("carehub_store_write_seconds", "Writing an event with its plan, synced: what a carer waits for.", writes).WithLabelValues()
	m.noted = histogram("carehub_ledger_write_seconds", "Writing a batch of outcomes, parked deliveries or a cursor, synced.", writes).WithLabelValues()
	m.zero()
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	return m
}

// zero makes the series of all closed words.
func (m *meter) zero() {
	for _, kind := range events.Routed {
		m.events.WithLabelValues(string(kind), "created")
		m.events.WithLabelValues(string(kind), "repeated")
		m.events.WithLabelValues(string(kind), "held")
	}
	for _, kind := range []events.ErrorKind{events.Invalid, events.Unauthenticated, events.Forbidden, events.NotFound, events.Conflict, events.Gone,
		events.TooLarge, events.Busy, events.Unavailable, events.Internal} {
		m.refusals.WithLabelValues(string(kind))
	}
	for _, channel := range channelLabels {
		m.attempts.WithLabelValues(channel, "delivered")
		m.latency.WithLabelValues(channel)
		for _, state := range []events.State{events.Refused, events.Failed} {
			m.deliveries.WithLabelValues(channel, string(state))
		}
	}
	for _, result := range bounces.Results {
		m.reports.WithLabelValues(string(result))
	}
	m.deliveries.WithLabelValues("email", string(events.Sent))
	m.deliveries.WithLabelValues("push", string(events.Sent))
	m.deliveries.WithLabelValues("sms", string(events.Sent))
	m.deliveries.WithLabelValues("fhir", string(events.Received))
	m.deliveries.WithLabelValues("subscription", string(events.Received))
	m.deliveries.WithLabelValues("webhook", string(events.Received))
	m.deliveries.WithLabelValues("none", string(events.Refused))
	for _, reason := range []events.Reason{events.ReasonOverdue, events.ReasonGaveUp, events.ReasonLost, events.ReasonNoChannel, events.ReasonNoRecipient,
		events.ReasonHeld, events.ReasonHeldEnding, events.ReasonHeldEnded, events.ReasonHeldFull, events.ReasonPaused, events.ReasonSuspended,
		events.ReasonBounced, events.ReasonMailbox, events.ReasonReload, events.ReasonMissing, events.ReasonDeclined, events.ReasonUnanswered} {
		m.alarms.WithLabelValues(string(reason))
	}
}

// answered counts what a door said: kind is empty for a refusal.
func (m *meter) answered(kind events.Kind, answer string) {
	if kind == "" {
		m.refusals.WithLabelValues(answer).Inc()
		return
	}
	m.events.WithLabelValues(string(kind), answer).Inc()
}

func (m *meter) attempted(channelType, result string, took time.Duration) {
	m.attempts.WithLabelValues(channelType, result).Observe(took.Seconds())
}

func (m *meter) ended(channelType string, state events.State, age time.Duration) {
	if channelType == "" {
		channelType = "none"
	}
	m.deliveries.WithLabelValues(channelType, string(state)).Inc()
	if state.Told() {
		m.latency.WithLabelValues(channelType).Observe(age.Seconds())
	}
}

func (m *meter) alarmed(about events.About) { m.alarms.WithLabelValues(string(about.Reason)).Inc() }

func (m *meter) reported(result bounces.Result) { m.reports.WithLabelValues(string(result)).Inc() }

// acknowledged takes note that the store has just synced something.
func (m *meter) acknowledged() { m.wrote.Store(time.Now().UnixNano()) }

// timedStore is the store with its synced writes measured.
type timedStore struct {
	*stream.Store
	meter *meter
}

// Publish is the store's, timed when it wrote something.
func (s timedStore) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	began := time.Now()
	stored, created, err := s.Store.Publish(ctx, rec, message)
	if created {
		s.meter.stored.Observe(time.Since(began).Seconds())
		s.meter.acknowledged()
	}
	return stored, created, err
}

// Put is the store's, timed when it wrote something.
func (s timedStore) Put(ctx context.Context, p int, entries []events.Entry) error {
	began := time.Now()
	err := s.Store.Put(ctx, p, entries)
	if err == nil && len(entries) > 0 {
		s.meter.noted.Observe(time.Since(began).Seconds())
		s.meter.acknowledged()
	}
	return err
}
