package stream_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/clustertest"
	"carehub/events/stream/streamtest"
)

// TestReadWithoutConsumer: while a cluster gives no consumer what is stored is read all the same, and what comes after it is read
// with one, everything once and in order.
func TestReadWithoutConsumer(t *testing.T) {
	s := open(t, stream.Options{URL: clustertest.Start(t, 1).URL(), Partitions: 1})
	const before, all = 5, 10
	store := func(n int) {
		if _, _, err := s.Publish(t.Context(), streamtest.Record("p-aaaa", fmt.Sprint(n), events.Fall, 1), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for n := range before {
		store(n)
	}
	may, enough := make(chan struct{}), errors.New("enough")
	var got []uint64
	err := s.Follow(t.Context(), 0, may, func(seq uint64) error {
		got = append(got, seq)
		if len(got) == before {
			close(may)
			for n := before; n < all; n++ {
				store(n)
			}
		}
		if len(got) == all {
			return enough
		}
		return nil
	})
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !errors.Is(err, enough) || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
