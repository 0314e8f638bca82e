package stream

import (
	"testing"

	"carehub/events"
	"carehub/events/stream/streamtest"
)

var benchRecord = streamtest.Record("p-7f3k", "bench", events.Admission, 4)

func BenchmarkPack(b *testing.B) {
	into := generation{Partitions: 4}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pack(benchRecord, nil, into); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	p, err := pack(benchRecord, nil, generation{Partitions: 4})
	if err != nil {
		b.Fatal(err)
	}
	h := p.headers()
	b.SetBytes(int64(len(p.record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(0, 1, h, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
