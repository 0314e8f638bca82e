package stream_test

import (
	"fmt"
	"slices"
	"testing"

	"carehub/events"
	"carehub/events/stream"
)

// TestAuditTrail: links are appended behind the newest only, and are there after a restart.
func TestAuditTrail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	if n, link, err := s.AuditLast(t.Context()); n != 0 || link != nil || err != nil {
		t.Fatalf("a new trail has %d: %s: %v", n, link, err)
	}
	for n := range uint64(3) {
		if got, err := s.AuditAppend(t.Context(), n, fmt.Append(nil, n)); got != n+1 || err != nil {
			t.Fatalf("link %d: %v", got, err)
		}
	}
	for _, after := range []uint64{0, 2, 4} {
		if _, err := s.AuditAppend(t.Context(), after, []byte("x")); events.KindOf(err) != events.Conflict {
			t.Errorf("behind %d: %v", after, err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = open(t, stream.Options{Dir: dir})
	if n, link, err := s.AuditLast(t.Context()); n != 3 || string(link) != "2" || err != nil {
		t.Errorf("newest is %d: %s: %v", n, link, err)
	}
	var all []string
	err := s.AuditRead(t.Context(), 1, func(n uint64, link []byte) error { all = append(all, fmt.Sprintf("%d %s", n, link)); return nil })
	if want := []string{"2 1", "3 2"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("got %v: %v", all, err)
	}
}
