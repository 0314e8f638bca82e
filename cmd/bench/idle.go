package main

import (
	"context"
	"time"
)

var idle = measurement{name: "idle", title: "Doing nothing", run: measureIdle,
	about: "A hub with an empty store, four subscribers and 512 patients: its start, from running the program until `/readyz` says so " +
		"(median of five), and what it uses over 60 s when nothing happens."}

func measureIdle(ctx context.Context, b *bench) ([]figure, error) {
	var starts []float64
	var use figure
	var share figure
	for n := range b.rounds {
		sc, err := b.stage(ctx, town{receivers: 4}.with(512))
		if err != nil {
			return nil, err
		}
		starts = append(starts, ms(sc.hub.startup))
		if n == 0 {
			use, share, err = b.rest(ctx, sc.hub)
		}
		sc.end()
		if err != nil {
			return nil, err
		}
	}
	return []figure{
		{Name: "start with an empty store", Value: median(starts), Unit: "ms"},
		use, share,
	}, nil
}

// rest watches a hub doing nothing.
func (b *bench) rest(ctx context.Context, h *hub) (use, share figure, err error) {
	watch := time.Minute
	if b.quick {
		watch = time.Second
	}
	if err := sleep(ctx, watch/6); err != nil { // the start is over
		return use, share, err
	}
	before, err := h.cpu()
	if err != nil {
		return use, share, err
	}
	if err := sleep(ctx, watch); err != nil {
		return use, share, err
	}
	after, err := h.cpu()
	if err != nil {
		return use, share, err
	}
	size, err := h.memory()
	return figure{Name: "memory", Value: float64(size) / 1e6, Unit: "MB"},
		figure{Name: "processor", Value: 100 * float64(after-before) / float64(watch), Unit: "% of a core"}, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
