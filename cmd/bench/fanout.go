package main

import (
	"context"
	"fmt"
)

var fanout = measurement{name: "fanout", title: "One event to 1,000 recipients", run: measureFanout,
	about: "From logging it until the last of 1,000 receivers has it; the raw limit posts to 64 at a time. The first event, which opens " +
		"the connections, does not count. Medians of ten, by 5 rounds in turn."}

func measureFanout(ctx context.Context, b *bench) ([]figure, error) {
	recipients, events := 1000, 10
	if b.quick {
		recipients, events = 100, 2
	}
	var raws, hubs []outcome
	for n := range b.rounds {
		raw, err := b.raw(ctx, recipients, trial{pace: pace{Loggers: 1, Events: events + 1}, atOnce: 64, timed: true})
		if err != nil {
			return nil, err
		}
		hub, err := b.fanOut(ctx, recipients, events+1)
		if err != nil {
			return nil, err
		}
		raw.arrivals, hub.arrivals = raw.arrivals[1:], hub.arrivals[1:]
		raws, hubs = append(raws, raw), append(hubs, hub)
		fmt.Printf("round %d: raw %s, hub %s\n", n+1, raw.spread(), hub.spread())
	}
	return []figure{
		compare(fmt.Sprintf("last of %d deliveries, p50", recipients), "ms", hubs, raws, arrival(50)).atMost(3),
		compare("processor time of a delivery", "µs", hubs, raws, outcome.perDelivery),
	}, nil
}

// fanOut logs events for as many recipients, each when the one before has arrived everywhere.
func (b *bench) fanOut(ctx context.Context, recipients, events int) (all outcome, err error) {
	sc, err := b.stage(ctx, town{receivers: recipients, patients: map[string]int{patient(0): recipients}})
	if err != nil {
		return all, err
	}
	defer sc.end()
	for range events {
		o, err := sc.run(trial{pace: pace{Loggers: 1, Events: 1}, timed: true})
		if err != nil {
			return all, err
		}
		all.events, all.deliveries, all.cpu = all.events+1, all.deliveries+o.deliveries, all.cpu+o.cpu
		all.arrivals = append(all.arrivals, o.arrivals...)
	}
	return all, nil
}
