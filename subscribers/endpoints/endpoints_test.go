package endpoints_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"carehub/events/stream"
	"carehub/subscribers/endpoints"
)

func TestVerifiedIsBoundToTheAddress(t *testing.T) {
	store := stream.NewMemory(1)
	r := endpoints.New(store)
	at := time.Date(2026, 11, 25, 14, 41, 0, 0, time.UTC)
	rec, err := r.Change(t.Context(), "hospice", "email", func(rec *endpoints.Record) error {
		rec.Verify("ward@hospice.example", at)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !rec.IsVerified("ward@hospice.example") || rec.IsVerified("other@hospice.example") {
		t.Errorf("verified: %+v", rec)
	}
	value, _, _, _ := store.HubGet(t.Context(), "hub.endpoint.hospice.email")
	if strings.Contains(string(value), "ward@") {
		t.Errorf("the record holds the address: %s", value)
	}
}

func TestAnotherProcessLearnsOfAChange(t *testing.T) {
	store := stream.NewMemory(1)
	follower, changed := endpoints.New(store), make(chan struct{})
	go func() { _ = follower.Follow(t.Context(), func() { close(changed) }) }()
	<-changed
	writer := endpoints.New(store)
	_, err := writer.Change(t.Context(), "hospice", "webhook-2", func(rec *endpoints.Record) error {
		rec.Paused = &endpoints.Pause{Reason: "gone"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for news := follower.Changed(); follower.Get("hospice", "webhook-2").Paused == nil; news = follower.Changed() {
		<-news
	}
	if all := follower.All(); len(all) != 1 || all[0].Subscriber != "hospice" || all[0].Channel != "webhook-2" {
		t.Errorf("all: %+v", all)
	}
}

func TestChangeLosesNothingOfOthers(t *testing.T) {
	store := stream.NewMemory(1)
	a, b := endpoints.New(store), endpoints.New(store)
	interrupted := false
	rec, err := a.Change(t.Context(), "hospice", "email", func(rec *endpoints.Record) error {
		if !interrupted {
			interrupted = true
			_, err := b.Change(t.Context(), "hospice", "email", func(rec *endpoints.Record) error {
				rec.Paused = &endpoints.Pause{By: "ruth"}
				return nil
			})
			if err != nil {
				return err
			}
		}
		rec.Verify("ward@hospice.example", time.Now())
		return nil
	})
	if err != nil || rec.Paused == nil || rec.Paused.By != "ruth" || rec.Verified.IsZero() {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestChangeRefusedChangesNothing(t *testing.T) {
	store, no := stream.NewMemory(1), errors.New("no")
	_, err := endpoints.New(store).Change(t.Context(), "hospice", "email", func(*endpoints.Record) error { return no })
	if _, _, ok, _ := store.HubGet(t.Context(), "hub.endpoint.hospice.email"); ok || !errors.Is(err, no) {
		t.Errorf("stored: %v, %v", ok, err)
	}
}

// late is a store that tells who watches of changes only when it is made to.
type late struct {
	*stream.Memory
	news chan []byte
}

func (l late) HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error {
	ready()
	for {
		select {
		case value := <-l.news:
			fn(prefix+"hospice.email", value)
		case <-ctx.Done():
			return nil
		}
	}
}

// TestNewsThatIsOld: between a change and its echo nothing is unlearned.
func TestNewsThatIsOld(t *testing.T) {
	store := late{stream.NewMemory(1), make(chan []byte)}
	r, ended := endpoints.New(store), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { defer close(ended); _ = r.Follow(ctx, func() {}) }()
	change := func(fn func(*endpoints.Record)) (value []byte) {
		t.Helper()
		if _, err := r.Change(ctx, "hospice", "email", func(rec *endpoints.Record) error { fn(rec); return nil }); err != nil {
			t.Fatal(err)
		}
		value, _, _, _ = store.HubGet(ctx, "hub.endpoint.hospice.email")
		return value
	}
	first := change(func(rec *endpoints.Record) { rec.Inbox.Alive = time.Now() })
	second := change(func(rec *endpoints.Record) { rec.Verify("ward@hospice.example", time.Now()) })
	for _, value := range [][]byte{first, second} {
		store.news <- value
		if !r.Get("hospice", "email").IsVerified("ward@hospice.example") {
			t.Error("the verified address is not verified for a moment")
		}
	}
	stop()
	<-ended
	if !r.Get("hospice", "email").IsVerified("ward@hospice.example") {
		t.Error("old news counted")
	}
}
