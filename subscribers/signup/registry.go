package signup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
	HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
}

// Registry knows all Subscriptions. It follows the store, so that what another hub has changed counts at once. It is safe
// for concurrent use.
type Registry struct {
	store     Store
	log       *slog.Logger
	activated func(id string) // hears of each that becomes active

	mu      sync.RWMutex
	known   map[string]*Subscription
	owned   map[string][]*Subscription // by owner, by id
	changed chan struct{}              // closed and replaced with each change
}

// NewRegistry returns a registry that knows nothing until Follow runs.
func NewRegistry(store Store, log *slog.Logger, activated func(id string)) *Registry {
	return &Registry{store: store, log: log, activated: activated, known: map[string]*Subscription{}, owned: map[string][]*Subscription{}, changed: make(chan struct{})}
}

// Follow keeps the registry up to date until ctx ends; ready is called when everything stored is known.
func (r *Registry) Follow(ctx context.Context, ready func()) error {
	return r.store.HubWatch(ctx, prefix, ready, func(key string, value []byte) {
		if len(value) == 0 {
			r.put(key[len(prefix):], nil)
			return
		}
		s, err := read(key, value)
		if err != nil {
			r.log.Error("a subscription cannot be read; it is told nothing", "subscription", key[len(prefix):], "error", err.Error())
			return
		}
		r.put(s.ID, s)
	})
}

// Load learns what is stored by now.
func (r *Registry) Load(ctx context.Context) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	known := false
	err := r.Follow(following, func() { known = true; stop() })
	if known {
		return nil
	}
	return err
}

// put takes in a Subscription; nil removes it. What is older than what is known is let be.
func (r *Registry) put(id string, s *Subscription) {
	if r.take(id, s) {
		r.activated(id)
	}
}

func (r *Registry) take(id string, s *Subscription) (activated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.known[id]
	if have != nil && s != nil && s.Version < have.Version {
		return false
	}
	if have != nil {
		r.owned[have.Owner] = slices.DeleteFunc(slices.Clone(r.owned[have.Owner]), func(o *Subscription) bool { return o.ID == id })
		delete(r.known, id)
	}
	if s != nil {
		r.known[id] = s
		of := append(slices.Clone(r.owned[s.Owner]), s)
		slices.SortFunc(of, func(a, b *Subscription) int { return cmp.Compare(a.ID, b.ID) })
		r.owned[s.Owner] = of
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return s != nil && s.Status == Active && have != nil && have.Status != Active
}

// renewFor is how long Renew waits for Follow.
const renewFor = 2 * time.Second

// Renew waits until what is stored of a Subscription by now is known here. Another hub may have made it, or changed it, a
// moment ago.
func (r *Registry) Renew(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, renewFor)
	defer cancel()
	value, _, ok, err := r.store.HubGet(ctx, prefix+id)
	if err != nil || !ok {
		return err
	}
	stored, err := read(prefix+id, value)
	if err != nil {
		return err
	}
	for {
		have, changed := r.seen(id)
		if have != nil && have.Version >= stored.Version {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("version %d of subscription %s is not known here yet: %w", stored.Version, id, ctx.Err())
		}
	}
}

// seen returns a Subscription as it is known here, and a channel that is closed with the next change of any.
func (r *Registry) seen(id string) (have *Subscription, changed <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.known[id], r.changed
}

// Get returns a Subscription; nil if there is none of this id.
func (r *Registry) Get(id string) *Subscription {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.known[id]
}

// Of returns the Subscriptions of a provider, by id.
func (r *Registry) Of(owner string) []*Subscription {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.owned[owner]
}

// all returns every Subscription, and a channel that is closed with the next change.
func (r *Registry) all() (all []*Subscription, changed <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.known {
		all = append(all, s)
	}
	return all, r.changed
}

// create stores a new Subscription.
func (r *Registry) create(ctx context.Context, s *Subscription) error {
	return r.write(ctx, s, 0)
}

func (r *Registry) write(ctx context.Context, s *Subscription, revision uint64) error {
	s.V = recordVersion
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := r.store.HubPut(ctx, prefix+s.ID, value, revision); err != nil {
		return fmt.Errorf("store subscription %s: %w", s.ID, err)
	}
	r.put(s.ID, s) // Follow brings it too, a moment later
	return nil
}

var errNoSubscription = &events.Error{Kind: events.NotFound, Message: "There is no such Subscription."}

// change has fn change a Subscription, durably, and returns it as it is then. fn is called again, with what is stored by
// then, when somebody else has changed it meanwhile; its error ends change and changes nothing.
func (r *Registry) change(ctx context.Context, id string, fn func(*Subscription) error) (*Subscription, error) {
	for {
		value, revision, ok, err := r.store.HubGet(ctx, prefix+id)
		if err != nil {
			return nil, fmt.Errorf("read subscription %s: %w", id, err)
		}
		if !ok {
			return nil, errNoSubscription
		}
		s, err := read(prefix+id, value)
		if err != nil {
			return nil, err
		}
		s.Version++
		if err := fn(s); err != nil {
			return nil, err
		}
		err = r.write(ctx, s, revision)
		if events.KindOf(err) == events.Conflict && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// remove deletes a Subscription if check lets it.
func (r *Registry) remove(ctx context.Context, id string, check func(*Subscription) error) error {
	// What is deleted is first turned off by compare-and-set, so that nobody's change of it is lost unseen.
	_, err := r.change(ctx, id, func(s *Subscription) error {
		s.Status, s.Error, s.Farewell = Off, "", false
		return check(s)
	})
	if err != nil {
		return err
	}
	if err := r.store.HubDelete(ctx, prefix+id); err != nil {
		return fmt.Errorf("delete subscription %s: %w", id, err)
	}
	r.put(id, nil)
	return nil
}

// errStale ends a change that another has made pointless.
var errStale = errors.New("the subscription has changed meanwhile")
