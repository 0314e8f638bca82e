package archive

import (
	"context"
	"iter"

	"carehub/events"
)

// Load writes events that are in no stream as one volume of this level: to fill a store that is to be measured. enter takes
// the volume into the archive, after those entered before. The events come by patient, and of each patient in the order of
// acceptance, after all that the archive will hold of them by then and before all that the streams do; most is how many
// there are at the most. Each has its Outcomes. They are not read again to see that they are there.
func (a *Archive) Load(ctx context.Context, level, most int, all iter.Seq[events.Stored]) (enter func() error, err error) {
	number, err := a.number(ctx)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, a.opt.Store, info{Number: number, Level: level}, most, func(context.Context) error { return nil })
	if err != nil {
		return nil, err
	}
	for st := range all {
		if err := w.load(ctx, st); err != nil {
			return nil, err
		}
	}
	if err := w.close(ctx); err != nil {
		return nil, err
	}
	return func() error {
		return a.update(ctx, func(r *record) error { r.Volumes = append(r.Volumes, w.info); return nil })
	}, nil
}

func (w *writer) load(ctx context.Context, st events.Stored) error {
	e, err := newEntry(st, st.Outcomes)
	if err != nil {
		return err
	}
	return w.add(ctx, outlineOf(st), e)
}
