package signup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events/stream"
)

// unsure is a log of which each write may fail, done or not.
type unsure struct {
	*stream.Memory
	fails func() (done bool, err error)
}

func (u unsure) Note(ctx context.Context, value []byte, after uint64) (uint64, error) {
	done, err := u.fails()
	if err != nil && !done {
		return 0, err
	}
	seq, stored := u.Memory.Note(ctx, value, after)
	if err != nil {
		return 0, err
	}
	return seq, stored
}

// numbering runs Numbers on a log until stop is called.
func numbering(t *testing.T, log NoticeLog, store Store) (n *Numbers, stop func()) {
	t.Helper()
	n = NewNumbers(log, store, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	known := make(chan struct{})
	parts.Go(func() { _ = n.Follow(ctx, func() { close(known) }) })
	<-known
	parts.Go(func() { _ = n.Run(ctx) })
	return n, func() { cancel(); parts.Wait() }
}

// all returns the events of a subscription in the order of their numbers, and makes sure that these are 1, 2, 3, …
func all(t *testing.T, n *Numbers, sub string) []string {
	t.Helper()
	found, first := n.Between(sub, 1, n.Last(sub), 1<<20)
	if len(found) > 0 && first != 1 || uint64(len(found)) != n.Last(sub) {
		t.Errorf("%s: %d events from %d on, the last is %d", sub, len(found), first, n.Last(sub))
	}
	for i, event := range found {
		if number, ok, err := n.Number(t.Context(), event, sub); err != nil || !ok || number != uint64(i)+1 {
			t.Errorf("%s: event %s has %d, want %d", sub, event, number, i+1)
		}
	}
	return found
}

// TestNumbersOfSeveralHubs has hubs number the same events at once, on a store that fails now and then, before, while and
// after it writes; each hub is stopped and begun anew meanwhile. All agree, nothing is missing, nothing is twice.
func TestNumbersOfSeveralHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory(1)
		draw := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		log := unsure{store, func() (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			if draw.IntN(3) > 0 {
				return true, nil
			}
			return draw.IntN(2) == 0, errors.New("no answer")
		}}
		subs := func(event int) (of []string) {
			for s := range 3 {
				if event%(s+1) == 0 {
					of = append(of, fmt.Sprint("sub-", s))
				}
			}
			return of
		}
		const events = 200
		var hubs sync.WaitGroup
		for range 3 {
			hubs.Go(func() {
				for event := 0; event < events; event += 20 {
					n, stop := numbering(t, log, store)
					var asked []<-chan struct{}
					for e := event; e < event+20; e++ {
						asked = append(asked, n.Ask(fmt.Sprint("event-", e), subs(e)))
					}
					for i, done := range asked {
						<-done
						if i == 10 {
							time.Sleep(time.Millisecond)
						}
					}
					stop()
				}
			})
		}
		hubs.Wait()
		n, stop := numbering(t, log, store)
		defer stop()
		for s, want := range []int{events, events / 2, 67} {
			found := all(t, n, fmt.Sprint("sub-", s))
			if len(found) != want || len(slices.Compact(slices.Sorted(slices.Values(found)))) != want {
				t.Errorf("sub-%d has %d events, want %d", s, len(found), want)
			}
		}
	})
}

// TestNumbersFollowTheOrderOfAsking has many asked for before the first is written.
func TestNumbersFollowTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory(1)
		n := NewNumbers(store, store, time.Now)
		var want []string
		for e := range 100 {
			want = append(want, fmt.Sprint("event-", e))
			n.Ask(want[e], []string{"sub-a"})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		parts.Go(func() { _ = n.Run(ctx) })
		synctest.Wait()
		if got := all(t, n, "sub-a"); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if last, _ := store.Note(t.Context(), []byte("x"), 1); last != 2 {
			t.Error("they were not written together")
		}
		cancel()
		parts.Wait()
	})
}

// TestNumbersGoOnAfterForgetting has what is older than Memory leave, from the log too; the numbers go on.
func TestNumbersGoOnAfterForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory(1)
		n, stop := numbering(t, store, store)
		for e := range 5 {
			<-n.Ask(fmt.Sprint("old-", e), []string{"sub-a", "sub-b"})
		}
		time.Sleep(Memory - time.Hour)
		<-n.Ask("new-0", []string{"sub-a"})
		time.Sleep(3 * time.Hour)
		check := func(n *Numbers) {
			t.Helper()
			found, first := n.Between("sub-a", 1, 99, 99)
			if n.Last("sub-a") != 6 || n.Last("sub-b") != 5 || first != 6 || !slices.Equal(found, []string{"new-0"}) {
				t.Errorf("%v from %d on, last %d and %d", found, first, n.Last("sub-a"), n.Last("sub-b"))
			}
		}
		check(n)
		stop()
		n, stop = numbering(t, store, store)
		check(n)
		<-n.Ask("new-1", []string{"sub-b"})
		if number, _, _ := n.Number(t.Context(), "new-1", "sub-b"); number != 6 {
			t.Errorf("the next is %d", number)
		}
		time.Sleep(2 * Memory) // nothing is left in the log
		stop()
		n, stop = numbering(t, store, store)
		defer stop()
		<-n.Ask("late", []string{"sub-a"})
		if number, _, _ := n.Number(t.Context(), "late", "sub-a"); number != 7 {
			t.Errorf("after all is forgotten the next is %d", number)
		}
	})
}

func TestNumbersOfANewerVersion(t *testing.T) {
	store := stream.NewMemory(1)
	if _, err := store.Note(t.Context(), []byte(`{"v":99}`), 0); err != nil {
		t.Fatal(err)
	}
	if err := NewNumbers(store, store, time.Now).Follow(t.Context(), func() {}); err == nil {
		t.Error("it was read")
	}
}
