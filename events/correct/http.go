package correct

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"carehub/events"
)

const (
	maxBody      = 4 << 10 // bytes of a request
	storeTimeout = 10 * time.Second
	waitFor      = 5 * time.Second // for the correction itself, once it is saved that it is asked for
)

// Handler is POST /events/{id}/correct, for whoever logged the event: 201 with what View makes of the correction, 200 with the same
// when it was asked for before; 202 with its id and "Saved" where the correction itself is still to be made.
type Handler struct {
	Corrections  *Corrections
	Authenticate func(*http.Request) (events.Actor, error)
	// May reports whether somebody may correct an event, and MaySee whether they may know that it is there.
	May, MaySee func(by events.Actor, rec events.Record) bool
	View        func(context.Context, events.Stored) (any, error)
	Log         *slog.Logger
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	st, request, err := h.read(w, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	// Somebody who hangs up after the tap must not stop it from being stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	before, err := h.Corrections.Events.Find(ctx, events.CorrectionID(st.Record.Event.ID))
	known := err == nil
	id, err := h.Corrections.Ask(ctx, st, request)
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Set("Location", "/events/"+id)
	status := http.StatusCreated
	if known {
		status = http.StatusOK
	} else {
		wait, cancel := context.WithTimeout(ctx, waitFor)
		defer cancel()
		before, err = h.Corrections.Wait(wait, id)
	}
	var view any
	if err == nil {
		view, err = h.View(ctx, before)
	}
	if err != nil { // it is saved all the same
		status, view = http.StatusAccepted, map[string]string{"id": id, "message": "Saved. Those who were told are told of the correction."}
	}
	reply(w, status, view)
}

// read returns the event and what is asked of it.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (st events.Stored, request Request, err error) {
	by, err := h.Authenticate(r)
	if _, known := errors.AsType[*events.Error](err); err != nil && !known {
		err = &events.Error{Kind: events.Unauthenticated, Message: "A valid token is needed: Authorization: Bearer …", Err: err}
	}
	if err != nil {
		return st, request, err
	}
	missing := &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
	id := r.PathValue("id")
	if !events.ValidID(id) {
		return st, request, missing
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	st, err = h.Corrections.Events.Find(ctx, id)
	switch {
	case events.KindOf(err) == events.Gone:
		return st, request, err
	case err != nil && events.KindOf(err) != events.NotFound:
		return st, request, &events.Error{Kind: events.Unavailable, Message: "Nothing was saved. Please try again, or phone.", Err: err}
	case err != nil, !h.MaySee(by, st.Record) && !h.May(by, st.Record):
		return st, request, missing
	case !h.May(by, st.Record):
		return st, request, &events.Error{Kind: events.Forbidden, Message: "Only whoever logged it can correct it. Nothing was saved. Please phone them, or us."}
	}
	request, err = decode(w, r)
	request.By = by
	return st, request, err
}

func decode(w http.ResponseWriter, r *http.Request) (request Request, err error) {
	invalid := func(words string) error {
		return &events.Error{Kind: events.Invalid, Message: words + " Nothing was saved."}
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		return request, invalid("Send JSON, as Content-Type: application/json.")
	}
	var body struct {
		Correction events.Correction `json:"correction"`
		Occurred   string            `json:"occurred"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return request, invalid(`The body must be JSON such as {"correction": "wrong-person"}.`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return request, invalid("Something follows the JSON.")
	}
	request.Correction = body.Correction
	if body.Occurred != "" {
		if request.Occurred, err = time.Parse(time.RFC3339, body.Occurred); err != nil || request.Occurred.Year() < 1 {
			return request, invalid(`"occurred" must be a time with its zone as in RFC 3339: 2026-10-25T14:30:00+01:00.`)
		}
	}
	return request, nil
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	refusal, ok := errors.AsType[*events.Error](err)
	if !ok {
		refusal = &events.Error{Kind: events.Internal, Message: "The hub failed. Nothing is known to be saved. Please phone.", Err: err}
	}
	h.Log.Info("correction refused", "error", refusal.Kind, "cause", refusal.Err)
	switch refusal.Kind {
	case events.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case events.Unavailable:
		w.Header().Set("Retry-After", "5")
	}
	body := map[string]any{"error": refusal.Kind, "message": refusal.Message}
	if refusal.Event != "" {
		body["event"] = refusal.Event
	}
	reply(w, refusal.Kind.Status(), body)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone can ask again
}
