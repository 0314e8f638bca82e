package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/deliver"
)

// What the pulse measures by.
const (
	pulseEvery   = 5 * time.Second
	pulseAgain   = time.Second      // after one that found something wrong
	probeTimeout = 10 * time.Second // of a read or a write of the pulse
	probeAfter   = 10 * time.Second // without an acknowledged write: the pulse makes one
	staleWrite   = 30 * time.Second // without an acknowledged write: the hub is not ready
	stuckReading = time.Minute      // without room for a new event: the hub is not ready
	deadAfter    = time.Minute      // without a beat: the process is not alive
	probeKey     = "hub.probe"
)

// pulse looks again and again whether the hub lives and can do its work. Being alive is that the engine's lock is to be
// had; being ready is progress: the store answers, a synced write was acknowledged of late, outcomes can be written, and
// events are taken in.
type pulse struct {
	store  *stream.Store
	engine *deliver.Engine
	meter  *meter
	log    *slog.Logger

	beat atomic.Int64 // when the engine was last seen alive, Unix nanoseconds
	mu   sync.Mutex
	last condition
}

// condition is what one look found.
type condition struct {
	health deliver.Health
	checks []finding
	usage  *stream.Usage  // nil if it could not be asked for
	newest map[int]uint64 // sequence by partition, of those delivered here
}

// finding is one thing that must hold for the hub to be ready. Its name is a label and stands in the body of /readyz.
type finding struct {
	name string
	ok   bool
	why  string // in plain words, when it does not hold
}

func newPulse(store *stream.Store, engine *deliver.Engine, m *meter, log *slog.Logger) *pulse {
	p := &pulse{store: store, engine: engine, meter: m, log: log}
	p.beat.Store(time.Now().UnixNano())
	m.acknowledged() // opening the store wrote to it, or read that it was written
	return p
}

// run takes the pulse until ctx ends.
func (p *pulse) run(ctx context.Context) error {
	wasReady := true
	for {
		p.write(ctx)
		c := p.look(ctx)
		p.measure(ctx, &c)
		if ctx.Err() != nil {
			return nil
		}
		p.mu.Lock()
		p.last = c
		p.mu.Unlock()
		if ready := c.ready(); ready != wasReady {
			p.log.Warn("readiness", "ready", ready, "why", c.why())
			wasReady = ready
		}
		pause := pulseEvery
		if !wasReady {
			pause = pulseAgain
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// write makes a small synced write unless there has been one of late. Where another hub on the same store was quicker, that
// is as good.
func (p *pulse) write(ctx context.Context) {
	if time.Since(p.wrote()) < probeAfter {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, revision, _, err := p.store.HubGet(ctx, probeKey)
	if err == nil {
		_, err = p.store.HubPut(ctx, probeKey, time.Now().UTC().AppendFormat(nil, time.RFC3339), revision)
	}
	if err == nil || events.KindOf(err) == events.Conflict {
		p.meter.acknowledged()
	}
}

func (p *pulse) wrote() time.Time { return time.Unix(0, p.meter.wrote.Load()) }

// look judges how things are now, with one read of the store.
func (p *pulse) look(ctx context.Context) condition {
	health := p.engine.Health()
	p.beat.Store(time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, _, _, err := p.store.HubGet(ctx, probeKey)
	full := time.Duration(0)
	for _, shard := range health.Partitions {
		full = max(full, shard.Full)
	}
	return condition{health: health, checks: []finding{
		{"store_read", err == nil, "the store does not answer"},
		{"store_write", time.Since(p.wrote()) < staleWrite, "the store has acknowledged no write for half a minute"},
		{"ledger", health.Ledger == nil, "outcomes cannot be written"},
		{"reading", full < stuckReading, "new events wait unread for want of room: what was read before cannot be settled or parked"},
		{"disk", p.store.Full() == nil, "the disk of the store is full"},
	}}
}

// measure adds what only the metrics need.
func (p *pulse) measure(ctx context.Context, c *condition) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if u, err := p.store.Usage(ctx); err == nil {
		c.usage = &u
	}
	c.newest = map[int]uint64{}
	for _, shard := range c.health.Partitions {
		if newest, err := p.store.Last(ctx, shard.Partition); err == nil {
			c.newest[shard.Partition] = newest
		}
	}
}

// alive says why the process should be started anew; nil if it should not.
func (p *pulse) alive() error {
	if time.Since(time.Unix(0, p.beat.Load())) > deadAfter {
		return errors.New("the engine has not moved for a minute")
	}
	return nil
}

// condition is what the last pulse found.
func (p *pulse) condition() condition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (c condition) ready() bool {
	return len(c.checks) > 0 && !slices.ContainsFunc(c.checks, func(f finding) bool { return !f.ok })
}

// why says in plain words what is wrong.
func (c condition) why() string {
	var reasons []string
	for _, f := range c.checks {
		if !f.ok {
			reasons = append(reasons, f.why)
		}
	}
	return strings.Join(reasons, "; ")
}
