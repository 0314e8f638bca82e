package main

import (
	"cmp"
	"errors"
	"fmt"
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
	each     bool     // to each receiver instead, if timed
	share    int      // a receiver gets one event of so many; 0: all
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
	process           // the hub, or the raw limit
	worker     *child // that sees to the events: loggers, or the raw limit
	receivers  *child
	recipients int
	deliveryID func(event, recipient string) string // under which a receiver has an event
	after      time.Duration                        // the last arrival: what is done until then counts too
}

// measure has the worker do a job, waits until all of it has arrived, and says what it took.
func (m meter) measure(t trial, job any) (o outcome, err error) {
	if t.of == nil {
		t.of = firstOf(m.recipients)
	}
	cpu, others, err := m.read()
	if err != nil {
		return o, err
	}
	last, err := m.carryOut(t, job, &o)
	if err != nil {
		return o, err
	}
	cpuNow, othersNow, err := m.read()
	o.cpu, o.others = cpuNow-cpu, othersNow-others
	if err != nil {
		return o, err
	}
	if err := m.times(t, last, &o); err != nil {
		return o, err
	}
	return o, m.receivers.ask(wish{Do: "forget"}, nil)
}

// carryOut returns when the last delivery arrived.
func (m meter) carryOut(t trial, job any, o *outcome) (last int64, err error) {
	if err := m.worker.ask(job, &o.events); err != nil {
		return 0, err
	}
	if o.events == 0 {
		return 0, errors.New("nothing was logged in the time there was")
	}
	each := o.events / max(1, t.share)
	o.deliveries = each * len(t.of)
	if err := m.receivers.ask(wish{Do: "await", Of: t.of, Each: each}, &last); err != nil {
		return 0, err
	}
	time.Sleep(m.after)
	return last, nil
}

// times asks when everything happened.
func (m meter) times(t trial, last int64, o *outcome) error {
	var all []logged
	if err := m.worker.ask(map[string]bool{"Tell": true}, &all); err != nil {
		return err
	}
	o.took = time.Duration(last - slices.MinFunc(all, func(a, b logged) int { return cmp.Compare(a.Due, b.Due) }).Due)
	for _, e := range all {
		o.accepts = append(o.accepts, e.Took)
	}
	if !t.timed {
		return nil
	}
	var at map[string]int64
	err := m.receivers.ask(wish{Do: "arrivals", Of: t.of}, &at)
	if err == nil {
		o.arrivals, err = arrivals(all, at, t, m.deliveryID)
	}
	return err
}

// read returns the processor time used so far.
func (m meter) read() (own, others time.Duration, err error) {
	own, err = m.cpu()
	for _, p := range []*child{m.worker, m.receivers} {
		if p.Process == m.Process {
			continue
		}
		more, perr := p.cpu()
		others, err = others+more, errors.Join(err, perr)
	}
	return own, others, err
}

// arrivals is how long each event took from when it was due to the last receiver of those named, or to each of them.
func arrivals(all []logged, at map[string]int64, t trial, deliveryID func(event, recipient string) string) (times []time.Duration, err error) {
	for _, e := range all {
		var last int64
		for _, r := range t.of {
			recipient := "r" + strconv.Itoa(r)
			id := deliveryID(e.ID, recipient)
			if id == "" { // it is not told of this event
				continue
			}
			arrived, ok := at[id]
			if !ok {
				return nil, fmt.Errorf("%s did not arrive at %s", e.ID, recipient)
			}
			if last = max(last, arrived); t.each {
				times = append(times, time.Duration(arrived-e.Due))
			}
		}
		if !t.each {
			times = append(times, time.Duration(last-e.Due))
		}
	}
	return times, nil
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
