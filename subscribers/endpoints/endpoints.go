// Package endpoints keeps what the hub has learned of each subscriber's endpoint: that its address was verified, that it is
// paused, and by whom. The admin's files say what an endpoint is; nothing of that is here.
package endpoints

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// prefix of the keys that records are stored under: hub.endpoint.<subscriber>.<channel>.
const prefix = "hub.endpoint."

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Record is what is known of one channel of one subscriber. The zero Record, but for its names, is what nothing is known of.
type Record struct {
	V          int    `json:"v"`
	Rev        uint64 `json:"rev,omitempty"` // one more with each change
	Subscriber string `json:"-"`
	Channel    string `json:"-"` // key of the channel, such as webhook or email-2

	// Target is the Hash of the address that was verified. Another address in the admin's files is not verified by it.
	Target   string    `json:"target,omitempty"`
	Verified time.Time `json:"verified,omitzero"`
	Paused   *Pause    `json:"paused,omitempty"`
	Secret   *Secret   `json:"secret,omitempty"` // of a webhook
	Inbox    Inbox     `json:"inbox,omitzero"`   // of a mailbox
}

// Pause is why nothing is sent to an endpoint for now.
type Pause struct {
	At     time.Time     `json:"at"`
	Reason events.Reason `json:"reason"`
	By     string        `json:"by,omitempty"`     // who paused it, where that was a person: an id of the admin's files
	Target string        `json:"target,omitempty"` // of the endpoint that said it is gone: another is not paused by that
	Told   bool          `json:"told,omitempty"`   // the alarm about it is stored, where there is to be one
}

// recordVersion is the version of the records that this build writes.
const recordVersion = 1

// Hash is how an address stands in a record: records hold no addresses, but for those that the admin's files do not have.
func Hash(address string) string { return events.Hash([]byte("endpoint " + address)) }

// IsVerified reports whether this very address was verified.
func (r Record) IsVerified(address string) bool {
	return !r.Verified.IsZero() && r.Target == Hash(address)
}

// PausedAt is why nothing is sent to the endpoint of a Target for now, nil if it may be.
func (r Record) PausedAt(target string) *Pause {
	if p := r.Paused; p != nil && (p.Target == "" || p.Target == target) {
		return p
	}
	return nil
}

// Verify notes that an address was verified.
func (r *Record) Verify(address string, at time.Time) {
	r.Target, r.Verified = Hash(address), at.UTC().Truncate(time.Second)
}

// Registry knows the records of all endpoints. It follows the store, so that what another process has learned counts at
// once. It is safe for concurrent use.
type Registry struct {
	store Store

	mu      sync.RWMutex
	known   map[string]Record // by key
	changed chan struct{}     // closed and replaced when any of them changes
}

// New returns a registry that knows nothing until Follow runs.
func New(store Store) *Registry {
	return &Registry{store: store, known: map[string]Record{}, changed: make(chan struct{})}
}

// Follow keeps the registry up to date until ctx ends; ready is called when everything stored is known.
func (r *Registry) Follow(ctx context.Context, ready func()) error {
	return r.store.HubWatch(ctx, prefix, ready, func(key string, value []byte) {
		rec, err := decode(key, value)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || len(value) == 0 {
			delete(r.known, key) // what cannot be read is unverified
			r.wake()
			return
		}
		r.learn(key, rec)
	})
}

// learn takes a record in, unless a newer one is known: what this process has changed itself, it knows before the store
// tells it of the change before. Called with the lock held.
func (r *Registry) learn(key string, rec Record) {
	if known, ok := r.known[key]; ok && known.Rev > rec.Rev {
		return
	}
	r.known[key] = rec
	r.wake()
}

// Changed returns a channel that is closed when any record has changed since.
func (r *Registry) Changed() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.changed
}

// wake tells whoever waits for a change. Called with the lock held.
func (r *Registry) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Get is what is known of an endpoint.
func (r *Registry) Get(subscriber, channel string) Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rec := r.known[keyOf(subscriber, channel)]
	rec.Subscriber, rec.Channel = subscriber, channel
	return rec
}

// All returns every record, by subscriber and channel.
func (r *Registry) All() []Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.known), func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Subscriber, b.Subscriber), cmp.Compare(a.Channel, b.Channel))
	})
}

// Change has fn change a record, durably, and returns it as it is then. fn is called again, with what is stored by then,
// when another process has changed it meanwhile; its error ends Change and changes nothing.
func (r *Registry) Change(ctx context.Context, subscriber, channel string, fn func(*Record) error) (Record, error) {
	key := keyOf(subscriber, channel)
	for {
		value, revision, _, err := r.store.HubGet(ctx, key)
		if err != nil {
			return Record{}, fmt.Errorf("read endpoint %s of %s: %w", channel, subscriber, err)
		}
		rec, err := decode(key, value)
		if err != nil {
			return Record{}, err
		}
		if err := fn(&rec); err != nil {
			return Record{}, err
		}
		rec.V, rec.Rev = recordVersion, rec.Rev+1
		if value, err = json.Marshal(rec); err != nil {
			return Record{}, err
		}
		_, err = r.store.HubPut(ctx, key, value, revision)
		if events.KindOf(err) == events.Conflict && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return Record{}, fmt.Errorf("store endpoint %s of %s: %w", channel, subscriber, err)
		}
		r.mu.Lock()
		r.learn(key, rec) // Follow brings it too, a moment later
		r.mu.Unlock()
		return rec, nil
	}
}

func keyOf(subscriber, channel string) string { return prefix + subscriber + "." + channel }

func decode(key string, value []byte) (rec Record, err error) {
	if len(value) > 0 {
		err = json.Unmarshal(value, &rec)
	}
	rec.Subscriber, rec.Channel, _ = strings.Cut(strings.TrimPrefix(key, prefix), ".")
	switch {
	case err != nil:
		return rec, fmt.Errorf("the record of endpoint %s of %s cannot be read: %w", rec.Channel, rec.Subscriber, err)
	case rec.V > recordVersion:
		return rec, fmt.Errorf("the record of endpoint %s of %s is of a newer version, %d", rec.Channel, rec.Subscriber, rec.V)
	}
	return rec, nil
}
