package archive

import (
	"cmp"
	"container/heap"
	"context"
	"time"

	"carehub/events"
)

// fanIn is how many volumes of one level make one of the next.
const fanIn = 8

// due returns the volumes to merge: the newest, when there are enough of one level.
func due(all []*volume) []*volume {
	if len(all) < fanIn {
		return nil
	}
	newest := all[len(all)-fanIn:]
	for _, v := range newest {
		if v.Level != newest[0].Level {
			return nil
		}
	}
	return newest
}

// merge makes one volume of neighbours, leaving out what has had its time.
func (a *Archive) merge(ctx context.Context, old []*volume, level int) error {
	number, err := a.number(ctx)
	if err != nil {
		return err
	}
	now := a.opt.Clock()
	m := &merging{archive: a, now: now}
	for _, v := range old {
		m.most += v.Events
	}
	w, err := newWriter(ctx, a.opt.Store, info{Number: number, Level: level, Swept: now}, m.most, a.pace)
	if err != nil {
		return err
	}
	if err := m.run(ctx, old, w); err != nil {
		return err
	}
	var made *volume
	if w.Events > 0 {
		if made, err = w.finish(ctx); err != nil {
			return err
		}
	}
	if err := a.update(ctx, func(r *record) error { return r.replace(old, made) }); err != nil {
		return err
	}
	a.opt.Log.Info("volumes of the archive were merged", "volumes", len(old), "into", number, "events", w.Events, "dropped", m.dropped)
	return a.load(ctx)
}

// merging goes through volumes side by side, in the order of shelves and then of acceptance.
type merging struct {
	archive *Archive
	now     time.Time
	most    int
	dropped int
	fronts  fronts
}

func (m *merging) run(ctx context.Context, old []*volume, w *writer) error {
	for _, v := range old {
		f := &front{of: v.reader(), page: -1}
		if more, err := f.next(ctx); err != nil {
			return err
		} else if more {
			m.fronts = append(m.fronts, f)
		}
	}
	heap.Init(&m.fronts)
	for len(m.fronts) > 0 {
		f := m.fronts[0]
		if err := m.take(ctx, f, w); err != nil {
			return err
		}
		more, err := f.next(ctx)
		if err != nil {
			return err
		}
		if more {
			heap.Fix(&m.fronts, 0)
		} else {
			heap.Pop(&m.fronts)
		}
	}
	return nil
}

func (m *merging) take(ctx context.Context, f *front, w *writer) error {
	expired, err := m.archive.expired(ctx, f.outline, m.now)
	if err != nil {
		return err
	}
	if expired || m.archive.forgotten(f.outline) {
		m.dropped++
		return nil
	}
	return w.add(ctx, f.outline, f.entries[f.at])
}

// front is where the merge stands in one volume.
type front struct {
	of      *reader
	page    int
	entries []entry
	at      int
	outline outline
}

// next goes on to the next event; false at the end.
func (f *front) next(ctx context.Context) (more bool, err error) {
	f.at++
	for f.at >= len(f.entries) {
		f.page++
		if f.page >= len(f.of.index) {
			return false, nil
		}
		if f.entries, err = f.of.page(ctx, f.page); err != nil {
			return false, err
		}
		f.at = 0
	}
	f.outline, err = f.entries[f.at].outline()
	return true, err
}

type fronts []*front

func (f fronts) Len() int      { return len(f) }
func (f fronts) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f fronts) Less(i, j int) bool {
	x, y := f[i].outline, f[j].outline
	return cmp.Or(cmp.Compare(x.shelf(), y.shelf()), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Seq, y.Seq)) < 0
}
func (f *fronts) Push(x any) { *f = append(*f, x.(*front)) }
func (f *fronts) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// expired reports whether an event has had its time. Admissions, attendances and discharges explain each other: each
// stays as long as the longest of the three does, and what opened a stay that has not ended stays until it has.
func (a *Archive) expired(ctx context.Context, o outline, now time.Time) (bool, error) {
	ev := o.Record.Event
	keep := a.retention(ev.Kind)
	if keep == 0 || now.Sub(ev.Recorded) < keep {
		return false, nil
	}
	if !ev.Kind.OpensStay() {
		return true, nil
	}
	out, found, err := a.Latest(ctx, ev.Patient, events.Discharge)
	ended := found && (out.Stay == ev.Stay || !out.Occurred.Before(ev.Occurred))
	return ended, err
}

var ofStays = []events.Kind{events.Admission, events.Attendance, events.Discharge}

// retention is how long events of a kind are kept; 0 is for ever.
func (a *Archive) retention(kind events.Kind) time.Duration {
	if !kind.OpensStay() && kind != events.Discharge {
		return a.opt.Retention[kind]
	}
	longest := a.opt.Retention[kind]
	for _, k := range ofStays {
		keep := a.opt.Retention[k]
		if keep == 0 {
			return 0
		}
		longest = max(longest, keep)
	}
	return longest
}

// stale returns a volume that holds events which have had their time, and has not been swept for a while.
func (a *Archive) stale(now time.Time) *volume {
	for _, v := range *a.volumes.Load() {
		for kind, oldest := range v.Oldest {
			keep := a.retention(kind)
			if keep > 0 && now.Sub(oldest) > keep+grain(keep) && now.Sub(v.Swept) > grain(keep) {
				return v
			}
		}
	}
	return nil
}

// grain is how exactly a retention is kept: a volume is written anew once for many events that end in this time.
func grain(keep time.Duration) time.Duration { return max(keep/16, 24*time.Hour) }
