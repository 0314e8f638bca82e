package stream_test

import (
	"errors"
	"fmt"
	"testing"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

// TestScan: every event of a partition once, in order, without its message; an empty partition is none.
func TestScan(t *testing.T) {
	s := open(t, stream.Options{Dir: t.TempDir()})
	want := map[int][]string{}
	for n := range 300 {
		rec := streamtest.Record(fmt.Sprintf("p-%04d", n%3), fmt.Sprint("key", n), events.Fall, 1)
		st, _, err := s.Publish(t.Context(), rec, []byte("fell"))
		if err != nil {
			t.Fatal(err)
		}
		want[st.Partition] = append(want[st.Partition], rec.Event.ID)
	}
	large := streamtest.Record("p-0000", "large", events.Fall, 1000)
	st, _, err := s.Publish(t.Context(), large, []byte("fell"))
	if err != nil {
		t.Fatal(err)
	}
	want[st.Partition] = append(want[st.Partition], large.Event.ID)
	for p := range 4 {
		var got []string
		var last uint64
		err := s.Scan(t.Context(), p, func(st events.Stored) error {
			if st.Partition != p || st.Seq <= last || len(st.Message) > 0 || st.Record.Event.Kind != events.Fall {
				t.Errorf("%+v", st)
			}
			last = st.Seq
			got = append(got, st.Record.Event.ID)
			return nil
		})
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want[p]) {
			t.Errorf("partition %d: %d of %d, %v", p, len(got), len(want[p]), err)
		}
	}
	enough := errors.New("enough")
	if err := s.Scan(t.Context(), st.Partition, func(events.Stored) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if err := s.Scan(t.Context(), 9, func(events.Stored) error { return nil }); events.KindOf(err) != events.NotFound {
		t.Errorf("got %v", err)
	}
}
