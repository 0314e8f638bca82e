package main

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

var idle = measurement{name: "idle", title: "Doing nothing", run: measureIdle,
	about: "A hub with an empty store, four subscribers and 512 patients: its start, from running the program until `/readyz` says so " +
		"(median of five), and what it uses over 60 s when nothing happens. And `carehub check` of 10,000 patients, 1,000 subscribers."}

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
	took, peak, err := b.check(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{
		{Name: "start with an empty store", Value: median(starts), Unit: "ms"},
		use, share,
		{Name: "check", Value: took, Unit: "s"},
		{Name: "check, memory at most", Value: peak, Unit: "MB"},
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

// check runs carehub check over a large folder.
func (b *bench) check(ctx context.Context) (seconds, megabytes float64, err error) {
	t := town{receivers: 1000}.with(10_000)
	if b.quick {
		t = town{receivers: 10}.with(100)
	}
	h, err := b.folder(t)
	if err != nil {
		return 0, 0, err
	}
	defer h.end()
	cmd := exec.CommandContext(ctx, b.carehub, "check", h.dir) // #nosec G204 -- our own program
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("check: %w: %s", err, out[:min(len(out), 500)])
	}
	took := time.Since(began)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took.Seconds(), float64(usage.Maxrss) * 1024 / 1e6, nil // Maxrss is in KiB on Linux
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
