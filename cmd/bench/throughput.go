package main

import (
	"context"
	"fmt"
	"time"
)

var throughput = measurement{name: "throughput", title: "Throughput and processor time, four receivers", run: measureThroughput,
	about: "64 loggers log as fast as they are answered, for 20 s; a round's clock stops when the last delivery has arrived. " +
		"Medians of five rounds of raw limit and hub in turn. Processor time is of the hub's process (until its ledger is written), " +
		"beside that of the raw limit's; the whole system's has receivers and loggers in it, which the raw limit has none of."}

func measureThroughput(ctx context.Context, b *bench) ([]figure, error) {
	var raws, hubs []outcome
	fmt.Printf("%-5s %11s %12s %12s %6s %16s %16s %6s %14s\n", "round", "raw fsync/s", "raw events/s", "hub events/s", "ratio",
		"raw CPU/delivery", "hub CPU/delivery", "ratio", "hub p50 accept")
	for n := range b.rounds {
		fsyncs, err := rawSyncs(ctx, b.dir)
		if err != nil {
			return nil, err
		}
		load := trial{pace: pace{Loggers: b.loggers, Time: b.time}}
		raw, err := b.raw(ctx, 4, load)
		if err != nil {
			return nil, err
		}
		hub, err := b.hub(ctx, load)
		if err != nil {
			return nil, err
		}
		raws, hubs = append(raws, raw), append(hubs, hub)
		fmt.Printf("%-5d %11.0f %12.0f %12.0f %6.3f %13.1f µs %13.1f µs %6.2f %11.1f ms\n", n+1, fsyncs, raw.rate(), hub.rate(), hub.rate()/raw.rate(),
			raw.perDelivery(), hub.perDelivery(), hub.perDelivery()/raw.perDelivery(), ms(percentile(hub.accepts, 50)))
	}
	return []figure{
		compare("events stored and delivered to four", "events/s", hubs, raws, outcome.rate).atLeast(0.5),
		compare("processor time of a delivery", "µs", hubs, raws, outcome.perDelivery).atMost(2),
		compare("whole system's processor time of an event", "µs", hubs, raws, outcome.perEventOfAll),
		compare("until an event is accepted, p50 at full load", "ms", hubs, raws, func(o outcome) float64 { return ms(percentile(o.accepts, 50)) }),
	}, nil
}

// hub runs a trial on a hub with four receivers, an empty store and 512 patients.
func (b *bench) hub(ctx context.Context, t trial) (o outcome, err error) {
	sc, err := b.stage(ctx, town{receivers: 4}.with(512))
	if err != nil {
		return o, err
	}
	defer sc.end()
	return sc.run(t)
}

// compare is a figure of several rounds: the median of each side, and the median of the ratios.
func compare(name, unit string, hubs, raws []outcome, of func(outcome) float64) figure {
	var hub, raw, ratio []float64
	for n := range hubs {
		hub, raw, ratio = append(hub, of(hubs[n])), append(raw, of(raws[n])), append(ratio, of(hubs[n])/of(raws[n]))
	}
	return figure{Name: name, Value: median(hub), Unit: unit}.to(median(raw), median(ratio))
}

func (o outcome) perDelivery() float64   { return us(o.cpu) / float64(o.deliveries) }
func (o outcome) perEventOfAll() float64 { return us(o.cpu+o.others) / float64(o.events) }

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
