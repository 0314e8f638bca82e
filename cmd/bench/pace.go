package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace is how events come.
type pace struct {
	Rate    float64       // a second, on schedule whatever becomes of them; 0: as fast as they are answered
	Loggers int           // at a time, without a Rate
	Time    time.Duration // how long; 0: until there are Events
	Events  int           // how many; 0: as many as there is time for
}

// logged is an event that the hub, or the raw limit, has made durable.
type logged struct {
	ID   string
	Due  int64         // when it was to be sent, Unix nanoseconds
	Took time.Duration // from then until it was known to be durable
}

// each calls do for one event after another at this pace, and waits for all of them. The first error ends it.
func (p pace) each(ctx context.Context, do func(ctx context.Context, n int, due time.Time) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	try := func(n int, due time.Time) {
		if err := do(ctx, n, due); err != nil {
			cancel(err)
		}
	}
	var work sync.WaitGroup
	if p.Rate > 0 {
		p.onSchedule(ctx, func(n int, due time.Time) { work.Go(func() { try(n, due) }) })
	} else {
		p.asAnswered(ctx, &work, try)
	}
	work.Wait()
	return context.Cause(ctx)
}

// onSchedule starts events when they are due, however late others are: who waits is counted as waiting.
func (p pace) onSchedule(ctx context.Context, try func(n int, due time.Time)) {
	start := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		after := time.Duration(float64(n) / p.Rate * float64(time.Second))
		if p.over(n, after) {
			return
		}
		due := start.Add(after)
		time.Sleep(time.Until(due))
		try(n, due)
	}
}

// asAnswered lets each logger go on as soon as its event is answered.
func (p pace) asAnswered(ctx context.Context, work *sync.WaitGroup, try func(n int, due time.Time)) {
	start := time.Now()
	var next atomic.Int64
	for range p.Loggers {
		work.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if p.over(n, time.Since(start)) {
					return
				}
				try(n, time.Now())
			}
		})
	}
}

func (p pace) over(n int, after time.Duration) bool {
	return p.Events > 0 && n >= p.Events || p.Time > 0 && after >= p.Time
}

// diary collects what was logged.
type diary struct {
	mu  sync.Mutex
	all []logged
}

func (d *diary) add(id string, due time.Time) {
	e := logged{ID: id, Due: due.UnixNano(), Took: time.Since(due)}
	d.mu.Lock()
	d.all = append(d.all, e)
	d.mu.Unlock()
}
