package oauth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Limits of keys that are fetched.
const (
	maxKeySet    = 64 << 10         // bytes
	maxKeys      = 32               // of one client
	fetchTimeout = 5 * time.Second  // for one fetch
	keysFresh    = 10 * time.Minute // a set counts as what it was; a key taken out of it counts no longer than this
	keysPause    = 30 * time.Second // between two fetches of one address, so that nobody can have the hub fetch on and on
)

// Keys finds the public keys of clients, and fetches those that are kept elsewhere.
type Keys struct {
	HTTP interface { // dials under the egress guard, and follows no redirect
		Do(*http.Request) (*http.Response, error)
	}
	Clock func() time.Time

	mu   sync.Mutex
	sets map[string]*fetchedSet // by address
}

// fetchedSet is what came from one address. Its lock is held while it is fetched: others wait for the same answer.
type fetchedSet struct {
	mu    sync.Mutex
	set   jose.JSONWebKeySet
	tried time.Time
	at    time.Time // of set; zero if there is none
}

// checkKeys makes sure that a set has keys that can be used, and nothing that should have stayed secret.
func checkKeys(set *jose.JSONWebKeySet) error {
	usable := 0
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return errors.New("the key set holds a private key: register the public half only, and make new keys, for this one has been seen")
		}
		if algorithmOf(k) != "" && k.KeyID != "" {
			usable++
		}
	}
	switch {
	case len(set.Keys) > maxKeys:
		return fmt.Errorf("the key set holds more than %d keys", maxKeys)
	case usable == 0:
		return errors.New("the key set holds no key with a kid that fits: RSA with 2048 bits or more for RS384, or EC P-384 for ES384")
	}
	return nil
}

// algorithmOf is what a key signs with; "" if it is of no use here.
func algorithmOf(k jose.JSONWebKey) jose.SignatureAlgorithm {
	if k.Use != "" && k.Use != "sig" || !k.Valid() {
		return ""
	}
	var fits jose.SignatureAlgorithm
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= 2048 {
			fits = jose.RS384
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P384() {
			fits = jose.ES384
		}
	}
	if k.Algorithm != "" && k.Algorithm != string(fits) {
		return ""
	}
	return fits
}

// ParseKeys reads a JWKS as an admin registers it.
func ParseKeys(b []byte) (*jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if len(b) > maxKeySet {
		return nil, errors.New("the key set is larger than 64 KB")
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("this is not a JWKS (RFC 7517): %w", err)
	}
	return &set, checkKeys(&set)
}

// find is the client's key of this id for an algorithm. A key that is not in a fetched set may be new there: the set is
// fetched again.
func (k *Keys) find(ctx context.Context, c Client, kid string, algorithm jose.SignatureAlgorithm) (any, error) {
	if c.KeySet != nil {
		return pick(*c.KeySet, kid, algorithm)
	}
	if c.KeysURL == "" {
		return nil, errors.New("the client has no keys")
	}
	f := k.of(c.KeysURL)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := k.Clock()
	if now.Sub(f.at) < keysFresh {
		if key, err := pick(f.set, kid, algorithm); err == nil {
			return key, nil
		}
	}
	if now.Sub(f.tried) >= keysPause {
		f.tried = now
		set, err := k.fetch(ctx, c.KeysURL)
		if err != nil {
			return nil, err
		}
		f.set, f.at = *set, now
	}
	if now.Sub(f.at) >= keysFresh {
		return nil, errors.New("the client's keys could not be fetched a moment ago")
	}
	return pick(f.set, kid, algorithm)
}

func pick(set jose.JSONWebKeySet, kid string, algorithm jose.SignatureAlgorithm) (any, error) {
	for _, key := range set.Key(kid) {
		if algorithmOf(key) == algorithm {
			return key.Key, nil
		}
	}
	return nil, errors.New("the client has no key with this kid and algorithm")
}

func (k *Keys) of(address string) *fetchedSet {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sets == nil {
		k.sets = map[string]*fetchedSet{}
	}
	if k.sets[address] == nil {
		k.sets[address] = &fetchedSet{}
	}
	return k.sets[address]
}

// fetch gets a key set. Its errors hold no address and nothing of the answer.
func (k *Keys) fetch(ctx context.Context, address string) (*jose.JSONWebKeySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the address of the keys cannot be used")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the keys could not be fetched (%T)", cmp.Or(errors.Unwrap(err), err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the keys' address answers %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, errors.New("the keys did not arrive whole")
	}
	set, err := ParseKeys(body)
	if err != nil {
		return nil, errors.New("the keys' address answers with no usable key set")
	}
	return set, nil
}
