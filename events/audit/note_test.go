package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/audit"
)

func noted(t *testing.T, store audit.Reader) (all []string, links uint64) {
	t.Helper()
	head, err := audit.Verify(t.Context(), store, func(e json.RawMessage) error { all = append(all, string(e)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all, head.N
}

// TestNotedTogether: what nobody waits for goes into few links, in its order, and all of it before the hub ends.
func TestNotedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &chain{}
		trail, ended := audit.NewTrail(store), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- trail.Run(ctx) }()
		var want []string
		for n := range 300 {
			want = append(want, fmt.Sprint(n))
			if !trail.Note([]byte(want[n])) {
				t.Fatal("not taken")
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if all, links := noted(t, store); !slices.Equal(all, want) || links != 2 {
			t.Errorf("%d links: %v", links, all)
		}
		trail.Note([]byte("300"))
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if all, _ := noted(t, store); len(all) != 301 {
			t.Errorf("%d on record", len(all))
		}
		if trail.Note([]byte("301")) {
			t.Error("taken after the end")
		}
	})
}

// TestNotedWhileTheStoreIsAway: it waits, within bounds, and whoever notes it is not kept waiting. At the end it is said to be lost.
func TestNotedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &chain{}
		lost := func() error {
			store.links = store.links[:len(store.links)-1]
			return &events.Error{Kind: events.Unavailable, Message: "away"}
		}
		store.fail = lost
		trail, ended := audit.NewTrail(store), make(chan error, 1)
		failures := 0
		trail.Failing = func(int, error) { failures++ }
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- trail.Run(ctx) }()
		taken := 0
		for range 5000 {
			if trail.Note([]byte("1")) {
				taken++
			}
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if taken != 4096 || failures < 2 || failures > 4 {
			t.Errorf("%d taken, %d failures", taken, failures)
		}
		store.mu.Lock()
		store.fail = nil
		store.mu.Unlock()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if all, _ := noted(t, store); len(all) != taken {
			t.Errorf("%d on record", len(all))
		}
		store.mu.Lock()
		store.fail = lost
		store.mu.Unlock()
		trail.Note([]byte("2"))
		cancel()
		if err := <-ended; err == nil {
			t.Error("what is lost is not said")
		}
	})
}
