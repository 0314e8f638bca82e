package email_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"carehub/events"
)

// BenchmarkSend measures messages a second from a delivery to the server's 250, over loopback with TLS and AUTH, the
// server's own work on the same machine included:
//
//	go test -run '^$' -bench Send ./subscribers/email
func BenchmarkSend(b *testing.B) {
	for _, connections := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			s := start(b, &server{mechanisms: []string{"PLAIN"}, auth: account})
			c := s.config()
			c.Connections = connections
			c.Auth = credentials("PLAIN", password)
			e, _ := open(b, c, events.ContentSummary)
			d := deliver(b, sample(), events.ContentSummary)
			var failures atomic.Int64
			b.SetParallelism(connections)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if e.Send(b.Context(), d) != nil {
						failures.Add(1)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			if failures.Load() != 0 {
				b.Errorf("%d messages failed", failures.Load())
			}
		})
	}
}
