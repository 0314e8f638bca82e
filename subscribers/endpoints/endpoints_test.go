package endpoints_test

import (
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
	for follower.Get("hospice", "webhook-2").Paused == nil {
		time.Sleep(time.Millisecond)
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
