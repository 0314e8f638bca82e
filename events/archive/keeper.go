package archive

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// Run does the work in the background until ctx ends: it begins a new generation when the newest is full, folds what is
// drained, merges and sweeps volumes, and deletes what has been replaced. It is never in a hurry, and whatever it is cut
// off at it does again.
func (a *Archive) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		_ = a.opt.Store.HubWatch(ctx, "hub.archive.", func() {}, func(string, []byte) { a.reload(ctx) })
	})
	if a.recent != nil {
		beside.Go(func() { a.lookThrough(ctx) })
	}
	for {
		if a.opt.Mine() {
			if err := a.Work(ctx); err != nil && ctx.Err() == nil {
				a.opt.Log.Warn("the archive was not seen to; trying again", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(a.opt.Every):
		}
	}
}

// reload keeps up with what other processes do to the archive.
func (a *Archive) reload(ctx context.Context) {
	if err := a.load(ctx); err != nil && ctx.Err() == nil {
		a.opt.Log.Warn("the archive cannot be read", "err", err)
	}
}

// Pause waits until the work in the background stands still, and keeps it so until resume is called. Grow waits too.
func (a *Archive) Pause() (resume func()) {
	a.working.Lock()
	return a.working.Unlock
}

// Grow begins a new generation with so many partitions; 0: as many as before.
func (a *Archive) Grow(ctx context.Context, partitions int) error {
	defer a.Pause()()
	return a.opt.Store.Grow(ctx, partitions)
}

// Work does what there is to do, once.
func (a *Archive) Work(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.clear, a.grow, a.foldDrained, a.mergeDue, a.sweep} {
		if err := a.locked(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) locked(ctx context.Context, step func(context.Context) error) error {
	defer a.Pause()()
	return step(ctx)
}

// grow begins a new generation when the newest has all the events that a start after a crash should have to read, or
// some that are so old that they should get to where retention is looked after.
func (a *Archive) grow(ctx context.Context) error {
	messages, since, err := a.opt.Store.Fill(ctx)
	if err != nil || messages == 0 {
		return err
	}
	old := a.shortest() > 0 && !since.IsZero() && a.opt.Clock().Sub(since) > grain(a.shortest())
	if messages < a.opt.Most && !old {
		return nil
	}
	a.opt.Log.Info("a new generation of partitions begins", "messages", messages)
	return a.opt.Store.Grow(ctx, 0)
}

// shortest is the shortest retention of all, 0 if there is none.
func (a *Archive) shortest() (least time.Duration) {
	for kind := range a.opt.Retention {
		if keep := a.retention(kind); keep > 0 && (least == 0 || keep < least) {
			least = keep
		}
	}
	return least
}

// foldDrained folds every sealed partition that is drained, unless one with earlier events of its patients is not yet.
func (a *Archive) foldDrained(ctx context.Context) error {
	for folded := true; folded; {
		folded = false
		live, _ := a.opt.Store.Layout()
		for _, p := range live {
			if !p.Sealed || p.After >= 0 {
				continue
			}
			done, err := a.foldIfDrained(ctx, p.Number)
			if err != nil {
				return fmt.Errorf("partition %d: %w", p.Number, err)
			}
			folded = folded || done
		}
	}
	return nil
}

func (a *Archive) foldIfDrained(ctx context.Context, p int) (bool, error) {
	last, err := a.lastEvent(ctx, p)
	if err != nil {
		return false, err
	}
	drained, err := a.opt.Drained(ctx, p, last)
	if err != nil || !drained {
		return false, err
	}
	return true, a.fold(ctx, p, last)
}

func (a *Archive) mergeDue(ctx context.Context) error {
	for some := due(*a.volumes.Load()); some != nil; some = due(*a.volumes.Load()) {
		if err := a.merge(ctx, some, some[0].Level+1); err != nil {
			return err
		}
	}
	return nil
}

// sweep writes one volume anew without what has had its time.
func (a *Archive) sweep(ctx context.Context) error {
	if v := a.stale(a.opt.Clock()); v != nil {
		return a.merge(ctx, []*volume{v}, v.Level)
	}
	return nil
}

// clear deletes what was replaced long enough ago that nobody reads it any more.
func (a *Archive) clear(ctx context.Context) error {
	rec, _, err := a.record(ctx)
	if err != nil {
		return err
	}
	if retired := a.rested("partition", a.opt.Store.Retired()); len(retired) > 0 {
		if err := a.opt.Store.Clear(ctx, retired); err != nil {
			return err
		}
		if err := a.update(ctx, func(r *record) error { return forget(r, retired) }); err != nil {
			return err
		}
	}
	left, err := a.leftovers(ctx, rec)
	if err != nil {
		return err
	}
	leaving := a.rested("volume", append(left, rec.Leaving...))
	for _, v := range leaving {
		if err := a.opt.Store.DropVolume(ctx, v); err != nil {
			return err
		}
	}
	if len(leaving) == 0 {
		return nil
	}
	return a.update(ctx, func(r *record) error {
		r.Leaving = slices.DeleteFunc(r.Leaving, func(v int) bool { return slices.Contains(leaving, v) })
		return nil
	})
}

// leftovers are volumes that a crash kept from being finished. Unless this process is alone, one that somebody else is
// making right now has a number that was given out, too: so what is not in the record an hour after it was first seen counts.
func (a *Archive) leftovers(ctx context.Context, rec record) ([]int, error) {
	there, err := a.opt.Store.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	known := slices.Clone(rec.Leaving)
	for _, v := range rec.Volumes {
		known = append(known, v.Number)
	}
	there = slices.DeleteFunc(there, func(v int) bool { return slices.Contains(known, v) })
	if a.opt.Alone {
		return there, nil
	}
	return a.seenFor("leftover", there, max(time.Hour, a.opt.Rest)), nil
}

func (a *Archive) rested(what string, numbers []int) []int {
	return a.seenFor(what, numbers, a.opt.Rest)
}

// seenFor returns those of some things that were there for a while already.
func (a *Archive) seenFor(what string, numbers []int, while time.Duration) []int {
	now := a.opt.Clock()
	var long []int
	for _, n := range numbers {
		key := fmt.Sprint(what, n)
		first, ok := a.seen[key]
		if !ok {
			a.seen[key], first = now, now
		}
		if now.Sub(first) >= while {
			long = append(long, n)
		}
	}
	return long
}

func forget(r *record, partitions []int) error {
	for _, p := range partitions {
		delete(r.Folded, p)
	}
	return nil
}

// pace keeps the work in the background at its share of the time.
func (a *Archive) pace(ctx context.Context) error { return a.work.rest(ctx) }

// pacer keeps some work at a share of the time of one core.
type pacer struct {
	share   float64
	resumed time.Time // when the work last went on
}

// rest waits as long as it must after the work done since it last let it go on.
func (w *pacer) rest(ctx context.Context) error {
	now := time.Now()
	worked := now.Sub(w.resumed)
	if w.resumed.IsZero() || worked > time.Minute {
		worked = 0
	}
	rest := time.Duration(float64(worked) * (1 - w.share) / w.share)
	select {
	case <-ctx.Done():
		return &events.Error{Kind: events.Unavailable, Message: "The hub is shutting down.", Err: ctx.Err()}
	case <-time.After(rest):
	}
	w.resumed = time.Now()
	return nil
}
