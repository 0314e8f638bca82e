package push

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// Handler is where the scripts of a carer's pages turn notes on and off for the browser that they run in.
type Handler struct {
	Channel *Channel
	// Required lets only those in who are signed in, with the proof that the hub's own page asks for what changes something.
	Required func(func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc
	// Mark stands for the session of whoever asks.
	Mark func(page.Session) string
	Log  *slog.Logger
}

const (
	maxBody  = 8 << 10 // bytes of a subscription
	storeFor = 10 * time.Second
)

// Routes are the addresses.
func (h Handler) Routes(handle func(pattern string, do func(http.ResponseWriter, *http.Request))) {
	handle("GET /push/key", h.Required(h.key))
	handle("POST /push/devices", h.Required(h.add))
	handle("DELETE /push/devices", h.Required(h.remove))
}

// key is what a browser subscribes with.
func (h Handler) key(w http.ResponseWriter, _ *http.Request, _ page.Session) {
	answer(w, http.StatusOK, map[string]string{"key": h.Channel.keys.public})
}

// subscription is a PushSubscription as browsers write it (Push API, toJSON).
type subscription struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256DH string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

func (h Handler) add(w http.ResponseWriter, r *http.Request, who page.Session) {
	d, err := h.read(w, r)
	if err == nil {
		err = h.check(d)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), storeFor)
		defer cancel()
		d.Session = h.Mark(who)
		err = h.Channel.devices.add(ctx, who.Actor.ID, d)
	}
	h.done(w, err)
}

func (h Handler) remove(w http.ResponseWriter, r *http.Request, who page.Session) {
	d, err := h.read(w, r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), storeFor)
		defer cancel()
		err = h.Channel.devices.remove(ctx, who.Actor.ID, d)
	}
	h.done(w, err)
}

func (h Handler) read(w http.ResponseWriter, r *http.Request) (Device, error) {
	var s subscription
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&s); err != nil || s.Endpoint == "" {
		return Device{}, &events.Error{Kind: events.Invalid, Message: "Send the subscription of a browser, as JSON."}
	}
	return Device{Endpoint: s.Endpoint, P256DH: s.Keys.P256DH, Auth: s.Keys.Auth, Lang: page.LangOf(r)}, nil
}

// check refuses what could never be told.
func (h Handler) check(d Device) error {
	if _, err := h.Channel.target(d.Endpoint); err != nil {
		return &events.Error{Kind: events.Invalid, Message: "The hub cannot reach the push service of this browser."}
	}
	browser, auth, err := d.keys()
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(browser)
	}
	if err != nil || len(auth) != 16 {
		return &events.Error{Kind: events.Invalid, Message: "The keys of this browser cannot be used."}
	}
	return nil
}

func (h Handler) done(w http.ResponseWriter, err error) {
	if err == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	refusal, ok := errors.AsType[*events.Error](err)
	if !ok {
		h.Log.Error("a carer's browser could not be noted", "error", err.Error())
		refusal = &events.Error{Kind: events.Unavailable, Message: "This does not work just now. Please try again."}
	}
	answer(w, refusal.Kind.Status(), map[string]string{"error": string(refusal.Kind), "message": strings.TrimSpace(refusal.Message)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a browser that is gone asks again
}
