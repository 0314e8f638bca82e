package forget

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"carehub/events"
)

// every is how often is looked whether what an erasure waits for has happened.
const every = 5 * time.Second

// Run does the work there is, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		if k.opt.Mine() {
			if _, err := k.Work(ctx); err != nil && ctx.Err() == nil {
				k.opt.Log.Warn("a patient is not erased yet; trying again", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.kick:
		case <-time.After(every):
		}
	}
}

// Work does what can be done of all erasures that have begun. left says that one has to wait: call again later.
func (k *Keeper) Work(ctx context.Context) (left bool, err error) {
	var all []work
	err = k.opt.Store.HubList(ctx, workPrefix, func(_ string, value []byte, _ uint64) {
		var w work
		if json.Unmarshal(value, &w) == nil && w.V == version {
			all = append(all, w)
		}
	})
	for _, w := range all {
		if err != nil {
			break
		}
		var done bool
		done, err = k.erase(ctx, w)
		left = left || !done
	}
	return left, err
}

// erase does all steps for one patient. Each can be done again.
func (k *Keeper) erase(ctx context.Context, w work) (done bool, err error) {
	mark, err := k.mark(ctx, w)
	if err != nil {
		return false, err
	}
	if waiting, err := k.opt.Waiting(ctx, w.Patient); err != nil || len(waiting) > 0 {
		return false, err
	}
	n := namesOf(w.Patient)
	sealed, left, err := k.everything(ctx, n)
	if err != nil || sealed > 0 || left {
		return false, err
	}
	select { // whoever watches the records has to hear that they are gone before the marks of that go, too
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(k.opt.Settle):
	}
	if again, err := k.leftovers(ctx, n); err != nil || again {
		return false, err
	}
	return true, k.finish(ctx, w, mark)
}

// everything erases all that names the patient, and reports what has to wait for the archive.
func (k *Keeper) everything(ctx context.Context, n names) (sealed int, left bool, err error) {
	if _, err := k.opt.Store.EraseAttempts(ctx, n.value); err != nil {
		return 0, false, err
	}
	err = k.opt.Store.EraseNotices(ctx, func(record []byte) ([]byte, error) { return k.opt.Notice(record, n.event) })
	if err != nil {
		return 0, false, err
	}
	if _, err := k.opt.Store.EraseHub(ctx, n.record); err != nil {
		return 0, false, err
	}
	if _, sealed, err = k.opt.Store.EraseEvents(ctx, n.patient, n.about); err != nil {
		return sealed, false, err
	}
	if err := k.opt.Documents(ctx, n.patient); err != nil {
		return sealed, false, err
	}
	left, err = k.opt.Archive(ctx, n.patient)
	return sealed, left, err
}

// leftovers erases the marks of deleted records, and what was written by somebody who did not know yet. again says that there was
// more than marks.
func (k *Keeper) leftovers(ctx context.Context, n names) (again bool, err error) {
	_, err = k.opt.Store.EraseHub(ctx, func(key string, value []byte) bool {
		names := n.record(key, value)
		again = again || names && len(value) > 0 && !strings.HasPrefix(key, copies)
		return names
	})
	if err != nil {
		return true, err
	}
	attempts, err := k.opt.Store.EraseAttempts(ctx, n.value)
	if err != nil {
		return true, err
	}
	return again || attempts > 0, k.opt.Documents(ctx, n.patient)
}

// finish has nothing left but the mark, and the trail of it.
func (k *Keeper) finish(ctx context.Context, w work, mark Erasure) error {
	if err := k.opt.Store.Refresh(ctx, w.Patient); err != nil {
		return err
	}
	key := markPrefix + k.hash(w.Patient)
	_, revision, _, err := k.opt.Store.HubGet(ctx, key)
	if err != nil {
		return err
	}
	mark.Done = k.opt.Clock().UTC().Truncate(time.Second)
	if err := k.opt.Audit(ctx, mark); err != nil {
		return err
	}
	if _, err := put(ctx, k.opt.Store, key, mark, revision); err != nil && events.KindOf(err) != events.Conflict {
		return err
	}
	mine := func(key string, _ []byte) bool { return key == workPrefix+w.ID }
	for range 2 { // the record, then its mark
		if _, err := k.opt.Store.EraseHub(ctx, mine); err != nil {
			return err
		}
	}
	k.opt.Log.Info("a patient was erased", "erasure", strings.ToLower(mark.ID), "took", mark.Done.Sub(mark.At).String())
	return nil
}
