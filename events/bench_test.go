package events_test

import (
	"testing"

	"carehub/events"
)

const benchEvent = "ev-7f3k-abcdefghijklmnopqrstuvwxyz"

func BenchmarkUUID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		events.UUID("bundle", benchEvent, "riverside-surgery")
	}
}

func BenchmarkDeliveryID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		events.DeliveryID(benchEvent, "riverside-surgery")
	}
}

func BenchmarkPatientOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		events.PatientOf(benchEvent)
	}
}
