package main

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// trial is one run of events, through the hub or the raw limit.
type trial struct {
	pace
	patients []string // to log for; nil: all the hub has
	atOnce   int      // POSTs at a time for one event; the raw limit's only
	of       []int    // receivers that must get everything; nil: all
	timed    bool     // whether to find out how long each event took to its last receiver
}

// outcome is what came of a trial.
type outcome struct {
	events, deliveries int
	took               time.Duration   // from the first event to the last arrival
	accepts            []time.Duration // how long each event took to be durable
	arrivals           []time.Duration // how long each took to its last receiver, if timed
	cpu, others        time.Duration   // of the hub or the raw limit; of receivers and loggers
}

func (o outcome) rate() float64 { return float64(o.events) / o.took.Seconds() }

// meter measures a trial from outside.
type meter struct {
	process
	others []process
}

// settled is how long the hub may take, after the last arrival, to write down its last outcomes: that counts too.
const settled = 1200 * time.Millisecond

// measure has do log events and waits until all have arrived; deliveryID says under which id a receiver has an event.
func (m meter) measure(receivers *child, n int, t trial, deliveryID func(event, recipient string) string, do func(*[]logged) error) (o outcome, err error) {
	cpu, others, err := m.read()
	if err != nil {
		return o, err
	}
	var all []logged
	if err := do(&all); err != nil {
		return o, err
	}
	if len(all) == 0 {
		return o, errors.New("nothing was logged in the time there was")
	}
	if t.of == nil {
		t.of = firstOf(n)
	}
	var last int64
	if err := receivers.ask(wish{Do: "await", Of: t.of, Each: len(all)}, &last); err != nil {
		return o, err
	}
	time.Sleep(settled)
	o = outcome{events: len(all), deliveries: len(all) * len(t.of), took: time.Duration(last - first(all)), accepts: took(all)}
	cpuNow, othersNow, err := m.read()
	if o.cpu, o.others = cpuNow-cpu, othersNow-others; err != nil {
		return o, err
	}
	if t.timed {
		var at map[string]int64
		if err := receivers.ask(wish{Do: "arrivals", Of: t.of}, &at); err != nil {
			return o, err
		}
		o.arrivals = arrivals(all, at, t.of, deliveryID)
	}
	return o, receivers.ask(wish{Do: "forget"}, nil)
}

// read returns the processor time used so far.
func (m meter) read() (own, others time.Duration, err error) {
	own, err = m.cpu()
	for _, p := range m.others {
		more, merr := p.cpu()
		others, err = others+more, errors.Join(err, merr)
	}
	return own, others, err
}

// arrivals is how long each event took from when it was due to the last receiver of those named.
func arrivals(all []logged, at map[string]int64, of []int, deliveryID func(event, recipient string) string) (times []time.Duration) {
	for _, e := range all {
		var last int64
		for _, r := range of {
			last = max(last, at[deliveryID(e.ID, "r"+strconv.Itoa(r))])
		}
		times = append(times, time.Duration(last-e.Due))
	}
	return times
}

func first(all []logged) int64 {
	return slices.MinFunc(all, func(a, b logged) int { return int(a.Due - b.Due) }).Due
}

func took(all []logged) (times []time.Duration) {
	for _, e := range all {
		times = append(times, e.Took)
	}
	return times
}

// firstOf is 0 to n-1.
func firstOf(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// percentile is the time that so many in a hundred are within.
func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
