package audit_test

import (
	"testing"
	"time"

	"carehub/events"
	"carehub/events/audit"
)

var (
	benchHub = events.Sender{Name: "Riverside carers' network", URL: "https://hub.example"}
	logged   = audit.Access{By: events.Actor{Kind: events.Carer, ID: "ruth"}, Interaction: "create", Type: "Communication",
		ID: "ev-7f3k-k2bv56gyavoeb4ppkj7hoxxz55", Patient: "p-7f3k", At: time.Date(2026, 7, 12, 2, 14, 7, 5, time.UTC)}
)

// BenchmarkEvent is what each event that is logged costs the trail before it is written.
func BenchmarkEvent(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Event(benchHub, logged); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMarshalled is the same without a form.
func BenchmarkMarshalled(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Marshalled(benchHub, logged, "25faf4a1-44c3-4a39-b5e7-7b25fd5e6b3b"); err != nil {
			b.Fatal(err)
		}
	}
}
