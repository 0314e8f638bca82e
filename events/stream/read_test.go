package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// flaky is a stream whose consumers fail after two messages.
type flaky struct{ jetstream.Stream }

type flakyConsumer struct{ jetstream.Consumer }

type flakyMessages struct {
	jetstream.MessagesContext
	left int
}

func (f flaky) OrderedConsumer(ctx context.Context, c jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := f.Stream.OrderedConsumer(ctx, c)
	return flakyConsumer{consumer}, err
}

func (f flakyConsumer) Messages(o ...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	messages, err := f.Consumer.Messages(o...)
	return &flakyMessages{messages, 2}, err
}

func (f *flakyMessages) Next(o ...jetstream.NextOpt) (jetstream.Msg, error) {
	if f.left--; f.left < 0 {
		return nil, errors.New("the consumer is gone")
	}
	return f.MessagesContext.Next(o...)
}

// TestReadGoesOn: when a consumer fails for good, reading goes on behind the last event, without a gap or a repeat.
func TestReadGoesOn(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Partitions: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	l := s.layout.Load()
	l.events[0] = flaky{l.events[0]}
	var want, got []string
	for i := range 7 {
		by := events.Actor{Kind: events.Carer, ID: "ruth"}
		rec := events.Record{V: 1, Event: events.Event{ID: events.NewID(by, "p-7f3k", fmt.Sprint(i)), Patient: "p-7f3k", Kind: events.Fall}}
		if _, _, err := s.Publish(t.Context(), rec, []byte("x")); err != nil {
			t.Fatal(err)
		}
		want = append(want, rec.Event.ID)
	}
	enough := errors.New("enough")
	err = s.Read(t.Context(), 0, 0, func(e events.Stored) error {
		if got = append(got, e.Record.Event.ID); len(got) == len(want) {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(got, want) {
		t.Errorf("read %v, want %v: %v", got, want, err)
	}
}
