package archive

import (
	"context"
	"strings"

	"carehub/events"
)

// forgotten reports whether an event is about a patient who was forgotten, or an alarm that names one.
func (a *Archive) forgotten(o outline) bool {
	if about := o.Record.Plan.About; about != nil && about.Of(a.opt.Gone) {
		return true
	}
	return a.opt.Gone(o.Record.Event.Patient)
}

// Erase writes the volumes that hold something of a patient, whom Gone says to be forgotten, anew without it, and deletes the
// old ones once nobody reads them any more. left says that something is still there: it may be called again and again, and
// after a crash, until nothing is. What is in the streams of the store is not its business.
func (a *Archive) Erase(ctx context.Context, patient string) (left bool, err error) {
	err = a.locked(ctx, func(ctx context.Context) error {
		a.recent.forget(patient)
		for _, v := range *a.volumes.Load() {
			holds, err := a.holds(ctx, v, patient)
			if err != nil {
				return err
			}
			if holds {
				if err := a.merge(ctx, []*volume{v}, v.Level); err != nil {
					return err
				}
			}
		}
		return a.clear(ctx)
	})
	if err != nil {
		return true, err
	}
	rec, _, err := a.record(ctx)
	return len(rec.Leaving) > 0, err
}

// holds reports whether a volume has anything that is to be left out for this patient's sake: their own shelf, or alarms.
func (a *Archive) holds(ctx context.Context, v *volume, patient string) (holds bool, err error) {
	look := func(o outline, _ entry) (bool, error) {
		holds = holds || a.forgotten(o)
		return !holds, nil
	}
	if v.mayHold(patient) {
		if err := v.backwards(ctx, patient, patient, look); err != nil || holds {
			return holds, err
		}
	}
	return holds, v.alarms(ctx, look)
}

// alarms calls fn with the alarms of a volume, in the order of pages, until it says no.
func (v *volume) alarms(ctx context.Context, fn func(outline, entry) (more bool, err error)) error {
	const first, beyond = events.HubPatient + "/", events.HubPatient + "0" // the shelves of alarms lie between
	pages := v.reader()
	for n := max(v.lastPage(first), 0); n < len(v.index) && v.index[n].Shelf < beyond; n++ {
		all, err := pages.page(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range all {
			o, err := e.outline()
			if err != nil {
				return err
			}
			if !strings.HasPrefix(o.shelf(), first) {
				continue
			}
			if more, err := fn(o, e); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// forget lets go of what is remembered of a patient.
func (r *recent) forget(patient string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, patient)
	delete(r.unsure, patient)
}
