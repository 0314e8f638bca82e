package stream

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events/stream/clustertest"
)

// TestAskedAgainUntilThereIsALeader: what nobody answers is asked once more beside it, the first answer counts, and whoever
// was asked in vain is not waited for; an answer that is none of an election ends the asking.
func TestAskedAgainUntilThereIsALeader(t *testing.T) {
	conn, err := nats.Connect(clustertest.Start(t, 1).Nodes[0].URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &Store{writes: conn}
	s.life, s.end = context.WithCancel(t.Context())
	defer s.end()
	var asked atomic.Int32
	got, err := askLeader(t.Context(), s, func(ctx context.Context) (int, error) {
		n := asked.Add(1)
		switch {
		case n < 3:
			<-ctx.Done()
			return 0, away(ctx.Err())
		case n == 3:
			return 0, away(&jetstream.APIError{ErrorCode: codeNotAvailable})
		}
		return int(n), nil
	})
	if got != 4 || err != nil || asked.Load() != 4 {
		t.Errorf("got %d, %v after %d questions", got, err, asked.Load())
	}

	asked.Store(0)
	_, err = askLeader(t.Context(), s, func(context.Context) (int, error) { asked.Add(1); return 0, jetstream.ErrMsgNotFound })
	if !errors.Is(err, jetstream.ErrMsgNotFound) || asked.Load() != 1 {
		t.Errorf("got %v after %d questions", err, asked.Load())
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, err = askLeader(ctx, s, func(ctx context.Context) (int, error) { cancel(); <-ctx.Done(); return 0, away(ctx.Err()) })
	if err == nil {
		t.Error("no error although nobody answered")
	}
}
