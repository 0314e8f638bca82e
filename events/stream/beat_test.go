package stream

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBeatsBesideOneAnother: a beat that nobody answers keeps no later one from being sent, and the time that a hub has is counted
// from the beginning of one that was taken. Whoever is asked last is waited for.
func TestBeatsBesideOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLeases(&Store{log: slog.New(slog.DiscardHandler)}, LeaseTimes{})
		ctx, cancel := context.WithCancel(t.Context())
		var sent, ended atomic.Int32
		began, silent := time.Now(), int32(3)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.beatLoop(ctx, func(ctx context.Context) error {
				defer ended.Add(1)
				if n := sent.Add(1); n >= 2 && n < 2+silent { // its leader is no more
					ctx, cancel := context.WithTimeout(ctx, l.times.Lease-l.times.Margin)
					defer cancel()
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
		}()
		time.Sleep(l.times.Beat * time.Duration(1+silent))
		synctest.Wait()
		l.mu.Lock()
		if at := l.renewed.Sub(began); at != l.times.Beat*time.Duration(1+silent) || l.epoch != 1 {
			t.Errorf("renewed at %v, epoch %d", at, l.epoch)
		}
		l.mu.Unlock()
		time.Sleep(4 * time.Second) // those who failed late say nothing
		l.mu.Lock()
		if l.late(time.Now()) || l.epoch != 1 {
			t.Errorf("late at %v, epoch %d", time.Since(began), l.epoch)
		}
		l.mu.Unlock()
		cancel()
		<-done
		if sent.Load() != ended.Load() {
			t.Errorf("%d of %d beats were waited for", ended.Load(), sent.Load())
		}
	})
}

// TestRenewedByTheNewest: a beat that is acknowledged after a later one gives no time, and takes none away.
func TestRenewedByTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLeases(&Store{}, LeaseTimes{})
		first := time.Now()
		l.renew(first)
		time.Sleep(2 * time.Second)
		second := time.Now()
		l.renew(second)
		l.renew(first.Add(time.Second))
		time.Sleep(l.times.Lease - l.times.Margin - 1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.renewed.Equal(second) || l.epoch != 1 || l.late(time.Now()) || !l.late(time.Now().Add(1)) {
			t.Errorf("renewed at %v, epoch %d", l.renewed.Sub(first), l.epoch)
		}
	})
}
