package stream_test

import (
	"fmt"
	"testing"

	"carehub/events"
	"carehub/events/stream"
)

// TestDeliveryLogIsBounded: the oldest makes way for the new, endpoint by endpoint.
func TestDeliveryLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	gp, nurses := events.AttemptSubject("gp", "webhook"), events.AttemptSubject("nurses", "webhook-2")
	var some []events.Entry
	for n := range 600 {
		some = append(some, events.Entry{Key: gp, Value: fmt.Append(nil, n)})
	}
	some = append(some, events.Entry{Key: nurses, Value: []byte("theirs")})
	if err := s.AppendAttempts(t.Context(), some); err != nil {
		t.Fatal(err)
	}
	read := func(s *stream.Store, subject string) (all []string) {
		t.Helper()
		if err := s.ReadAttempts(t.Context(), subject, func(m []byte) error { all = append(all, string(m)); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := read(s, gp); len(got) != 512 || got[0] != "88" || got[511] != "599" {
		t.Errorf("%d kept, %s to %s", len(got), got[0], got[len(got)-1])
	}
	if got := read(s, nurses); len(got) != 1 {
		t.Errorf("theirs: %v", got)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(open(t, stream.Options{Dir: dir}), nurses); len(got) != 1 {
		t.Errorf("after an orderly stop: %v", got)
	}
}
