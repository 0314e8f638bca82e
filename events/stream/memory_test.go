package stream_test

import (
	"context"
	"testing"
	"testing/synctest"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

func TestMemory(t *testing.T) {
	streamtest.Run(t, func(*testing.T) streamtest.Store { return stream.NewMemory(4) })
}

// TestMemoryInBubble: a reader of Memory that waits lets fake time go on.
func TestMemoryInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, read := stream.NewMemory(1), 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = m.Read(ctx, 0, 0, func(events.Stored) error { read++; return nil }) }()
		synctest.Wait()
		if _, _, err := m.Publish(ctx, streamtest.Record("p-7f3k", "key", events.Fall, 1), []byte("x")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if read != 1 {
			t.Errorf("read %d events, want 1", read)
		}
		cancel()
	})
}
