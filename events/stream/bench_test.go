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

// BenchmarkPlan stores events whose plans name ever more recipients; above a few hundred the plan goes in parts beside the
// event. What a recipient costs should fall, then stay.
//
//	go test -run '^$' -bench Plan ./events/stream
func BenchmarkPlan(b *testing.B) {
	message := bytes.Repeat([]byte("x"), 3000)
	for _, recipients := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(recipients), func(b *testing.B) {
			s := open(b, stream.Options{Dir: b.TempDir()})
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				rec := streamtest.Record("p-7f3k", fmt.Sprint(n), events.Fall, recipients)
				n++
				b.StartTimer()
				if _, created, err := s.Publish(b.Context(), rec, message); err != nil || !created {
					b.Fatal(created, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*recipients), "ns/recipient")
		})
	}
}

// BenchmarkPut writes outcomes to the ledger, ever more of them in one go.
//
//	go test -run '^$' -bench Put ./events/stream
func BenchmarkPut(b *testing.B) {
	value := bytes.Repeat([]byte("x"), 1500) // a sheet of 16 events with four recipients
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := open(b, stream.Options{Dir: b.TempDir()})
			entries := make([]events.Entry, batch)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i := range entries {
					entries[i] = events.Entry{Key: fmt.Sprintf("led.0.%d", n%10_000), Value: value}
					n++
				}
				if err := s.Put(b.Context(), 0, entries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
		})
	}
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
