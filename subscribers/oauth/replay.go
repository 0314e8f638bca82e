package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"carehub/events"
)

// replayPrefix of the keys that used assertions are stored under, by a hash of client and jti.
const replayPrefix = "hub.jti."

// tidyEvery is the time between two looks for records that have had their time.
const tidyEvery = time.Minute

// Replays remembers which assertions were used, in the store, so that no hub takes what another has taken.
type Replays struct {
	store Store
	clock func() time.Time
}

// used is the record of one assertion.
type used struct {
	V    int       `json:"v"`
	Ends time.Time `json:"ends"`
}

// NewReplays returns replays whose records are tidied away once Run runs.
func NewReplays(store Store, clock func() time.Time) *Replays {
	return &Replays{store: store, clock: clock}
}

var errReplayed = errors.New("the assertion was used before")

// Use marks an assertion as used until it ends by itself. It fails with errReplayed the second time, and with Unavailable
// where the store cannot say.
func (r *Replays) Use(ctx context.Context, client, jti string, ends time.Time) error {
	value, err := json.Marshal(used{V: 1, Ends: ends.UTC()})
	if err != nil {
		return err
	}
	key := replayPrefix + events.Hash([]byte(client+"\x00"+jti))
	_, err = r.store.HubPut(ctx, key, value, 0)
	if events.KindOf(err) == events.Conflict && err != nil {
		return errReplayed
	}
	return err
}

// Run tidies away what has had its time, of whichever hub, until ctx ends.
func (r *Replays) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = r.tidy(ctx) // what is left over is looked at again
		}
	}
}

// tidy erases what no hub would take any more.
func (r *Replays) tidy(ctx context.Context) error {
	past := r.clock().Add(-2 * leeway)
	over := map[string]uint64{}
	err := r.store.HubList(ctx, replayPrefix, func(key string, value []byte, revision uint64) {
		var u used
		if json.Unmarshal(value, &u) == nil && u.Ends.Before(past) {
			over[key] = revision
		}
	})
	for key, revision := range over {
		err = errors.Join(err, r.store.HubErase(ctx, key, revision))
	}
	return err
}
