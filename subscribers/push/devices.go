package push

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// prefix of the keys that records are stored under: hub.push.<carer>.<hash of the address>.
const prefix = "hub.push."

// mostDevices is how many browsers of one carer are told.
const mostDevices = 10

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Device is the record of a browser that wants to be told (Push API, PushSubscription). Its address is a secret: whoever
// knows it can have the push service deliver. The shape is a promise.
type Device struct {
	V        int       `json:"v"`
	Endpoint string    `json:"endpoint"`
	P256DH   string    `json:"p256dh"` // public key, base64url
	Auth     string    `json:"auth"`   // secret, base64url
	Lang     page.Lang `json:"lang"`
	Session  string    `json:"session"` // mark of the one in which it asked
	Created  time.Time `json:"created"`
}

const recordVersion = 1

// keys are the browser's, decoded. Some browsers pad them.
func (d Device) keys() (p256dh, auth []byte, err error) {
	p256dh, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(d.P256DH, "="))
	if err == nil {
		auth, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(d.Auth, "="))
	}
	if err != nil {
		return nil, nil, errors.New("the keys of the browser are not base64url")
	}
	return p256dh, auth, nil
}

// hash stands for the device's address in its key.
func (d Device) hash() string { return events.Hash([]byte("push " + d.Endpoint)) }

// DeviceOptions are what Devices need. All are required.
type DeviceOptions struct {
	Store Store
	// Live reports whether a carer is signed in, in the session of a mark. A device whose session has ended, or was revoked, is
	// told nothing.
	Live  func(carer, mark string) bool
	Clock func() time.Time
}

// Devices knows the browsers of all carers. It follows the store, so that a browser that came or went at another hub counts
// at once. It is safe for concurrent use.
type Devices struct {
	DeviceOptions

	mu    sync.RWMutex
	known map[string]Device // by key
}

// NewDevices knows nobody until Follow runs.
func NewDevices(o DeviceOptions) *Devices {
	return &Devices{DeviceOptions: o, known: map[string]Device{}}
}

// Follow keeps up with the records until ctx ends; ready is called when everything stored is known.
func (s *Devices) Follow(ctx context.Context, ready func()) error {
	return s.Store.HubWatch(ctx, prefix, ready, s.take)
}

func (s *Devices) take(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d Device
	if len(value) == 0 || json.Unmarshal(value, &d) != nil || d.V > recordVersion {
		delete(s.known, key)
		return
	}
	s.known[key] = d
}

// of are the devices of a carer that may be told, oldest first.
func (s *Devices) of(carer string) (all []Device) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key, d := range s.known {
		if strings.HasPrefix(key, prefix+carer+".") && s.Live(carer, d.Session) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Device) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return all
}

// add has a device be told from now on. It is of one carer only: whoever signed in last on a shared one.
func (s *Devices) add(ctx context.Context, carer string, d Device) error {
	key := prefix + carer + "." + d.hash()
	d.V, d.Created = recordVersion, s.Clock().UTC().Truncate(time.Second)
	others := s.keysOf(d.hash())
	if have := s.of(carer); !slices.Contains(others, key) && len(have) >= mostDevices {
		return &events.Error{Kind: events.Invalid, Message: fmt.Sprintf("%d browsers of yours are told already, which is the most.", mostDevices)}
	}
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other != key {
			if err := s.drop(ctx, other); err != nil {
				return err
			}
		}
	}
	for {
		_, revision, _, err := s.Store.HubGet(ctx, key)
		if err != nil {
			return fmt.Errorf("read a device: %w", err)
		}
		_, err = s.Store.HubPut(ctx, key, value, revision)
		if events.KindOf(err) == events.Conflict && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("store a device: %w", err)
		}
		s.take(key, value) // Follow brings it too, a moment later
		return nil
	}
}

// keysOf are the keys of all records of one device.
func (s *Devices) keysOf(hash string) (keys []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key := range s.known {
		if strings.HasSuffix(key, "."+hash) {
			keys = append(keys, key)
		}
	}
	return keys
}

// remove has a device be told no more. One that is not known is no error.
func (s *Devices) remove(ctx context.Context, carer string, d Device) error {
	return s.drop(ctx, prefix+carer+"."+d.hash())
}

func (s *Devices) drop(ctx context.Context, key string) error {
	s.mu.RLock()
	_, known := s.known[key]
	s.mu.RUnlock()
	if !known {
		return nil
	}
	if err := s.Store.HubDelete(ctx, key); err != nil {
		return fmt.Errorf("forget a device: %w", err)
	}
	s.take(key, nil)
	return nil
}

// Tidy forgets the devices that are told nothing any more. What is new is left alone: of its session another hub may not know
// yet.
func (s *Devices) Tidy(ctx context.Context) error {
	s.mu.RLock()
	var ended []string
	for key, d := range s.known {
		carer, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), ".")
		if !s.Live(carer, d.Session) && s.Clock().Sub(d.Created) > 24*time.Hour {
			ended = append(ended, key)
		}
	}
	s.mu.RUnlock()
	for _, key := range ended {
		if err := s.drop(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
