package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
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

	mu   sync.Mutex
	ends map[string]time.Time // by key
}

// used is the record of one assertion.
type used struct {
	V    int       `json:"v"`
	Ends time.Time `json:"ends"`
}

// NewReplays returns replays whose records are tidied away once Run runs.
func NewReplays(store Store, clock func() time.Time) *Replays {
	return &Replays{store: store, clock: clock, ends: map[string]time.Time{}}
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
	watching, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.store.HubWatch(watching, replayPrefix, func() {}, r.note) }()
	defer stop()
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return <-ended
		case <-tick.C:
			r.tidy(ctx)
		}
	}
}

func (r *Replays) note(key string, value []byte) {
	var u used
	if len(value) == 0 || json.Unmarshal(value, &u) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[key] = u.Ends
}

// tidy forgets what no hub would take any more. What the store fails to forget is tried again.
func (r *Replays) tidy(ctx context.Context) {
	past := r.clock().Add(-2 * leeway)
	for _, key := range r.over(past) {
		if r.store.HubForget(ctx, key) != nil {
			return
		}
		r.mu.Lock()
		delete(r.ends, key)
		r.mu.Unlock()
	}
}

func (r *Replays) over(past time.Time) (keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, ends := range r.ends {
		if ends.Before(past) {
			keys = append(keys, key)
		}
	}
	return keys
}
