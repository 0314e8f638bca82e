package endpoints

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"
)

// Overlap is how long the secret that was in use signs beside a new one.
const Overlap = 24 * time.Hour

// Secret is a webhook's secret that the hub has made. It takes the place of the one in the admin's files until that is
// changed: whoever edits the file has the last word.
type Secret struct {
	InPlaceOf string    `json:"in_place_of"` // hash of the file's
	Value     string    `json:"value"`       // whsec_…
	Before    string    `json:"before,omitempty"`
	At        time.Time `json:"at"`
}

// Verified reports whether this very address of a channel was verified.
func (r *Registry) Verified(subscriber, channel, address string) bool {
	return r.Get(subscriber, channel).IsVerified(address)
}

// Verify notes durably that an address was verified.
func (r *Registry) Verify(ctx context.Context, subscriber, channel, address string) error {
	_, err := r.Change(ctx, subscriber, channel, func(rec *Record) error {
		rec.Verify(address, time.Now())
		return nil
	})
	return err
}

// Secrets returns the secrets that sign now in place of the file's, the newest first; none if the file's do, whose hash is
// given. both says that the file's sign beside them.
func (r *Registry) Secrets(subscriber, channel, hash string) (secrets []string, both bool) {
	s := r.Get(subscriber, channel).Secret
	if s == nil || s.InPlaceOf != hash {
		return nil, false
	}
	secrets = []string{s.Value}
	if time.Since(s.At) >= Overlap {
		return secrets, false
	}
	if s.Before != "" {
		return append(secrets, s.Before), false
	}
	return secrets, true
}

// Rotate makes a new secret, which signs from now on, and returns it. hash is of the file's.
func (r *Registry) Rotate(ctx context.Context, subscriber, channel, hash string) (Secret, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	made := Secret{InPlaceOf: hash, Value: "whsec_" + base64.StdEncoding.EncodeToString(key), At: time.Now().UTC().Truncate(time.Second)}
	_, err := r.Change(ctx, subscriber, channel, func(rec *Record) error {
		made.Before = ""
		if rec.Secret != nil && rec.Secret.InPlaceOf == hash {
			made.Before = rec.Secret.Value
		}
		rec.Secret = &made
		return nil
	})
	return made, err
}
