package main

import (
	"net/http"
)

// healthz says whether the process lives. It asks nothing of the store: starting the hub anew does not mend that.
func (h *hub) healthz(w http.ResponseWriter, _ *http.Request) {
	body, status := map[string]any{"alive": true}, http.StatusOK
	if err := h.pulse.alive(); err != nil {
		body, status = map[string]any{"alive": false, "why": err.Error()}, http.StatusServiceUnavailable
	}
	reply(w, status, body)
}

// readyz says whether the hub can do its work, and if not why, with a fresh look at everything.
func (h *hub) readyz(w http.ResponseWriter, r *http.Request) {
	found := h.pulse.look(r.Context())
	checks := map[string]bool{}
	for _, c := range found.checks {
		checks[c.name] = c.ok
	}
	body := map[string]any{"ready": found.ready(), "checks": checks, "parked": found.health.Parked,
		"oldest_seconds": int(found.health.Oldest.Seconds()), "alarms_unheard": found.health.Unheard, "lost": found.health.Lost}
	if h.leases != nil { // a hub that delivers nothing takes events all the same
		held, _ := h.leases.Owned()
		body["partitions"] = len(held)
	}
	status := http.StatusOK
	if !found.ready() {
		status = http.StatusServiceUnavailable
		body["why"] = found.why()
	}
	reply(w, status, body)
}
