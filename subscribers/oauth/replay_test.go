package oauth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events/stream"
	"carehub/subscribers/oauth"
)

// TestTidied: the record of an assertion goes once no hub would take the assertion, not before.
func TestTidied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := stream.NewMemory(1)
		used := func() (n int) {
			watching, stop := context.WithCancel(t.Context())
			_ = store.HubWatch(watching, "hub.jti.", stop, func(string, []byte) { n++ })
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		replays, ended := oauth.NewReplays(store, time.Now), make(chan error, 1)
		go func() { ended <- replays.Run(ctx) }()
		other := oauth.NewReplays(store, time.Now) // of a hub that is gone
		if err := other.Use(t.Context(), "client", "jti", time.Now().Add(5*time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + 50*time.Second)
		if n := used(); n != 1 {
			t.Errorf("%d records while it might still be taken", n)
		}
		time.Sleep(2 * time.Minute)
		if n := used(); n != 0 {
			t.Errorf("%d records of what nobody takes", n)
		}
		cancel()
		<-ended
	})
}
