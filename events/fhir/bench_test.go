package fhir_test

import (
	"os"
	"path/filepath"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

func BenchmarkEncode(b *testing.B) {
	m := message(events.Admission, "1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fhir.Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddress is what an event costs that goes to four recipients.
func BenchmarkAddress(b *testing.B) {
	m := message(events.Admission, "1")
	stored, to := encode(b, m), destination()
	b.ReportAllocs()
	b.SetBytes(4 * int64(len(stored)))
	for b.Loop() {
		e, err := fhir.Open(stored, m.Event.ID)
		if err != nil {
			b.Fatal(err)
		}
		for range 4 {
			if _, err := e.To(to); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	stored := encode(b, message(events.Admission, "1"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fhir.Decode(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	message, err := os.ReadFile(filepath.Join(foreign, "uk-admission.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := fhir.Receive(message); err != nil {
			b.Fatal(err)
		}
	}
}
