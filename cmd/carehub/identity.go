package main

import (
	"net/http"

	"carehub/events"
)

// authenticate is who sends a request, by a token of the hub's own or by an OAuth2 access token.
func (h *hub) authenticate(r *http.Request) (events.Actor, error) { return h.tokens.authenticate(r) }

// permits is who sends a request to a FHIR door, if what they signed in with allows this access to this type of resource:
// Unauthenticated or Forbidden otherwise. Access is some of the letters c, r, u, d and s (SMART App Launch 2.0, scopes for
// requesting FHIR resources). A token of the hub's own has every scope. Which patients its holder may read about, routing
// says, and this does not.
func (h *hub) permits(r *http.Request, resource, access string) (events.Actor, error) {
	by, err := h.authenticate(r)
	if err != nil {
		return by, err
	}
	if s, registered := h.folder.register.Lookup(by.ID); by.Kind != events.System || !registered || s.Carer {
		return by, &events.Error{Kind: events.Forbidden, Message: "This is for the systems of providers who are registered here."}
	}
	return by, nil
}
