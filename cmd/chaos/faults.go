package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// kill is one kill of a hub: from when it was killed until it was ready again.
type kill struct{ at, again time.Time }

// storm is the faults of one run.
type storm struct {
	w        *world
	rnd      *rand.Rand
	kills    []kill
	struck   []time.Time // when each fault began
	troubles []trouble
	counts   map[string]int
}

// fault is one thing that can break, and its mending.
type fault struct {
	name   string
	weight int
	does   func(*storm, context.Context) error
}

func (w *world) possible() []fault {
	all := []fault{{"hub killed", 4, (*storm).killHub}}
	if w.settings.nats > 0 {
		all = append(all, fault{"NATS server killed", 2, (*storm).killNATS})
	}
	if w.faults == "machine" {
		all = append(all, fault{"machine gone", 2, (*storm).loseMachine})
	}
	if w.faults != "all" {
		return all
	}
	all = append(all, fault{"hub stopped in order", 1, (*storm).restartHub}, fault{"hub paused", 1, (*storm).pauseHub},
		fault{"receivers killed", 2, (*storm).killReceivers}, fault{"receiver in a mood", 5, (*storm).upset},
		fault{"wire to a receiver cut or slow", 3, (*storm).damageReceiver})
	if w.settings.nats > 0 {
		all = append(all, fault{"NATS server paused", 1, (*storm).pauseNATS},
			fault{"wire to NATS cut or slow", 2, (*storm).damageNATS})
	}
	if w.settings.disk {
		all = append(all, fault{"disk full", 2, (*storm).fillDisk})
	}
	return all
}

// rage breaks one thing after another until a hub has been killed as often as asked.
func (s *storm) rage(ctx context.Context, broken <-chan error) error {
	var dice []fault
	for _, f := range s.w.possible() {
		for range f.weight {
			dice = append(dice, f)
		}
	}
	least := max(s.w.apart, s.w.gap/4)
	for len(s.kills) < s.w.kills {
		select {
		case err := <-broken:
			return err
		case <-time.After(s.between(least, 2*s.w.gap-least)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		f := dice[s.rnd.IntN(len(dice))]
		s.counts[f.name]++
		s.struck = append(s.struck, time.Now())
		fmt.Fprintln(os.Stderr, time.Now().UTC().Format("15:04:05.000"), f.name)
		if err := f.does(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func (s *storm) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rnd.Int64N(int64(most-least)+1))
}

func (s *storm) someHub() *hub { return s.w.hubs[s.rnd.IntN(len(s.w.hubs))] }

func (s *storm) killHub(ctx context.Context) error {
	h, k := s.someHub(), kill{at: time.Now()}
	h.kill()
	err := h.start(ctx)
	k.again = time.Now() // not before: what was on its way when it was killed is read by a busy receiver after that
	s.kills = append(s.kills, k)
	return err
}

// loseMachine kills a hub and a server of the store together and leaves them dead for a while: the others have to take over,
// for no restart comes to their help.
func (s *storm) loseMachine(ctx context.Context) error {
	n := s.rnd.IntN(min(len(s.w.hubs), len(s.w.nats)))
	h, node, k := s.w.hubs[n], s.w.nats[n], kill{at: time.Now()}
	h.kill()
	node.kill()
	err := pause(ctx, s.w.down)
	if err == nil {
		err = errors.Join(node.start(ctx), h.start(ctx))
	}
	k.again = time.Now()
	s.kills = append(s.kills, k)
	return err
}

func (s *storm) restartHub(ctx context.Context) error {
	h := s.someHub()
	return errors.Join(h.stop(), h.start(ctx))
}

func (s *storm) pauseHub(ctx context.Context) error { return s.freeze(ctx, &s.someHub().process) }

// freeze stops a process for a while, as a machine does that has run out of memory.
func (s *storm) freeze(ctx context.Context, p *process) error {
	p.signal(syscall.SIGSTOP)
	defer p.signal(syscall.SIGCONT)
	return pause(ctx, s.between(s.w.gap/4, s.w.gap))
}

func (s *storm) killReceivers(ctx context.Context) error {
	from := time.Now()
	defer func() { s.troubled("", from, time.Now()) }()
	s.w.receivers.kill()
	if err := pause(ctx, s.between(0, s.w.gap)); err != nil {
		return err
	}
	return s.w.receivers.start(ctx)
}

// upset puts a receiver into a mood for some seconds, and does not wait for its end.
func (s *storm) upset(ctx context.Context) error {
	is := moods[s.rnd.IntN(len(moods))]
	s.counts["… "+is]++
	lasts := s.between(s.w.gap/4, 3*s.w.gap/2)
	q := url.Values{"is": {is}, "for": {lasts.String()}}
	recipient, from := s.w.recipient(s.rnd.IntN(s.w.recipients)), time.Now()
	defer func() { s.troubled(recipient, from, time.Now().Add(lasts)) }()
	to := "http://" + s.w.door + "/" + recipient + "?" + q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// damage cuts a wire once, cuts it for a while, or slows it.
func (s *storm) damage(ctx context.Context, w *wire) error {
	defer w.mend()
	switch s.rnd.IntN(3) {
	case 0:
		w.cut(false)
		return nil
	case 1:
		w.cut(true)
	default:
		w.slow(s.between(10*time.Millisecond, 500*time.Millisecond))
	}
	return pause(ctx, s.between(s.w.gap/4, s.w.gap))
}

func (s *storm) damageReceiver(ctx context.Context) error {
	n, from := s.rnd.IntN(len(s.w.wires)), time.Now()
	defer func() { s.troubled(s.w.recipient(n), from, time.Now()) }()
	return s.damage(ctx, s.w.wires[n])
}

func (s *storm) damageNATS(ctx context.Context) error {
	return s.damage(ctx, s.w.natsWires[s.rnd.IntN(len(s.w.natsWires))])
}

func (s *storm) killNATS(ctx context.Context) error {
	n := s.w.nats[s.rnd.IntN(len(s.w.nats))]
	n.kill()
	return n.start(ctx)
}

func (s *storm) pauseNATS(ctx context.Context) error {
	return s.freeze(ctx, s.w.nats[s.rnd.IntN(len(s.w.nats))])
}

func (s *storm) fillDisk(ctx context.Context) error {
	if err := s.w.disk.fill(); err != nil {
		return err
	}
	err := pause(ctx, s.between(s.w.gap/4, s.w.gap))
	return errors.Join(err, s.w.disk.empty())
}

// runFaults is a whole run: load, faults, quiet, judgement.
func runFaults(ctx context.Context, set settings) error {
	found, err := batter(ctx, set)
	if err != nil {
		return err
	}
	if err := found.print(os.Stdout, set.json); err != nil {
		return err
	}
	return found.broken()
}

func batter(ctx context.Context, set settings) (*findings, error) {
	w, err := newWorld(ctx, set)
	if err != nil {
		return nil, err
	}
	defer w.close()
	began := time.Now()
	l, err := startLoggers(ctx, w, 0)
	if err != nil {
		return nil, err
	}
	s := &storm{w: w, rnd: rand.New(rand.NewPCG(set.seed, 1)), counts: map[string]int{}} // #nosec G404 -- faults are no secret
	err = s.rage(ctx, l.failed)
	if err := errors.Join(err, l.finish()); err != nil {
		return nil, err
	}
	logged := time.Since(began)
	if err := w.quiet(ctx, l); err != nil {
		return nil, err
	}
	return w.judge(ctx, l, s, logged)
}
