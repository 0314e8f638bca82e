// Package oauth lets providers' systems prove who they are by OAuth2 client credentials (RFC 6749, 4.4): with a secret, or
// with a signed assertion as SMART Backend Services have it. Access tokens last five minutes and are bound to the client's
// record, so that revoking the record ends them at once, at every hub.
//
// clients.go has the records, token.go POST /oauth/token, assertion.go and keys.go the signed way of proving, replay.go
// what keeps an assertion from being used twice, access.go the tokens, scope.go what they allow.
package oauth

import (
	"context"
	"net/http"
	"time"

	"carehub/events"
)

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubDelete(ctx context.Context, key string) error
	HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
	HubErase(ctx context.Context, key string, revision uint64) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Server issues access tokens and knows whom they stand for. It is safe for concurrent use.
type Server struct {
	Clients *Clients
	Replays *Replays
	Keys    *Keys
	Secret  []byte               // of the hub, 32 bytes: what seals access tokens
	URL     func() string        // of the hub, without a trailing slash
	Holds   func(id string) bool // whether a system is registered
	Clock   func() time.Time
	// Refused, if set, hears of each refusal, for the log: OAuth's word for it, what the client was told, and the cause. None
	// holds anything that the client sent.
	Refused func(code, words string, cause error)
}

// TokenPath is where access tokens come from.
const TokenPath = "/oauth/token" // #nosec G101 -- a path

// TokenURL is the whole address, which assertions are made out to.
func (s *Server) TokenURL() string { return s.URL() + TokenPath }

// Authenticate is who sends a request by an access token, and what it allows. ours is false for any other token.
func (s *Server) Authenticate(r *http.Request) (by events.Actor, allowed Scopes, ours bool, err error) {
	sealed, ours := bearer(r)
	if !ours {
		return by, nil, false, nil
	}
	t, err := s.open(sealed)
	if err != nil {
		return by, nil, true, &events.Error{Kind: events.Unauthenticated, Message: "This access token is not one of this hub, has expired, or was revoked. Ask for another at " + TokenPath + ".", Err: err}
	}
	return events.Actor{Kind: events.System, ID: t.System}, ParseScopes(t.Scope), true, nil
}
