package signup

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// When a patient is forgotten the records of the log that name their events are erased. What is left of each, all numbers and
// the ids of others' events, stands among the hub's records, under the sequence it had: so no subscription has a gap.

// erasedPrefix is where such records stand.
const erasedPrefix = "hub.notices.at."

// placed is a record of the log and its sequence there.
type placed struct {
	seq uint64
	notice
}

// Erased returns what is to stand in the place of a record of the log that names an event for which names says yes: the same
// without its id. It returns nil if the record names none.
func Erased(record []byte, names func(event string) bool) ([]byte, error) {
	rec, err := decodeNotice(0, record)
	if err != nil {
		return nil, err
	}
	found := false
	for i := range rec.Events {
		if names(rec.Events[i].ID) {
			rec.Events[i].ID, found = "", true
		}
	}
	if !found {
		return nil, nil
	}
	return json.Marshal(rec)
}

// loadErased reads what is left of erased records.
func (n *Numbers) loadErased(ctx context.Context) (err error) {
	n.erased = nil
	failed := n.store.HubList(ctx, erasedPrefix, func(key string, value []byte, _ uint64) {
		seq, bad := strconv.ParseUint(strings.TrimPrefix(key, erasedPrefix), 10, 64)
		rec, worse := decodeNotice(seq, value)
		if bad != nil || worse != nil {
			err = fmt.Errorf("record %s cannot be read: %w", key, cmp.Or(bad, worse))
			return
		}
		n.erased = append(n.erased, placed{seq, rec})
	})
	slices.SortFunc(n.erased, func(a, b placed) int { return cmp.Compare(a.seq, b.seq) })
	return cmp.Or(failed, err)
}

// takeErased takes in what is left of the erased records up to a sequence. Called with the lock held.
func (n *Numbers) takeErased(upTo uint64) {
	for len(n.erased) > 0 && n.erased[0].seq <= upTo {
		n.take(n.erased[0].seq, n.erased[0].notice)
		n.erased = n.erased[1:]
	}
}

// dropErased removes what is left of an erased record that is too old.
func (n *Numbers) dropErased(ctx context.Context, seq uint64) error {
	key := erasedPrefix + strconv.FormatUint(seq, 10)
	if _, _, ok, err := n.store.HubGet(ctx, key); err != nil || !ok {
		return err
	}
	return n.store.HubDelete(ctx, key)
}
