package receipts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"carehub/events"
)

// readTimeout is how long the store may take to say how things stand.
const readTimeout = 10 * time.Second

// Handler is GET /events, GET /events/{id} and GET /events/{id}/stream. Errors are answered as
//
//	{"error": kind, "message": words}
//
// An event that is not there and one that the asker may not see are the same 404.
type Handler struct {
	Viewer
	Authenticate func(*http.Request) (events.Actor, error)
	MaySee       func(by events.Actor, e events.Record) bool
	// Resolve returns the patient that somebody means by an id or one of their own aliases; an error where there is none.
	Resolve func(by events.Actor, who string) (patient string, err error)
	// Draining is closed when the server stops: streams then end.
	Draining <-chan struct{}
	Log      *slog.Logger

	// KeepAlive is the time between two signs of life on a quiet stream, 15 s if zero; MaxStreams how many there may be at
	// once, 256 if zero.
	KeepAlive  time.Duration
	MaxStreams int64
	streams    counter
}

// Get answers with the View of one event.
func (h *Handler) Get(w http.ResponseWriter, r *http.Request) {
	stored, err := h.find(r)
	var view View
	if err == nil {
		view, err = h.view(r.Context(), stored)
	}
	if err == nil {
		view.CorrectedBy, err = h.correctedBy(r.Context(), view.ID)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, view)
}

// correctedBy is the event that corrects one, "" if none does.
func (h *Handler) correctedBy(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	next, err := h.Viewer.Source.Find(ctx, events.CorrectionID(id))
	if err != nil && events.KindOf(err) != events.NotFound {
		return "", unreadable(err)
	}
	return next.Record.Event.ID, nil
}

// find returns the event that is asked for, if the asker may see it.
func (h *Handler) find(r *http.Request) (events.Stored, error) {
	by, err := h.authenticate(r)
	if err != nil {
		return events.Stored{}, err
	}
	id := r.PathValue("id")
	if !events.ValidID(id) {
		return events.Stored{}, missing()
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	stored, err := h.Source.Find(ctx, id)
	switch {
	case err != nil && events.KindOf(err) != events.NotFound:
		return events.Stored{}, unreadable(err)
	case err != nil, !h.MaySee(by, stored.Record):
		return events.Stored{}, missing()
	}
	return stored, nil
}

func (h *Handler) authenticate(r *http.Request) (events.Actor, error) {
	by, err := h.Authenticate(r)
	if _, known := errors.AsType[*events.Error](err); err != nil && !known {
		err = &events.Error{Kind: events.Unauthenticated, Message: "A valid token is needed: Authorization: Bearer …", Err: err}
	}
	return by, err
}

func (h *Handler) view(ctx context.Context, s events.Stored) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	view, err := h.View(ctx, s)
	if err != nil {
		return View{}, unreadable(err)
	}
	return view, nil
}

func missing() error {
	return &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
}

func unreadable(err error) error {
	if events.KindOf(err) == events.Gone {
		return err
	}
	return &events.Error{Kind: events.Unavailable, Message: "Who has been told cannot be shown just now. What was saved stays saved.", Err: err}
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	refusal, ok := errors.AsType[*events.Error](err)
	if !ok {
		refusal = &events.Error{Kind: events.Internal, Message: "The hub failed.", Err: err}
	}
	h.Log.Info("read refused", "error", refusal.Kind, "cause", refusal.Err)
	switch refusal.Kind {
	case events.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case events.Unavailable:
		w.Header().Set("Retry-After", "5")
	}
	answer(w, refusal.Kind.Status(), map[string]any{"error": refusal.Kind, "message": refusal.Message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encode(body)) // a client that is gone can ask again
}

// encode writes JSON on one line, with & < > as they are.
func encode(body any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // views and refusals always marshal
	return b.Bytes()
}
