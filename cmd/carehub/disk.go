package main

import (
	"context"
	"time"

	"carehub/events"
	"carehub/events/stream"
)

// The disk is watched so that somebody hears of it long before events are refused.
const (
	diskEvery  = time.Minute
	diskAlarm  = 0.80 // share of what the store may take at which the alarm recipients are told
	diskRelief = 0.75 // below which the next time is a new one
)

// diskWatch tells once when the store has become full to a degree.
type diskWatch struct {
	usage func(context.Context) (stream.Usage, error)
	alarm func(ctx context.Context, about events.About) error
	clock func() time.Time
	told  bool
}

func (h *hub) watchDisk(ctx context.Context) error {
	w := &diskWatch{usage: h.store.Usage, clock: time.Now, alarm: func(ctx context.Context, about events.About) error {
		return h.alarm(ctx, about, events.Stored{})
	}}
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("the disk of the store could not be watched", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(diskEvery):
		}
	}
}

// look raises the alarm when the store has become too full since the last look. The alarm is named by its day: a hub that
// is started again on the same day does not repeat it.
func (w *diskWatch) look(ctx context.Context) error {
	u, err := w.usage(ctx)
	if err != nil {
		return err
	}
	switch {
	case u.Share() < diskRelief:
		w.told = false
	case u.Share() >= diskAlarm && !w.told:
		about := events.About{Event: "store-" + w.clock().UTC().Format(time.DateOnly), Reason: events.ReasonDisk}
		if err := w.alarm(ctx, about); err != nil {
			return err
		}
		w.told = true
	}
	return nil
}
