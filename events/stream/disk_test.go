package stream

import (
	"testing"

	"carehub/events"
)

// TestReserves: as the disk fills, documents stop first, then what is written about readers, then new events, and last what tells of those that
// were accepted.
func TestReserves(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	if documentReserve <= recordReserve || recordReserve <= eventReserve || eventReserve <= ledgerReserve {
		t.Error("the order is another")
	}
	if _, err := s.appendBehind(t.Context(), 1<<62, noticeSubject, []byte("{}"), 0); events.KindOf(err) != events.Unavailable {
		t.Errorf("more is to stay free than there is: %v", err)
	}
	if _, err := s.appendBehind(t.Context(), 0, noticeSubject, []byte("{}"), 0); err != nil {
		t.Error(err)
	}
}
