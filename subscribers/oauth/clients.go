package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Prefix of the keys that clients are stored under: hub.client.<client id>.
const Prefix = "hub.client."

// Client is one system's registration. It holds no secret: of a secret its hash, of a key pair the public half.
type Client struct {
	V       int       `json:"v"`
	ID      string    `json:"-"`
	System  string    `json:"system"` // subscriber id
	Scope   string    `json:"scope"`
	Created time.Time `json:"created"`
	// One of these is how the client proves itself.
	Secret  string              `json:"secret,omitempty"` // SHA-256, in hex
	KeySet  *jose.JSONWebKeySet `json:"jwks,omitempty"`
	KeysURL string              `json:"jwks_uri,omitempty"`
	// Mark is random. Tokens carry it: they end with the record, even if another comes under the same id.
	Mark string `json:"mark"`
}

const clientVersion = 1

// Clients knows the clients. It follows the store, so that one made or revoked by another process counts at once. It is
// safe for concurrent use.
type Clients struct {
	store Store

	mu    sync.RWMutex
	known map[string]Client // by id
}

// NewClients returns clients that are unknown until Follow runs.
func NewClients(store Store) *Clients { return &Clients{store: store, known: map[string]Client{}} }

// Follow keeps the clients up to date until ctx ends; ready is called when all are known.
func (c *Clients) Follow(ctx context.Context, ready func()) error {
	return c.store.HubWatch(ctx, Prefix, ready, func(key string, value []byte) {
		id := strings.TrimPrefix(key, Prefix)
		var client Client
		err := json.Unmarshal(value, &client)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(value) == 0 || err != nil || client.V != clientVersion { // what cannot be read proves nothing
			delete(c.known, id)
			return
		}
		client.ID = id
		c.known[id] = client
	})
}

// Request is what an admin registers.
type Request struct {
	System  string              `json:"system"`
	Scope   string              `json:"scope"`
	KeySet  *jose.JSONWebKeySet `json:"jwks,omitempty"`
	KeysURL string              `json:"jwks_uri,omitempty"`
}

// Created is a new client. The secret is shown this once; a client with keys has none.
type Created struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
}

// Create registers a client, with a secret of 160 random bits unless it has keys of its own.
func (c *Clients) Create(ctx context.Context, r Request, now time.Time) (Created, error) {
	if unknown := strangers(r.Scope); len(unknown) > 0 || r.Scope == "" {
		return Created{}, fmt.Errorf("scope %q is not such as system/*.rs or system/Subscription.crud", strings.Join(unknown, " "))
	}
	if r.KeySet != nil {
		if err := checkKeys(r.KeySet); err != nil {
			return Created{}, err
		}
	}
	made := Created{ID: r.System + "-" + random(5)}
	client := Client{V: clientVersion, System: r.System, Scope: r.Scope, Created: now.UTC().Truncate(time.Second),
		KeySet: r.KeySet, KeysURL: r.KeysURL, Mark: random(10)}
	if r.KeySet == nil && r.KeysURL == "" {
		made.Secret = "cares_" + random(20)
		client.Secret = hashOf(made.Secret)
	}
	value, err := json.Marshal(client)
	if err != nil {
		return Created{}, err
	}
	if _, err := c.store.HubPut(ctx, Prefix+made.ID, value, 0); err != nil {
		return Created{}, fmt.Errorf("store the client: %w", err)
	}
	client.ID = made.ID
	c.mu.Lock()
	c.known[made.ID] = client // Follow brings it too, a moment later
	c.mu.Unlock()
	return made, nil
}

// strangers are the scopes of a list that this server does not know.
func strangers(list string) (unknown []string) {
	for _, text := range strings.Fields(list) {
		if _, ok := parseScope(text); !ok {
			unknown = append(unknown, text)
		}
	}
	return unknown
}

// Revoke takes a client back, and with it every token it was given; found is false if there is none.
func (c *Clients) Revoke(ctx context.Context, id string) (found bool, err error) {
	if _, found = c.Get(id); !found {
		return false, nil
	}
	if err := c.store.HubDelete(ctx, Prefix+id); err != nil {
		return true, fmt.Errorf("revoke a client: %w", err)
	}
	c.mu.Lock()
	delete(c.known, id)
	c.mu.Unlock()
	return true, nil
}

// Get is the client with this id.
func (c *Clients) Get(id string) (Client, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	client, ok := c.known[id]
	return client, ok
}

// All returns the clients, by system and age.
func (c *Clients) All() []Client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.known), func(a, b Client) int {
		return cmp.Or(cmp.Compare(a.System, b.System), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// Proof says how a client proves itself.
func (c Client) Proof() string {
	switch {
	case c.KeysURL != "":
		return "private_key_jwt (jwks_uri)"
	case c.KeySet != nil:
		return "private_key_jwt (jwks)"
	}
	return "client_secret_basic"
}

// hasSecret compares in constant time.
func (c Client) hasSecret(plain string) bool {
	return c.Secret != "" && subtle.ConstantTimeCompare([]byte(hashOf(plain)), []byte(c.Secret)) == 1
}

func hashOf(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// random is n random bytes, in lower-case base32.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}
