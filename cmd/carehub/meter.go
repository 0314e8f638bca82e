package main

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// meter counts what the hub does, for Prometheus. Its labels are closed words: no patient, recipient or address.
type meter struct {
	http.Handler
	registry *prometheus.Registry
	events   *prometheus.CounterVec
	attempts *prometheus.HistogramVec
}

func newMeter() *meter {
	m := &meter{registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carehub_events_total",
			Help: "Events answered at the doors, repeats included."}, []string{"kind"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "carehub_attempt_seconds",
			Help: "Attempts to deliver, by channel and what came of them.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)},
			[]string{"channel", "result"}),
	}
	m.registry.MustRegister(m.events, m.attempts)
	m.Handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

func (m *meter) accepted(kind events.Kind) { m.events.WithLabelValues(string(kind)).Inc() }

func (m *meter) attempted(channelType, result string, took time.Duration) {
	m.attempts.WithLabelValues(channelType, result).Observe(took.Seconds())
}

// watch adds what the engine says of itself.
func (m *meter) watch(e *deliver.Engine) {
	gauge := func(name, help string, value func(deliver.Health) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(e.Health()) }))
	}
	gauge("carehub_parked", "Deliveries waiting on disk.", func(h deliver.Health) float64 { return float64(h.Parked) })
	gauge("carehub_oldest_parked_seconds", "Age of the oldest delivery that waits.", func(h deliver.Health) float64 { return h.Oldest.Seconds() })
	gauge("carehub_alarms_unheard", "Alarms that did not reach one of their recipients, since the start.",
		func(h deliver.Health) float64 { return float64(h.Unheard) })
	gauge("carehub_ledger_down", "1 while outcomes cannot be written.", func(h deliver.Health) float64 {
		if h.Ledger != nil {
			return 1
		}
		return 0
	})
}
