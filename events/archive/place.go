package archive

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"carehub/events"
)

// At returns the event at a place in the order of acceptance, from the store or from the archive. What has left the store is
// looked for page by page, the newest volumes first: about a second for each million events.
func (a *Archive) At(ctx context.Context, at events.Place) (events.Stored, bool, error) {
	live, _ := a.opt.Store.Layout()
	if slices.ContainsFunc(live, func(p events.Partition) bool { return p.Number == at.Partition }) {
		return a.opt.Store.At(ctx, at.Partition, at.Seq)
	}
	begins := fmt.Appendf(nil, `{"p":%d,"s":%d,`, at.Partition, at.Seq) // as newEntry writes it
	for _, v := range slices.Backward(*a.volumes.Load()) {
		pages := v.reader()
		for n := range v.index {
			all, err := pages.page(ctx, n)
			if err != nil {
				return events.Stored{}, false, err
			}
			if i := slices.IndexFunc(all, func(e entry) bool { return bytes.HasPrefix(e.meta, begins) }); i >= 0 {
				stored, err := all[i].stored()
				return stored, err == nil, err
			}
		}
	}
	return events.Stored{}, false, nil
}
