package main

import (
	"net/http"
	"time"
)

// healthz says whether the process lives. It asks nothing of the store: starting the hub anew does not mend that.
func (h *hub) healthz(w http.ResponseWriter, _ *http.Request) {
	body, status := map[string]any{"alive": true}, http.StatusOK
	if err := h.pulse.alive(); err != nil {
		body, status = map[string]any{"alive": false, "why": err.Error()}, http.StatusServiceUnavailable
	}
	reply(w, status, body)
}

// configuration says how what is on disk stands to what is in force. A hub whose files are broken does its work.
func (h *hub) configuration() map[string]any {
	s := h.reloads.state()
	said := map[string]any{"ok": s.ok(), "source": s.Source, "rules": s.Rules, "folder": s.Hash, "since": s.Since.UTC().Format(time.RFC3339)}
	if !s.ok() {
		said["why"] = "the files on disk cannot be used, and the last good ones are in force: carehub check says what is wrong"
	}
	if len(s.Gaps) > 0 {
		said["gaps"] = len(s.Gaps)
	}
	if len(s.Waiting) > 0 {
		said["waiting_for_restart"] = s.Waiting
	}
	return said
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
	body["configuration"] = h.configuration()
	status := http.StatusOK
	if !found.ready() {
		status = http.StatusServiceUnavailable
		body["why"] = found.why()
	}
	reply(w, status, body)
}
