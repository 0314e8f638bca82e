// Package signin lets people in: an admin's invitation, a one-time link, signs a carer's phone in, which then stays signed in
// until it has not been used for ninety days, or until the carer is revoked. A passkey, if the carer has made one, gets them back
// in without another link. The staff of organisations sign in where their organisation has them do so, for a shift. There are no
// passwords.
//
// The store holds hashes of what a phone or a link carries, never that itself. All hubs follow the records, so that whoever
// is revoked is out everywhere at once, and so is who is no longer in carers.yaml.
package signin

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// How long what lets somebody in is good for.
const (
	InviteLife  = 7 * 24 * time.Hour  // of an invitation, which is good once
	SessionLife = 90 * 24 * time.Hour // of a session, from its last use
	renewAfter  = 24 * time.Hour      // between two writes of that use
	again       = time.Minute         // how long the same form may be sent again, by a finger that tapped twice
)

// The keys of the records, which end in the SHA-256 of the secret, in hex.
const (
	prefix     = "hub.signin."
	inviteKey  = prefix + "invite."
	sessionKey = prefix + "session."
	passkeyKey = prefix + "passkey." // of the id of the credential, which is no secret
	spentKey   = prefix + "spent."
)

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Options are what a Service needs. All are required.
type Options struct {
	Store Store
	Key   []byte // of what proves that a form is the hub's own
	// Person is a carer as registered now; ok is false for anybody else, who is out at once.
	Person    func(id string) (p events.Person, ok bool)
	Providers func() []Provider // with which staff sign in now; may be none
	HTTP      *http.Client      // that they are asked with
	Hub       func() events.Sender
	// Record puts on record that somebody came or went. It does not wait for that: a carer who cannot sign in cannot log a fall.
	Record func(Entry)
	Clock  func() time.Time
	Log    *slog.Logger
}

// Entry is somebody who has signed in or out.
type Entry struct {
	By   events.Actor
	Name string // of whoever signed in for an organisation
	Out  bool
	How  string // they signed in: invitation, passkey or oidc
	From string // network address of the browser
	At   time.Time
}

// Service knows who is invited and who is signed in. It is safe for concurrent use.
type Service struct {
	Options
	guard guard

	mu       sync.RWMutex
	gates    map[string]*gate   // by subscriber, as of when they were last needed
	invites  map[string]invite  // by hash
	sessions map[string]session // by hash
	passkeys map[string]passkey // by hash of the credential's id
	spent    map[string]spent   // by hash
}

// invite is the record of an invitation. The shape is a promise.
type invite struct {
	V       int       `json:"v"`
	ID      string    `json:"id"` // of the carer
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
	Form    string    `json:"form,omitempty"` // hash of the form that used it
}

// session is the record of a phone that is signed in. The shape is a promise.
type session struct {
	V       int       `json:"v"`
	ID      string    `json:"id"`     // of the carer, or of the subscriber whose staff it is
	Device  string    `json:"device"` // what it seems to be, for people to tell theirs apart
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // to the day

	// Of staff only.
	Kind  events.ActorKind `json:"kind,omitempty"` // none: a carer
	Name  string           `json:"name,omitempty"`
	Terms string           `json:"terms,omitempty"` // that they were let in by
	Until time.Time        `json:"until,omitzero"`
}

const recordVersion = 1

func (i invite) good(now time.Time) bool { return now.Before(i.Created.Add(InviteLife)) }

func (s session) good(now time.Time) bool {
	if !s.Until.IsZero() {
		return now.Before(s.Until)
	}
	return now.Before(s.Seen.Add(SessionLife))
}

// New returns a Service that knows nobody until Follow runs.
func New(o Options) *Service {
	return &Service{Options: o, gates: map[string]*gate{}, invites: map[string]invite{}, sessions: map[string]session{}, passkeys: map[string]passkey{}, spent: map[string]spent{}}
}

// Follow keeps up with invitations and sessions until ctx ends; ready is called when everything stored is known.
func (s *Service) Follow(ctx context.Context, ready func()) error {
	return s.Store.HubWatch(ctx, prefix, ready, s.take)
}

// take takes in a record; one that is gone, or cannot be read, lets nobody in.
func (s *Service) take(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hash, ok := strings.CutPrefix(key, inviteKey); ok {
		takeInto(s.invites, hash, value)
	} else if hash, ok := strings.CutPrefix(key, sessionKey); ok {
		had := s.sessions[hash]
		takeInto(s.sessions, hash, value)
		if have, ok := s.sessions[hash]; ok && have.Seen.Before(had.Seen) { // what this hub wrote before it renewed it, come back late
			s.sessions[hash] = had
		}
	} else if hash, ok := strings.CutPrefix(key, passkeyKey); ok {
		takeInto(s.passkeys, hash, value)
	} else if hash, ok := strings.CutPrefix(key, spentKey); ok {
		takeInto(s.spent, hash, value)
	}
}

func takeInto[T any](all map[string]T, hash string, value []byte) {
	var rec T
	if len(value) == 0 || json.Unmarshal(value, &rec) != nil {
		delete(all, hash)
		return
	}
	all[hash] = rec
}

// fresh is a new secret of 256 bits and its hash.
func fresh() (secret, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	secret = base64.RawURLEncoding.EncodeToString(b)
	return secret, hashOf(secret)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// mac proves that the hub has made something for this purpose.
func (s *Service) mac(purpose, of string) string {
	m := hmac.New(sha256.New, s.Key)
	_, _ = m.Write([]byte(purpose + " " + of)) // never fails
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// put stores a record and takes it in.
func (s *Service) put(ctx context.Context, key string, rec any, revision uint64) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if _, err = s.Store.HubPut(ctx, key, value, revision); err != nil {
		return fmt.Errorf("store who may sign in: %w", err)
	}
	s.take(key, value)
	return nil
}

func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Second) }

// Invite makes an invitation for a carer and returns the address that signs them in, once. It is shown this once; only its
// hash is stored.
func (s *Service) Invite(ctx context.Context, id string) (link string, err error) {
	if _, ok := s.Person(id); !ok {
		return "", &events.Error{Kind: events.NotFound, Message: fmt.Sprintf("%q is not in carers.yaml.", id)}
	}
	secret, hash := fresh()
	if err := s.put(ctx, inviteKey+hash, invite{V: recordVersion, ID: id, Created: s.now()}, 0); err != nil {
		return "", err
	}
	return s.Hub().URL + "/signin/" + secret, nil
}

// Revoked counts what was taken from somebody.
type Revoked struct {
	Sessions    int `json:"sessions"`
	Invitations int `json:"invitations"`
	Passkeys    int `json:"passkeys"`
}

// Revoke signs a carer's phones out and takes their invitations and passkeys back.
func (s *Service) Revoke(ctx context.Context, id string) (gone Revoked, err error) {
	now := s.now()
	s.mu.RLock()
	keys := keysOf(s.invites, inviteKey, func(i invite) bool {
		if i.ID == id && i.Used.IsZero() && i.good(now) {
			gone.Invitations++
		}
		return i.ID == id
	})
	keys = append(keys, keysOf(s.sessions, sessionKey, func(one session) bool {
		if one.ID == id && one.good(now) {
			gone.Sessions++
		}
		return one.ID == id
	})...)
	held := keysOf(s.passkeys, passkeyKey, func(key passkey) bool { return key.ID == id })
	s.mu.RUnlock()
	gone.Passkeys = len(held)
	return gone, s.drop(ctx, slices.Concat(held, keys)) // a passkey would open a session again
}

// keysOf are the keys of the records that are meant.
func keysOf[T any](all map[string]T, prefix string, meant func(T) bool) (keys []string) {
	for hash, one := range all {
		if meant(one) {
			keys = append(keys, prefix+hash)
		}
	}
	return keys
}

func (s *Service) drop(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := s.Store.HubDelete(ctx, key); err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		s.take(key, nil)
	}
	return nil
}

// Device is a phone or computer that somebody has signed in.
type Device struct {
	ID      string    `json:"id"` // of the carer, or of the subscriber whose staff it is
	Device  string    `json:"device"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
}

// Devices are those that are signed in, by carer and age.
func (s *Service) Devices() (all []Device) {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, one := range s.sessions {
		if one.good(now) {
			all = append(all, Device{one.ID, one.Device, one.Created, one.Seen})
		}
	}
	slices.SortFunc(all, func(a, b Device) int { return cmp.Or(cmp.Compare(a.ID, b.ID), a.Created.Compare(b.Created)) })
	return all
}

// Mark stands for a session in records of others, which end with it.
func Mark(of page.Session) string { return events.Hash([]byte("session " + of.CSRF)) }

// Live reports whether a carer is signed in, in the session of a mark.
func (s *Service) Live(id, mark string) bool {
	if _, registered := s.Person(id); !registered {
		return false
	}
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for hash, one := range s.sessions {
		if one.ID == id && one.good(now) && same(Mark(page.Session{CSRF: s.mac("csrf", hash)}), mark) {
			return true
		}
	}
	return false
}

// Tidy drops what has ended, so that the store does not keep who was here years ago.
func (s *Service) Tidy(ctx context.Context) error {
	now := s.now()
	s.mu.RLock()
	keys := slices.Concat(keysOf(s.invites, inviteKey, func(i invite) bool { return !i.good(now) }),
		keysOf(s.sessions, sessionKey, func(one session) bool { return !one.good(now) }),
		keysOf(s.spent, spentKey, func(t spent) bool { return !t.good(now) }))
	s.mu.RUnlock()
	return s.drop(ctx, keys)
}

// begin opens a session and returns its secret, for the cookie.
func (s *Service) begin(ctx context.Context, one session) (secret string, err error) {
	secret, hash := fresh()
	one.V = recordVersion
	return secret, s.put(ctx, sessionKey+hash, one, 0)
}
