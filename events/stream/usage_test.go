package stream_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

// TestUsage: both sorts of store know what they hold; the embedded one knows its disk.
func TestUsage(t *testing.T) {
	for name, options := range map[string]stream.Options{
		"embedded": {Dir: t.TempDir()},
		"external": {URL: serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))},
	} {
		s := open(t, options)
		before, err := s.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Publish(t.Context(), streamtest.Record("p-0000", "key", events.Fall, 1), make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
		after, err := s.Usage(t.Context())
		if err != nil || after.Used < before.Used+5000 {
			t.Errorf("%s: %+v, then %+v, %v", name, before, after, err)
		}
		if ours := name == "embedded"; ours != (after.Size > after.Free && after.Free > 0) {
			t.Errorf("%s: %+v", name, after)
		}
	}
}
