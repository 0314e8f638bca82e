package main

import (
	"log/slog"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/oauth"
)

// newOAuth is who issues access tokens to providers' systems, and knows whom they stand for.
func newOAuth(now inForce, store *stream.Store, secret []byte, log *slog.Logger) *oauth.Server {
	return &oauth.Server{Clients: oauth.NewClients(store), Replays: oauth.NewReplays(roomy{store}, time.Now), Secret: secret, Clock: time.Now,
		Keys: &oauth.Keys{HTTP: now, Clock: time.Now},
		URL:  func() string { return now().hub.URL }, Holds: func(id string) bool { return now().isSystem(id) },
		Refused: func(code, words string, cause error) {
			log.Info("access token refused", "error", code, "said", words, "cause", cause)
		}}
}

// isSystem reports whether an id is that of a registered organisation, whose system may sign in.
func (f *folder) isSystem(id string) bool {
	s, registered := f.register.Lookup(id)
	return registered && !s.Carer
}

// authenticate is who sends a request, by a token of the hub's own or by an OAuth2 access token, and what it allows: of a
// token of the hub's own everything that its holder may do.
func (h *hub) authenticate(r *http.Request) (events.Actor, oauth.Scopes, error) {
	by, scopes, ours, err := h.oauth.Authenticate(r)
	if ours {
		return by, scopes, err
	}
	by, err = h.tokens.authenticate(r)
	return by, oauth.ParseScopes("system/*.cruds"), err
}

// byToken is who sends a request, by a token of the hub's own. Access tokens are for the doors that look at their scopes.
func (h *hub) byToken(r *http.Request) (events.Actor, error) {
	if _, _, ours, _ := h.oauth.Authenticate(r); ours {
		return events.Actor{}, &events.Error{Kind: events.Forbidden, Message: "An OAuth2 access token is good below /fhir only. Use a token made with carehub token create."}
	}
	return h.tokens.authenticate(r)
}

// permits is who sends a request to a FHIR door, if what they signed in with allows this access to this type of resource:
// Unauthenticated or Forbidden otherwise, with whoever it is. Access is some of the letters c, r, u, d and s (SMART App
// Launch 2.2, scopes for requesting FHIR resources). Which patients they may read about, routing says, and this does not.
func (h *hub) permits(r *http.Request, resource, access string) (events.Actor, error) {
	by, scopes, err := h.authenticate(r)
	switch {
	case err != nil:
		return events.Actor{}, err
	case by.Kind != events.System || !h.current().isSystem(by.ID):
		return by, &events.Error{Kind: events.Forbidden, Message: "This is for the systems of providers who are registered here."}
	case !scopes.Allow(resource, access):
		return by, &events.Error{Kind: events.Forbidden, Message: "This needs the scope system/" + resource + "." + access + "."}
	}
	return by, nil
}
