package stream_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

// TestGrowElsewhere: a process that does not know yet that another has grown the store loses no event and stores none in
// a partition that is sealed.
func TestGrowElsewhere(t *testing.T) {
	address := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	one, two := open(t, stream.Options{URL: address}), open(t, stream.Options{URL: address})
	rec := streamtest.Record("p-7f3k", "before", events.Fall, 1)
	if _, _, err := two.Publish(t.Context(), rec, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := one.Grow(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	if again, created, err := two.Publish(t.Context(), rec, []byte("x")); created || err != nil || again.Partition > 3 {
		t.Errorf("the same again: %d %v %v", again.Partition, created, err)
	}
	after, created, err := two.Publish(t.Context(), streamtest.Record("p-7f3k", "after", events.Fall, 1), []byte("x"))
	if !created || err != nil || after.Partition < 4 {
		t.Errorf("a new one: %d %v %v", after.Partition, created, err)
	}
}

// TestGrowCut: a crash between sealing the old generation and beginning the new one is made good at the start.
func TestGrowCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	format, _, _, err := s.HubGet(t.Context(), "hub.store.format")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Grow(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	_, revision, _, _ := s.HubGet(t.Context(), "hub.store.format")
	if _, err := s.HubPut(t.Context(), "hub.store.format", format, revision); err != nil { // as if it had not come to that
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	s = open(t, stream.Options{Dir: dir})
	st, created, err := s.Publish(t.Context(), streamtest.Record("p-7f3k", "key", events.Fall, 1), []byte("x"))
	if !created || err != nil || st.Partition < 4 {
		t.Errorf("stored in %d: %v %v", st.Partition, created, err)
	}
	_ = s.Close(t.Context())
	s = open(t, stream.Options{Dir: dir})
	if _, err := s.Find(t.Context(), st.Record.Event.ID); err != nil || s.Partitions() != 4 {
		t.Error(err)
	}
}
