package main

import (
	"context"
	"fmt"
)

var cost = measurement{name: "cost", title: "Cost of a delivery, from 10 to 100,000 recipients", run: measureCost,
	about: "Processor time of the hub for each delivery, its share of accepting and storing the event and of the ledger included, when one " +
		"event goes to so many recipients. One hub that knows them all; events are logged one after another until there were about " +
		"100,000 deliveries."}

func measureCost(ctx context.Context, b *bench) (figures []figure, err error) {
	sizes, deliveries := []int{10, 1000, 10_000, 100_000}, 100_000
	if b.quick {
		sizes, deliveries = []int{10, 100}, 200
	}
	most := sizes[len(sizes)-1]
	told := map[string]int{}
	for n, size := range sizes {
		told[patient(n)] = size
	}
	sc, err := b.stage(ctx, town{receivers: most, patients: told})
	if err != nil {
		return nil, err
	}
	defer sc.end()
	fmt.Printf("with %d subscribers the hub was ready after %.1f s\n", most, sc.hub.startup.Seconds())
	var least float64
	for n, size := range sizes {
		o, err := sc.run(trial{pace: pace{Loggers: 1, Events: deliveries / size}, patients: []string{patient(n)}, of: firstOf(size)})
		if err != nil {
			return nil, fmt.Errorf("%d recipients: %w", size, err)
		}
		fmt.Printf("%d recipients: %.1f µs, %.0f deliveries/s\n", size, o.perDelivery(), float64(o.deliveries)/o.took.Seconds())
		f := figure{Name: fmt.Sprintf("with %d recipients", size), Value: o.perDelivery(), Unit: "µs"}
		if n == 0 {
			least = f.Value
		} else {
			f = f.to(least, f.Value/least).atMost(1.5)
			f.Than = fmt.Sprintf("%d recipients", sizes[0])
		}
		figures = append(figures, f)
	}
	return figures, nil
}
