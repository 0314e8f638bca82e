package main

import (
	"context"
	"fmt"
)

var hung = measurement{name: "hung", title: "One of four recipients hangs", run: measureHung,
	about: "It takes each message and never answers. Beside it the same hub on the same schedule with all four well: how long the other " +
		"three wait (until the last of the three has an event), at 50 events a second and at full load, and how many events they get. " +
		"Medians of three rounds, healthy and hung in turn."}

func measureHung(ctx context.Context, b *bench) ([]figure, error) {
	calmly := trial{pace: pace{Rate: calm, Time: b.time}, of: firstOf(3), timed: true}
	fully := trial{pace: pace{Loggers: b.loggers, Time: b.time}, of: firstOf(3), timed: true}
	well, ill, err := b.wellAndIll(ctx, calmly)
	if err != nil {
		return nil, err
	}
	wellFull, illFull, err := b.wellAndIll(ctx, fully)
	if err != nil {
		return nil, err
	}
	figures := []figure{
		compare("the other three at 50 events/s, p99", "ms", ill, well, arrival(99)).atMost(1.5),
		compare("the other three at 50 events/s, p50", "ms", ill, well, arrival(50)),
		compare("events at full load", "events/s", illFull, wellFull, outcome.rate).atLeast(0.9),
		compare("the other three at full load, p99", "ms", illFull, wellFull, arrival(99)).atMost(1.5),
	}
	for n := range figures {
		figures[n].Than = "all well"
	}
	return figures, nil
}

// wellAndIll runs a trial with all four receivers well and with the fourth hanging, in turn.
func (b *bench) wellAndIll(ctx context.Context, t trial) (well, ill []outcome, err error) {
	for n := range min(b.rounds, 3) {
		o, err := b.hub(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		h, err := b.hangs(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		well, ill = append(well, o), append(ill, h)
		fmt.Printf("round %d: well %.0f events/s %s, one hung %.0f events/s %s\n", n+1, o.rate(), o.spread(), h.rate(), h.spread())
	}
	return well, ill, nil
}

// hangs runs a trial with the fourth receiver hanging.
func (b *bench) hangs(ctx context.Context, t trial) (o outcome, err error) {
	sc, err := b.stage(ctx, town{receivers: 4}.with(512))
	if err != nil {
		return o, err
	}
	defer sc.end()
	if err := sc.receivers.ask(wish{Do: "hang", Of: []int{3}}, nil); err != nil {
		return o, err
	}
	if o, err = sc.run(t); err != nil {
		return o, err
	}
	return o, sc.receivers.ask(wish{Do: "release"}, nil) // so that the hub need not wait for it in order to stop
}
