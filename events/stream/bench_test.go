package stream_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

// BenchmarkPublish stores events of 3 KB from 64 loggers over 4 partitions, and says how that compares to a plain loop of
// write and fsync to one file on the same disk, half of it run before and half after.
//
//	go test -run '^$' -bench Publish ./events/stream
func BenchmarkPublish(b *testing.B) {
	const loggers = 64
	s := open(b, stream.Options{Dir: b.TempDir()})
	message := bytes.Repeat([]byte("x"), 3000)
	var next atomic.Int64
	raw := rawSyncs(b, message)
	b.ResetTimer()
	var group sync.WaitGroup
	for range loggers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				rec := streamtest.Record(fmt.Sprintf("p-n%d", i%1000), fmt.Sprint(i), events.Fall, 4)
				if _, created, err := s.Publish(b.Context(), rec, message); err != nil || !created {
					b.Error(created, err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	rate := float64(b.N) / b.Elapsed().Seconds()
	raw = (raw + rawSyncs(b, message)) / 2
	b.ReportMetric(rate, "events/s")
	b.ReportMetric(raw, "fsyncs/s")
	b.ReportMetric(rate/raw, "events/fsync")
}

// rawSyncs is how often a second this disk takes message and fsyncs it.
func rawSyncs(b *testing.B, message []byte) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	n, start := 0, time.Now()
	for ; time.Since(start) < time.Second; n++ {
		if _, err := f.Write(message); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}
