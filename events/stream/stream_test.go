package stream_test

import (
	"context"
	"log/slog"
	"testing"

	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

func TestEmbedded(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store { return open(t, stream.Options{Dir: t.TempDir()}) })
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, o stream.Options) *stream.Store {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := stream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}
