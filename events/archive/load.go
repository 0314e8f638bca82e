package archive

import (
	"context"
	"iter"

	"carehub/events"
)

// Load puts events that are in no stream into the archive, as one volume of this level: to fill a store that is to be
// measured. They come by patient, and of each patient in the order of acceptance, after all that the archive holds of
// them and before all that the streams do; most is how many there are at the most. Each has its Outcomes.
func (a *Archive) Load(ctx context.Context, level, most int, all iter.Seq[events.Stored]) error {
	number, err := a.number(ctx)
	if err != nil {
		return err
	}
	w, err := newWriter(ctx, a.opt.Store, info{Number: number, Level: level}, most, func(context.Context) error { return nil })
	if err != nil {
		return err
	}
	for st := range all {
		e, err := newEntry(st, st.Outcomes)
		if err != nil {
			return err
		}
		o := outline{Partition: st.Partition, Seq: st.Seq}
		ev := &o.Record.Event
		ev.ID, ev.Patient, ev.Kind, ev.Stay = st.Record.Event.ID, st.Record.Event.Patient, st.Record.Event.Kind, st.Record.Event.Stay
		ev.Occurred, ev.Recorded = st.Record.Event.Occurred, st.Record.Event.Recorded
		if err := w.add(ctx, o, e); err != nil {
			return err
		}
	}
	v, err := w.finish(ctx)
	if err != nil {
		return err
	}
	if err := a.update(ctx, func(r *record) error { r.Volumes = append(r.Volumes, v.info); return nil }); err != nil {
		return err
	}
	return a.load(ctx)
}
