package main

import (
	"context"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/archive"
	"carehub/subscribers/deliver"
)

// openArchive joins the store, the archive and what the ledger says of who has been told.
func (h *hub) openArchive(ctx context.Context) (err error) {
	if err := h.newForgetting(ctx); err != nil {
		return err
	}
	outcomes := &deliver.Outcomes{Ledger: h.store}
	h.archive, err = archive.Open(ctx, archive.Options{Store: timedStore{h.store, h.meter}, Log: h.log, Retention: h.current().retention(),
		Outcomes: outcomes.Of, Mine: h.keepsArchive, Alone: h.current().hub.NATS == nil, Gone: h.forgotten.Gone,
		Drained: func(ctx context.Context, p int, last uint64) (bool, error) {
			if h.engine != nil && h.engine.Waits(p) { // then the store need not be asked, every few seconds, for as long as somebody is dead
				return false, nil
			}
			return deliver.Drained(ctx, h.store, p, last)
		}})
	return err
}

// keepsArchive reports whether this hub is the one that looks after the archive: of several the one that delivers the
// oldest partition.
func (h *hub) keepsArchive() bool {
	if h.leases == nil {
		return true
	}
	held, _ := h.leases.Owned()
	live, _ := h.store.Layout()
	return len(live) > 0 && slices.Contains(held, live[0].Number)
}

// retention is how long each kind of event is kept, where hub.yaml gives it an end.
func (f *folder) retention() map[events.Kind]time.Duration {
	keep := map[events.Kind]time.Duration{}
	for kind, k := range f.hub.Kinds {
		if k.Retention > 0 {
			keep[kind] = time.Duration(k.Retention)
		}
	}
	return keep
}
