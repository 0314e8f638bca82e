package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"carehub/events"
)

const recordKey = "hub.archive.volumes"

// record is what the store says of the archive. The shape is a promise.
type record struct {
	V       int    `json:"v"`
	Next    int    `json:"next"`    // number of the next volume
	Volumes []info `json:"volumes"` // oldest first
	// Folded says how far the partitions that still have streams are in volumes.
	Folded map[int]uint64 `json:"folded,omitempty"`
	// Leaving are volumes whose events are in others. They are about to be deleted.
	Leaving []int `json:"leaving,omitempty"`
}

func (a *Archive) record(ctx context.Context) (record, uint64, error) {
	value, revision, ok, err := a.opt.Store.HubGet(ctx, recordKey)
	if err != nil || !ok {
		return record{V: 1, Next: 1}, 0, err
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, 0, unreadable(err)
	}
	if r.V != 1 {
		return r, 0, unreadable(fmt.Errorf("the archive is of version %d; this build reads version 1", r.V))
	}
	return r, revision, nil
}

// update changes the record, again if somebody else was quicker. change may refuse.
func (a *Archive) update(ctx context.Context, change func(*record) error) error {
	for {
		r, revision, err := a.record(ctx)
		if err != nil {
			return err
		}
		if err := change(&r); err != nil {
			return err
		}
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err = a.opt.Store.HubPut(ctx, recordKey, value, revision); events.KindOf(err) != events.Conflict || err == nil {
			return err
		}
	}
}

// number returns the number of a volume that nobody else makes.
func (a *Archive) number(ctx context.Context) (n int, err error) {
	err = a.update(ctx, func(r *record) error {
		n = r.Next
		r.Next++
		return nil
	})
	return n, err
}

// replace puts a volume in the place of those whose events it holds, which must be neighbours still. with none of them
// left it is nil.
func (r *record) replace(old []*volume, with *volume) error {
	first := slices.IndexFunc(r.Volumes, func(i info) bool { return i.Number == old[0].Number })
	if first < 0 || first+len(old) > len(r.Volumes) {
		return errElsewhere
	}
	for i, v := range old {
		if r.Volumes[first+i].Number != v.Number {
			return errElsewhere
		}
		r.Leaving = append(r.Leaving, v.Number)
	}
	var next []info
	if with != nil {
		next = []info{with.info}
	}
	r.Volumes = slices.Replace(r.Volumes, first, first+len(old), next...)
	return nil
}

// errElsewhere says that another process has done this work meanwhile.
var errElsewhere = &events.Error{Kind: events.Conflict, Message: "Another process looks after the archive."}
