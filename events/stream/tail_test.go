package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"carehub/events"
)

func newTail(t *testing.T) *tail {
	t.Helper()
	return &tail{events: map[uint64]*events.Stored{}}
}

// readTail reads in the background; it returns what has been read and, once the reading has ended, how far it came.
func readTail(ctx context.Context, tl *tail, after uint64) (seen func() []uint64, ended <-chan uint64) {
	var mu sync.Mutex
	var list []uint64
	end := make(chan uint64, 1)
	go func() {
		to, _ := tl.read(ctx, after, func(st events.Stored) error {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, st.Seq)
			return nil
		})
		end <- to
	}()
	return func() []uint64 { mu.Lock(); defer mu.Unlock(); return slices.Clone(list) }, end
}

func add(tl *tail, chunks int, seqs ...uint64) {
	for _, seq := range seqs {
		tl.added(tl.started(), &events.Stored{Seq: seq}, chunks)
	}
}

// TestTailOrder: acknowledgements come in any order, plans take sequences too, and readers see events in theirs.
func TestTailOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl := newTail(t)
		add(tl, 0, 7)
		seen, ended := readTail(t.Context(), tl, 7)
		add(tl, 0, 9, 8)
		synctest.Wait()
		add(tl, 2, 12)
		synctest.Wait()
		if want := []uint64{8, 9, 12}; !slices.Equal(seen(), want) {
			t.Errorf("read %v, want %v", seen(), want)
		}
		tl.empty()
		if to := <-ended; to != 12 {
			t.Errorf("ended at %d, want 12", to)
		}
	})
}

// TestTailGap: an event that does not come is left to the store, and so is everything after it.
func TestTailGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl := newTail(t)
		add(tl, 0, 7)
		seen, ended := readTail(t.Context(), tl, 7)
		add(tl, 0, 8, 10)
		if to := <-ended; to != 8 || len(seen()) != 1 {
			t.Errorf("ended at %d after %v, want 8", to, seen())
		}
		if !tl.follows(9) || tl.follows(8) {
			t.Error("whoever has 9 can go on here, whoever has 8 cannot")
		}
	})
}

// TestTailUnsure: what was on its way when a publish failed is not relied upon; what begins later is.
func TestTailUnsure(t *testing.T) {
	tl := newTail(t)
	age := tl.started()
	tl.empty()
	tl.added(age, &events.Stored{Seq: 5}, 0)
	if tl.follows(5) || tl.follows(4) {
		t.Error("an event from before the failure was taken in")
	}
	add(tl, 0, 6)
	if !tl.follows(5) || !tl.follows(6) {
		t.Error("an event from after the failure was not taken in")
	}
}

// TestTailIsShort: a reader far behind has to go to the store, and memory is bounded.
func TestTailIsShort(t *testing.T) {
	tl := newTail(t)
	for seq := range uint64(3 * tailSize) {
		add(tl, 0, 1_000_000+seq)
	}
	if len(tl.events) > tailSize {
		t.Errorf("%d events in memory", len(tl.events))
	}
	if to, err := tl.read(t.Context(), 1_000_000, nil); to != 1_000_000 || err != nil {
		t.Errorf("a reader far behind was not sent to the store: %d %v", to, err)
	}
}

// TestReadLosesNothing: beside publishers some of whom give up, readers see every stored event once, in order.
func TestReadLosesNothing(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Partitions: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(t.Context()))
	publish := func(ctx context.Context, key string, kind events.Kind) {
		by := events.Actor{Kind: events.Carer, ID: "ruth"}
		rec := events.Record{V: 1, Event: events.Event{ID: events.NewID(by, "p-7f3k", key), Patient: "p-7f3k", Kind: kind}}
		_, _, _ = s.Publish(ctx, rec, []byte("x"))
	}
	enough := errors.New("enough")
	seen := make([][]uint64, 3)
	var readers, publishers sync.WaitGroup
	for r := range seen {
		readers.Go(func() {
			_ = s.Read(t.Context(), 0, 0, func(st events.Stored) error {
				seen[r] = append(seen[r], st.Seq)
				if st.Record.Event.Kind == events.Discharge {
					return enough
				}
				return nil
			})
		})
	}
	for n := range 8 {
		publishers.Go(func() {
			for i := range 50 {
				if i%20 == n {
					s.Trim()
				}
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == n%7 {
					go cancel() // it may be stored, and it may not
				}
				publish(ctx, fmt.Sprint(n, " ", i), events.Fall)
				cancel()
			}
		})
	}
	publishers.Wait()
	publish(t.Context(), "last", events.Discharge)
	readers.Wait()
	var stored []uint64
	end, err := s.Last(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range end {
		if _, ok, err := s.At(t.Context(), 0, seq+1); err != nil {
			t.Fatal(err)
		} else if ok {
			stored = append(stored, seq+1)
		}
	}
	for r := range seen {
		if !slices.Equal(seen[r], stored) {
			t.Errorf("reader %d saw %d events, %d are stored", r, len(seen[r]), len(stored))
		}
	}
}
