package main

import (
	"context"
	"fmt"
	"time"
)

var latency = measurement{name: "latency", title: "Latency at 50 events a second", run: measureLatency,
	about: "From when an event is due to be logged until the fourth receiver has read it. Events come on schedule, whatever becomes of " +
		"the one before, so that who waits is counted as waiting. The raw limit has the same schedule, and makes its four POSTs at " +
		"once. Medians of five rounds of 20 s of raw limit and hub in turn."}

// calm is well below what the hub can do.
const calm = 50

func measureLatency(ctx context.Context, b *bench) ([]figure, error) {
	var raws, inTurn, hubs []outcome
	for n := range b.rounds {
		load := trial{pace: pace{Rate: calm, Time: b.time}, timed: true}
		hub, err := b.hub(ctx, load)
		if err != nil {
			return nil, err
		}
		turn, err := b.raw(ctx, 4, load)
		if err != nil {
			return nil, err
		}
		load.atOnce = 4
		raw, err := b.raw(ctx, 4, load)
		if err != nil {
			return nil, err
		}
		raws, inTurn, hubs = append(raws, raw), append(inTurn, turn), append(hubs, hub)
		fmt.Printf("round %d: raw %s, raw one POST after another %s, hub %s\n", n+1, raw.spread(), turn.spread(), hub.spread())
	}
	one := compare("", "", hubs, inTurn, arrival(50))
	return []figure{
		compare("p50", "ms", hubs, raws, arrival(50)).atMost(2).noting(
			"with its POSTs one after another, the raw limit's p50 is %s ms and the ratio %.2f", short(one.Raw), one.Ratio),
		compare("p99", "ms", hubs, raws, arrival(99)).atMost(3),
		compare("accepted, p50", "ms", hubs, raws, func(o outcome) float64 { return ms(percentile(o.accepts, 50)) }),
	}, nil
}

// arrival is a percentile of the arrivals, in milliseconds.
func arrival(p int) func(outcome) float64 {
	return func(o outcome) float64 { return ms(percentile(o.arrivals, p)) }
}

func (o outcome) spread() string {
	const fine = 10 * time.Microsecond
	return fmt.Sprintf("p50 %s p99 %s", percentile(o.arrivals, 50).Round(fine), percentile(o.arrivals, 99).Round(fine))
}

func (f figure) noting(format string, args ...any) figure {
	f.Note = fmt.Sprintf(format, args...)
	return f
}
