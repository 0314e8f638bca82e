package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream"
)

// TestDiskAlarm: one alarm each time the store gets too full, again only after it has had room.
func TestDiskAlarm(t *testing.T) {
	var raised []events.About
	used, away := int64(0), true
	w := &diskWatch{usage: func(context.Context) (stream.Usage, error) { return stream.Usage{Used: used, Limit: 100}, nil },
		clock: func() time.Time { return time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC) },
		alarm: func(_ context.Context, about events.About) error {
			if away {
				return errors.New("store away")
			}
			raised = append(raised, about)
			return nil
		}}
	_ = w.look(t.Context())
	used = 81
	if w.look(t.Context()) == nil {
		t.Error("an alarm that was not stored counts as told")
	}
	away = false
	for _, used = range []int64{81, 95, 79, 85, 74, 79, 80, 99} {
		if err := w.look(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(raised) != 2 || raised[0] != (events.About{Event: "store-2026-11-03", Reason: events.ReasonDisk}) {
		t.Errorf("alarms: %v", raised)
	}
}
