package hold_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/hold"
	"carehub/events/stream"
)

var ruth = events.Actor{Kind: events.Carer, ID: "ruth"}

// store is one in memory that says what it has accepted, and may be away.
type store struct {
	*stream.Memory
	mu       sync.Mutex
	accepted []string
	stuck    []string // of which a person was told
	away     bool
}

func (s *store) Publish(_ context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return events.Stored{}, false, &events.Error{Kind: events.Unavailable, Message: "away"}
	}
	created := !slices.Contains(s.accepted, string(message))
	if created {
		s.accepted = append(s.accepted, string(message))
	}
	return events.Stored{Record: rec, Message: message, Seq: 1}, created, nil
}

func (s *store) has(want ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Equal(s.accepted, want)
}

func (s *store) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// run is a hub on the store; stop ends it as a crash would.
func run(s *store, clock func() time.Time) (k *hold.Keeper, stop func()) {
	k = hold.New(s, clock, slog.New(slog.DiscardHandler), func(string) {}, func(_ context.Context, st events.Stored) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stuck = append(s.stuck, st.Record.Event.ID)
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	known := make(chan struct{})
	work.Go(func() { _ = k.Follow(ctx, func() { close(known) }) })
	<-known
	work.Go(func() { _ = k.Run(ctx) })
	return k, func() { cancel(); work.Wait() }
}

func event(key string) events.Record {
	return events.Record{V: 1, Event: events.Event{ID: events.NewID(ruth, "p-7f3k", key), Patient: "p-7f3k", Kind: events.Admission, By: ruth, Recorded: time.Now()},
		Plan: events.Plan{Hold: 20 * time.Second, Recipients: []events.Recipient{{ID: "surgery"}, {ID: "duty", Step: true}}}}
}

func keep(t *testing.T, k *hold.Keeper, rec events.Record, message string) (created bool) {
	t.Helper()
	_, created, err := k.Hold(t.Context(), rec, []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func state(k *hold.Keeper, id string) (events.State, time.Duration) {
	all, held := k.Receipts(id)
	if !held {
		return "", 0
	}
	return all[0].State, time.Until(all[0].Outcome.Next)
}

func TestHeldIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Memory: stream.NewMemory(1)}
		k, stop := run(s, time.Now)
		rec := event("a")
		if !keep(t, k, rec, "one") || keep(t, k, rec, "one") {
			t.Error("the same key again is the same event")
		}
		time.Sleep(15 * time.Second)
		if now, left := state(k, rec.Event.ID); now != events.Held || left != 5*time.Second || !s.has() {
			t.Errorf("%s %v %v", now, left, s.accepted)
		}
		time.Sleep(6 * time.Second)
		if now, _ := state(k, rec.Event.ID); now != "" || !s.has("one") {
			t.Errorf("%s %v", now, s.accepted)
		}
		if err := k.Undo(t.Context(), rec.Event.ID); events.KindOf(err) != events.Conflict {
			t.Errorf("undone after it has gone: %v", err)
		}
		stop()
	})
}

func TestUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Memory: stream.NewMemory(1)}
		k, stop := run(s, time.Now)
		rec := event("a")
		keep(t, k, rec, "one")
		for range 2 {
			if err := k.Undo(t.Context(), rec.Event.ID); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		k, stop = run(s, time.Now) // it stays undone over a restart
		time.Sleep(time.Hour)
		if now, _ := state(k, rec.Event.ID); now != events.Withdrawn || !s.has() {
			t.Errorf("%s %v", now, s.accepted)
		}
		if keep(t, k, rec, "one") {
			t.Error("an undone event comes back with its key")
		}
		time.Sleep(hold.KeepUndone)
		if now, _ := state(k, rec.Event.ID); now != "" || !s.has() {
			t.Errorf("%s %v", now, s.accepted)
		}
		stop()
	})
}

// TestHoldOverRestarts: a crash, a store that is away and a clock that is set back hold nothing for longer than need be.
func TestHoldOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Memory: stream.NewMemory(1)}
		k, stop := run(s, time.Now)
		keep(t, k, event("a"), "one")
		time.Sleep(5 * time.Second)
		stop()
		time.Sleep(time.Minute)
		s.setAway(true)
		_, stop = run(s, time.Now)
		time.Sleep(time.Minute)
		s.setAway(false)
		time.Sleep(2 * time.Second)
		if !s.has("one") {
			t.Errorf("%v", s.accepted)
		}
		stop()
		k, stop = run(s, time.Now)
		keep(t, k, event("b"), "two")
		stop()
		_, stop = run(s, func() time.Time { return time.Now().Add(-3 * time.Hour) })
		time.Sleep(21 * time.Second)
		if !s.has("one", "two") {
			t.Errorf("%v", s.accepted)
		}
		stop()
	})
}

// TestLaterReleases: what is logged later for the same patient does not overtake.
func TestLaterReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Memory: stream.NewMemory(1)}
		k, stop := run(s, time.Now)
		keep(t, k, event("a"), "one")
		time.Sleep(time.Second)
		keep(t, k, event("b"), "two")
		if of := k.Of("p-7f3k"); len(of) != 2 || string(of[0].Message) != "two" {
			t.Errorf("%v", of)
		}
		if err := k.ReleaseAll(t.Context(), "p-7f3k"); err != nil || !s.has("one", "two") {
			t.Errorf("%v %v", err, s.accepted)
		}
		stop()
	})
}

// TestUndoneOrReleased: of two hubs, one that releases and one that undoes, exactly one gets its way.
func TestUndoneOrReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := range 50 {
			s := &store{Memory: stream.NewMemory(1)}
			a, stopA := run(s, time.Now)
			b, stopB := run(s, time.Now)
			rec := event(string(rune('a' + n)))
			keep(t, a, rec, "one")
			synctest.Wait()
			var undone, released error
			var both sync.WaitGroup
			both.Go(func() { undone = b.Undo(t.Context(), rec.Event.ID) })
			both.Go(func() { released = a.ReleaseAll(t.Context(), "p-7f3k") })
			both.Wait()
			time.Sleep(time.Minute)
			if gone := s.has("one"); gone == (undone == nil) {
				t.Fatalf("accepted: %t, undo: %v, release: %v", gone, undone, released)
			}
			stopA()
			stopB()
		}
	})
}

// TestStuck: a person hears, once, of what cannot be released for long, and it is released when it can be.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Memory: stream.NewMemory(1), away: true}
		k, stop := run(s, time.Now)
		defer stop()
		rec := event("k")
		keep(t, k, rec, "dad")
		told := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.stuck) }
		time.Sleep(rec.Plan.Hold + 50*time.Second)
		if told() != 0 {
			t.Error("it is told too early")
		}
		time.Sleep(10 * time.Minute)
		if told() != 1 || s.stuck[0] != rec.Event.ID {
			t.Errorf("told of %v", s.stuck)
		}
		s.setAway(false)
		time.Sleep(5 * time.Second)
		if !s.has("dad") {
			t.Error("it is not released")
		}
	})
}
