package streamtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"carehub/events"
)

// noticesAfter returns the records of the log of notices after a sequence that are there by now, and what ready says.
func noticesAfter(t *testing.T, s Store, after uint64) (all []string, newest uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_ = s.Notices(ctx, after, func(last uint64) { newest = last; cancel() }, func(seq uint64, value []byte) error {
		all = append(all, fmt.Sprintf("%d %s", seq, value))
		return nil
	})
	return all, newest
}

func notices(t *testing.T, s Store) {
	check := func(after, newest uint64, want ...string) {
		t.Helper()
		if got, last := noticesAfter(t, s, after); !slices.Equal(got, want) || last != newest {
			t.Errorf("after %d: %q, ready says %d, want %q and %d", after, got, last, want, newest)
		}
	}
	check(0, 0)
	for n := range uint64(5) {
		seq, err := s.Note(t.Context(), fmt.Append(nil, "n", n), n)
		if err != nil || seq != n+1 {
			t.Fatalf("note %d: %d, %v", n, seq, err)
		}
	}
	for _, after := range []uint64{0, 4, 6} {
		if _, err := s.Note(t.Context(), []byte("late"), after); events.KindOf(err) != events.Conflict {
			t.Errorf("a note after %d of 5: %v", after, err)
		}
	}
	check(0, 5, "1 n0", "2 n1", "3 n2", "4 n3", "5 n4")
	must(t, s.TrimNotice(t.Context(), 2))
	must(t, s.TrimNotice(t.Context(), 2))
	check(0, 5, "1 n0", "3 n2", "4 n3", "5 n4")
	check(3, 5, "4 n3", "5 n4")
	check(5, 5)
	for seq := range uint64(5) {
		must(t, s.TrimNotice(t.Context(), seq+1))
	}
	check(0, 5)
	if seq, err := s.Note(t.Context(), []byte("n5"), 5); err != nil || seq != 6 {
		t.Errorf("after all was trimmed: %d, %v", seq, err)
	}
	check(0, 6, "6 n5")
}

// noticesLive has the log followed while it grows.
func noticesLive(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []uint64
	_ = s.Notices(ctx, 0, func(uint64) {
		if _, err := s.Note(ctx, []byte("first"), 0); err != nil {
			t.Error(err)
		}
	}, func(seq uint64, _ []byte) error {
		if seen = append(seen, seq); seq == 50 {
			cancel()
			return nil
		}
		_, err := s.Note(ctx, []byte("next"), seq)
		return err
	})
	for i, seq := range seen {
		want := uint64(i) + 1 // #nosec G115 -- an index
		if seq != want {
			t.Errorf("record %d has the sequence %d", i, seq)
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d records were seen", len(seen))
	}
}
