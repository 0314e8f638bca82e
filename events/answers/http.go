package answers

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"carehub/events"
)

// Handler is POST /events/{id}/ack: a person's answer, sent by the system or the phone of a recipient.
//
//	{"answer": "seen", "name": "Jo Smith", "role": "nurse", "line": "we'll ring today"}
//
// It answers 200 with the answer that stands. Errors are {"error": kind, "message": words}. An event that is not there and one
// that was not told to whoever asks are the same 404.
type Handler struct {
	Answers      *Answers
	Authenticate func(*http.Request) (events.Actor, error)
	// Row is the row of an event's plan that an actor may answer for; an *events.Error of kind NotFound if there is none.
	Row func(ctx context.Context, by events.Actor, event string) (events.Stored, int, error)
	Log *slog.Logger
}

const maxBody = 8 << 10 // bytes

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ack, err := h.take(w, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, ack)
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request) (events.Ack, error) {
	by, err := h.Authenticate(r)
	if err != nil {
		return events.Ack{}, err
	}
	id := r.PathValue("id")
	if !events.ValidID(id) {
		return events.Ack{}, &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
	}
	st, index, err := h.Row(r.Context(), by, id)
	if err != nil {
		return events.Ack{}, err
	}
	var given struct {
		Answer events.Answer `json:"answer"`
		Name   string        `json:"name"`
		Role   string        `json:"role"`
		Line   string        `json:"line"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil {
		return events.Ack{}, &events.Error{Kind: events.Invalid, Message: `Send {"answer": "seen", "acting" or "declined", "name": …, "role": …, "line": …}.`, Err: err}
	}
	ack := events.Ack{Answer: given.Answer, Name: strings.TrimSpace(given.Name), Role: strings.TrimSpace(given.Role), Line: strings.TrimSpace(given.Line),
		At: h.Answers.Clock().UTC().Truncate(time.Millisecond), Via: "api"}
	return h.Answers.Give(r.Context(), st, index, ack)
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	refused, ok := errors.AsType[*events.Error](err)
	if !ok {
		refused = &events.Error{Kind: events.Internal, Message: "The hub failed. Nothing is known to be saved.", Err: err}
	}
	if refused.Kind == events.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	h.Log.Info("answer refused", "error", string(refused.Kind))
	answer(w, refused.Kind.Status(), map[string]any{"error": refused.Kind, "message": refused.Message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone asks again
}
