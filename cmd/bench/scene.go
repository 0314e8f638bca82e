package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"carehub/events"
)

// bench is a prepared run: the program built, and one message as the hub sends it.
type bench struct {
	settings
	temporary bool
	carehub   string // the program
	machine   machine
	sample    sample
}

func prepare(ctx context.Context, s settings) (b *bench, err error) {
	b = &bench{settings: s}
	if s.dir == "" {
		b.temporary = true
		if b.dir, err = os.MkdirTemp(".", "bench-"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return nil, err
	}
	b.carehub = filepath.Join(b.dir, "carehub")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", b.carehub, "./cmd/carehub") // #nosec G204 -- our own program
	if out, err := build.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build carehub: %w\n%s", err, out)
	}
	b.machine = thisMachine(ctx, b.dir, b.carehub)
	if b.sample, err = b.takeSample(ctx); err != nil {
		return b, fmt.Errorf("first event: %w", err)
	}
	return b, nil
}

func (b *bench) close() {
	_ = os.Remove(b.carehub)
	if b.temporary {
		_ = os.RemoveAll(b.dir)
	}
}

// takeSample has the hub deliver one event, for the raw limit to send the same.
func (b *bench) takeSample(ctx context.Context) (s sample, err error) {
	sc, err := b.stage(ctx, town{receivers: 4}.with(1))
	if err != nil {
		return s, err
	}
	defer sc.end()
	if _, err := sc.run(trial{pace: pace{Loggers: 1, Events: 1}}); err != nil {
		return s, err
	}
	err = sc.receivers.ask(wish{Do: "sample"}, &s)
	return s, err
}

// scene is a hub on an empty store, its receivers and its loggers.
type scene struct {
	b         *bench
	town      town
	hub       *hub
	receivers *child
	addresses []string // of the receivers
	loggers   *child
	events    int // logged so far
	// deliveryID is under which a receiver has an event, if not by the webhook's.
	deliveryID func(event, recipient string) string
}

func (b *bench) stage(ctx context.Context, t town) (*scene, error) {
	return b.stageOn(ctx, t, func(string) error { return nil })
}

// stageOn is stage on a store that fill has made in the hub's folder.
func (b *bench) stageOn(ctx context.Context, t town, fill func(dir string) error) (sc *scene, err error) {
	sc = &scene{b: b, town: t}
	defer func() {
		if err != nil {
			sc.end()
		}
	}()
	if sc.receivers, sc.addresses, err = openReceivers(ctx, t.receivers, t.hosts()); err != nil {
		return sc, err
	}
	if sc.loggers, err = startChild(ctx, "log"); err != nil {
		return sc, err
	}
	if sc.hub, err = b.folder(t, sc.addresses...); err != nil {
		return sc, err
	}
	if err := fill(sc.hub.dir); err != nil {
		return sc, err
	}
	return sc, sc.hub.open(ctx, b.carehub)
}

func openReceivers(ctx context.Context, n, hosts int) (c *child, addresses []string, err error) {
	if c, err = startChild(ctx, "receive"); err != nil {
		return nil, nil, err
	}
	err = c.ask(wish{Do: "open", Recipients: n, Hosts: hosts}, &addresses)
	return c, addresses, err
}

func (sc *scene) end() {
	sc.loggers.end()
	sc.hub.end()
	sc.receivers.end()
}

// settled is how long a hub may take, after the last arrival, to write down its last outcomes and its cursor.
const settled = 1200 * time.Millisecond

// run logs events to the hub, waits until all have arrived, and forgets them.
func (sc *scene) run(t trial) (o outcome, err error) {
	if t.patients == nil {
		for id := range sc.town.patients {
			t.patients = append(t.patients, id)
		}
		slices.Sort(t.patients)
	}
	job := logJob{Pace: t.pace, Hub: sc.hub.address, Token: sc.hub.token, Patients: t.patients, First: sc.events}
	named := events.DeliveryID
	if sc.deliveryID != nil {
		named = sc.deliveryID
	}
	m := meter{process: sc.hub.process, worker: sc.loggers, receivers: sc.receivers, recipients: sc.town.receivers, deliveryID: named,
		after: settled}
	if sc.b.quick {
		m.after = 0
	}
	o, err = m.measure(t, job)
	sc.events += o.events
	return o, err
}

// raw does the same with the raw limit, on its own.
func (b *bench) raw(ctx context.Context, recipients int, t trial) (o outcome, err error) {
	receivers, addresses, err := openReceivers(ctx, recipients, hosts)
	defer receivers.end()
	if err != nil {
		return o, err
	}
	limit, err := startChild(ctx, "raw")
	defer limit.end()
	if err != nil {
		return o, err
	}
	job := rawJob{Pace: t.pace, AtOnce: t.atOnce, Dir: b.dir, Addresses: addresses, Recipients: recipients, Sample: b.sample}
	return meter{process: limit.process, worker: limit, receivers: receivers, recipients: recipients, deliveryID: rawID}.measure(t, job)
}
