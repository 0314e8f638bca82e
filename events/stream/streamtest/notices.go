package streamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"carehub/events"
)

var errEnough = errors.New("enough")

// noticesAfter reads n records of the log of notices after a sequence, and what was read before ready.
func noticesAfter(t *testing.T, s Store, after uint64, n int) (all []string, known int) {
	t.Helper()
	known = -1
	if n == 0 {
		ctx, cancel := context.WithCancel(t.Context())
		_ = s.Notices(ctx, after, func(uint64) { known = 0; cancel() }, func(uint64, []byte) error { return errEnough })
		return nil, known
	}
	err := s.Notices(t.Context(), after, func(uint64) { known = len(all) }, func(seq uint64, value []byte) error {
		if all = append(all, fmt.Sprintf("%d %s", seq, value)); len(all) == n && known >= 0 {
			return errEnough
		}
		if len(all) == n { // ready follows the last
			n++
			_, err := s.Note(t.Context(), []byte("more"), seq)
			return err
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return all, known
}

func notices(t *testing.T, s Store) {
	if _, known := noticesAfter(t, s, 0, 0); known != 0 {
		t.Error("an empty log is not ready")
	}
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
	must(t, s.TrimNotice(t.Context(), 2))
	must(t, s.TrimNotice(t.Context(), 2))
	got, known := noticesAfter(t, s, 0, 4)
	if want := []string{"1 n0", "3 n2", "4 n3", "5 n4", "6 more"}; !slices.Equal(got, want) || known != 4 {
		t.Errorf("got %q, ready after %d", got, known)
	}
	var last uint64
	must(t, s.TrimNotice(t.Context(), 6))
	ctx, cancel := context.WithCancel(t.Context())
	_ = s.Notices(ctx, 5, func(newest uint64) { last = newest; cancel() }, func(uint64, []byte) error { return errEnough })
	if last != 6 {
		t.Errorf("the newest was %d, and is gone; ready says %d", 6, last)
	}
	if got, _ := noticesAfter(t, s, 4, 2); !slices.Equal(got[:2], []string{"5 n4", "7 more"}) {
		t.Errorf("after 4: %q", got)
	}
}
