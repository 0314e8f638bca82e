package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// runCopies takes copies of a store under load, and has a hub on each copy account for all that was acknowledged before.
//
// The hub is stopped (SIGSTOP) for the moment of the copy, as a copy is not made at one instant. So its files are as a
// crash of the process leaves them. With -disk they are as a power cut leaves them: the store stands on a disk of its own,
// and it is that disk that is copied, beneath the file system: what was written and not synced is not on it.
func runCopies(ctx context.Context, set settings) error {
	set.hubs, set.nats = 1, 0
	w, err := newWorld(ctx, set)
	if err != nil {
		return err
	}
	defer w.close()
	l, err := startLoggers(ctx, w, 0)
	if err != nil {
		return err
	}
	s := &storm{w: w, rnd: rand.New(rand.NewPCG(set.seed, 1))} // #nosec G404 -- moments are no secret
	var copies []snapshot
	for n := range set.n {
		if err = pause(ctx, s.between(set.gap/4, set.gap)); err != nil {
			break
		}
		taken, cerr := w.copyStore(n, l)
		copies = append(copies, taken)
		if err = cerr; err != nil {
			break
		}
	}
	if err := errors.Join(err, l.finish(), w.hubs[0].stop()); err != nil {
		return err
	}
	for _, c := range copies {
		if err := w.account(ctx, l, c); err != nil {
			return fmt.Errorf("copy %d: %w", c.n, err)
		}
		fmt.Printf("copy %d: all %d events acknowledged before it are there and told\n", c.n, c.events())
	}
	return nil
}

// snapshot is a copy of the store and how many events of each patient had been acknowledged before.
type snapshot struct {
	n     int
	acked []int
	at    string // folder, or image of a disk
}

func (c snapshot) events() (n int) {
	for _, k := range c.acked {
		n += k
	}
	return n
}

func (w *world) copyStore(n int, l *loggers) (snapshot, error) {
	c := snapshot{n: n, acked: l.counts(), at: filepath.Join(w.dir, fmt.Sprint("copy", n))}
	h := w.hubs[0]
	h.signal(syscall.SIGSTOP)
	defer h.signal(syscall.SIGCONT)
	if w.disk != nil {
		return c, command("cp", "--sparse=always", w.disk.image, c.at)
	}
	return c, command("cp", "-r", h.data, c.at)
}

// account starts a hub on the copy, whose receivers have names of their own, and waits until it has told them all.
func (w *world) account(ctx context.Context, l *loggers, c snapshot) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	h := w.newHub(fmt.Sprint("hub-on-copy", c.n), address)
	h.token, h.path = w.hubs[0].token, fmt.Sprintf("copy%d-", c.n)
	if err := w.configure(h, address); err != nil {
		return err
	}
	if w.disk != nil {
		d, err := mountDisk(c.at, h.data)
		if err != nil {
			return err
		}
		defer d.remove()
	} else if err := os.Rename(c.at, h.data); err != nil {
		return err
	}
	defer h.kill()
	if err := h.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n, acks := range l.acked {
		for _, a := range acks[:c.acked[n]] {
			if err := w.accounted(ctx, h, a.Event); err != nil {
				return err
			}
		}
	}
	return w.arrived(l, c, h)
}

// accounted waits until the hub says that everybody has had an event.
func (w *world) accounted(ctx context.Context, h *hub, event string) error {
	for {
		v, err := w.view(ctx, http.DefaultClient, h, event)
		if err != nil {
			return err
		}
		if v.Settled() && len(v.Recipients) == w.recipients {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not told: %w", event, err)
		}
	}
}

// arrived asks the receivers: whoever was not told by the first hub before the copy has been by the second.
func (w *world) arrived(l *loggers, c snapshot, h *hub) error {
	r, err := readRecord(w.seen)
	if err != nil {
		return err
	}
	for n, acks := range l.acked {
		for _, a := range acks[:c.acked[n]] {
			for to := range w.recipients {
				id := w.recipient(to)
				if len(slices.Concat(r.took[key(id, a.Event)], r.took[key(h.path+id, a.Event)])) == 0 {
					return fmt.Errorf("%s never had %s", id, a.Event)
				}
			}
		}
	}
	return nil
}
