package archive

import (
	"context"
	"errors"
	"time"

	"carehub/events"
)

// Each calls fn once with every event that was recorded at or after a time and was stored before it is called, in no
// particular order and without its message, until fn fails. It reads a page at a time, and no volume whose newest event is older. Meanwhile the work in the background stands still; what other
// processes move from the store to the archive at that time may be missed.
func (a *Archive) Each(ctx context.Context, since time.Time, fn func(events.Stored) error) error {
	defer a.Pause()()
	if err := a.load(ctx); err != nil {
		return err
	}
	rec, _, err := a.record(ctx)
	if err != nil {
		return err
	}
	for _, v := range *a.volumes.Load() {
		if !v.Newest.IsZero() && v.Newest.Before(since) {
			continue
		}
		if err := v.each(ctx, since, fn); err != nil {
			return err
		}
	}
	live, _ := a.opt.Store.Layout()
	for _, p := range live {
		if err := a.eachStored(ctx, p.Number, rec.Folded[p.Number], since, fn); err != nil {
			return err
		}
	}
	return nil
}

// each reads a volume, a page at a time.
func (v *volume) each(ctx context.Context, since time.Time, fn func(events.Stored) error) error {
	pages := v.reader()
	for n := range v.index {
		all, err := pages.page(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range all {
			o, err := e.outline()
			if err != nil {
				return err
			}
			if o.Record.Event.Recorded.Before(since) {
				continue
			}
			stored, err := e.stored()
			if err != nil {
				return err
			}
			stored.Message = nil
			if err := fn(stored); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachStored reads what a partition holds after a sequence.
func (a *Archive) eachStored(ctx context.Context, p int, after uint64, since time.Time, fn func(events.Stored) error) error {
	last, err := a.lastEvent(ctx, p)
	if err != nil || last <= after {
		return err
	}
	err = a.opt.Store.Read(ctx, p, after, func(st events.Stored) error {
		st.Message = nil
		if !st.Record.Event.Recorded.Before(since) {
			if err := fn(st); err != nil {
				return err
			}
		}
		if st.Seq >= last {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
