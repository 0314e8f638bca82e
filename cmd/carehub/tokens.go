package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
)

// tokenKey is where the store keeps a token: under its SHA-256, so that the store never holds the token itself.
const tokenKey = "hub.token."

// token is what the store says of one token.
type token struct {
	ID      string           `json:"id"` // of the carer or system that holds it
	Kind    events.ActorKind `json:"kind"`
	Created time.Time        `json:"created"`
	Hash    string           `json:"hash,omitempty"`
}

// hubStore is the part of the store that holds the hub's own records.
type hubStore interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// tokens knows who holds which token. It follows the store, so that a token made or revoked by another process counts at
// once.
type tokens struct {
	store hubStore

	mu     sync.RWMutex
	byHash map[string]token
}

func newTokens(store hubStore) *tokens { return &tokens{store: store, byHash: map[string]token{}} }

// follow keeps the tokens up to date until ctx ends; ready is called when all are known.
func (t *tokens) follow(ctx context.Context, ready func()) error {
	return t.store.HubWatch(ctx, tokenKey, ready, func(key string, value []byte) {
		hash := strings.TrimPrefix(key, tokenKey)
		t.mu.Lock()
		defer t.mu.Unlock()
		var k token
		if len(value) == 0 || json.Unmarshal(value, &k) != nil {
			delete(t.byHash, hash)
			return
		}
		k.Hash = hash
		t.byHash[hash] = k
	})
}

// create makes a token of 160 random bits and returns it. It is shown this once; only its hash is stored.
func (t *tokens) create(ctx context.Context, holder events.Actor) (string, error) {
	secret := make([]byte, 20)
	if _, err := rand.Read(secret); err != nil {
		return "", err
	}
	plain := "care_" + strings.ToLower(base32.StdEncoding.EncodeToString(secret))
	k := token{ID: holder.ID, Kind: holder.Kind, Created: time.Now().UTC().Truncate(time.Second), Hash: hashToken(plain)}
	value, err := json.Marshal(k)
	if err != nil {
		return "", err
	}
	if _, err := t.store.HubPut(ctx, tokenKey+k.Hash, value, 0); err != nil {
		return "", fmt.Errorf("store the token: %w", err)
	}
	t.mu.Lock()
	t.byHash[k.Hash] = k
	t.mu.Unlock()
	return plain, nil
}

// revoke takes back every token of a holder and returns how many there were.
func (t *tokens) revoke(ctx context.Context, id string) (int, error) {
	n := 0
	for _, k := range t.list() {
		if k.ID != id {
			continue
		}
		if err := t.store.HubDelete(ctx, tokenKey+k.Hash); err != nil {
			return n, fmt.Errorf("revoke a token: %w", err)
		}
		t.mu.Lock()
		delete(t.byHash, k.Hash)
		t.mu.Unlock()
		n++
	}
	return n, nil
}

// list returns all tokens, by holder and age.
func (t *tokens) list() []token {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]token, 0, len(t.byHash))
	for _, k := range t.byHash {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b token) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return a.Created.Compare(b.Created)
	})
	return all
}

// authenticate returns who sends a request, by its bearer token (RFC 6750, 2.1). Looking the hash up, not the token,
// leaks nothing through time.
func (t *tokens) authenticate(r *http.Request) (events.Actor, error) {
	scheme, plain, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || plain == "" {
		return events.Actor{}, &events.Error{Kind: events.Unauthenticated, Message: "Send a token: Authorization: Bearer …"}
	}
	t.mu.RLock()
	k, ok := t.byHash[hashToken(strings.TrimSpace(plain))]
	t.mu.RUnlock()
	if !ok {
		return events.Actor{}, &events.Error{Kind: events.Unauthenticated, Message: "This token is not known here, or was revoked."}
	}
	return events.Actor{Kind: k.Kind, ID: k.ID}, nil
}

func hashToken(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// secretKey returns the hub's own random key of this name, making it on first use.
func secretKey(ctx context.Context, store hubStore, name string) ([]byte, error) {
	key := "hub.secret." + name
	for {
		value, _, ok, err := store.HubGet(ctx, key)
		if err != nil || ok {
			return value, err
		}
		fresh := make([]byte, 32)
		if _, err := rand.Read(fresh); err != nil {
			return nil, err
		}
		if _, err := store.HubPut(ctx, key, fresh, 0); err != nil && events.KindOf(err) != events.Conflict {
			return nil, err
		}
	}
}
