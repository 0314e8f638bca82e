package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"carehub/events"
)

const (
	maxBody      = 64 << 10         // bytes of a request
	readTimeout  = 10 * time.Second // for a request's body
	storeTimeout = 10 * time.Second // for its event to be stored
)

// Handler is POST /events. It answers 201 with what View makes of the stored event, 200 with the same when the key was
// seen before, 200 with a Preview for "dry_run": true, and otherwise a Refused with the status of its kind of error.
type Handler struct {
	Intake *Intake
	// Receiver takes in CloudEvents, which get answers of their own.
	Receiver     *Receiver
	Authenticate func(*http.Request) (events.Actor, error)
	// View is the stored event with the states of its recipients as they are now.
	View func(context.Context, events.Stored) (any, error)
	Log  *slog.Logger
	// Answered, if set, hears of each answer: for a stored event its kind and "created" or "repeated", for a refusal no
	// kind and the kind of error. Dry runs are not counted.
	Answered func(kind events.Kind, answer string)
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by, err := h.Authenticate(r)
	if _, known := asError(err); err != nil && !known {
		err = &events.Error{Kind: events.Unauthenticated, Message: "A valid token is needed: Authorization: Bearer …", Err: err}
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == cloudEventJSON {
		h.cloudEvent(w, r, by)
		return
	}
	request, err := read(w, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	// A phone that loses its signal after the tap must not stop the event from being stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	result, err := h.Intake.Log(ctx, by, request)
	switch {
	case err != nil:
		h.refuse(w, err)
	case request.DryRun:
		answer(w, http.StatusOK, previewOf(result))
	default:
		h.stored(ctx, w, result)
	}
}

// stored answers for an event that is on disk: whatever fails from here on, it is saved, and the answer says so.
func (h *Handler) stored(ctx context.Context, w http.ResponseWriter, result Result) {
	e := result.Stored.Record.Event
	view, err := h.View(ctx, result.Stored)
	if err != nil {
		h.Log.Error("stored event cannot be shown", "event", e.ID, "err", err)
		view = map[string]any{
			"id": e.ID, "patient": e.Patient, "kind": e.Kind, "occurred": e.Occurred, "recorded": e.Recorded,
			"rules": result.Stored.Record.Plan.Rules, "recipients": []any{},
			"message": "Saved. Who has been told cannot be shown just now.",
		}
	}
	h.Log.LogAttrs(ctx, slog.LevelInfo, "event", slog.String("event", e.ID), slog.String("kind", string(e.Kind)),
		slog.Bool("created", result.Created), slog.Any("flags", e.Flags))
	w.Header().Set("Location", "/events/"+e.ID)
	status, how := http.StatusOK, "repeated"
	if result.Created {
		status, how = http.StatusCreated, "created"
	}
	h.answered(e.Kind, how)
	answer(w, status, view)
}

// Refused is the JSON of an error.
type Refused struct {
	Error      events.ErrorKind `json:"error"`
	Message    string           `json:"message"`
	Event      string           `json:"event,omitempty"` // on a conflict: the event that the key stands for
	Understood string           `json:"understood,omitempty"`
	Suggestion string           `json:"suggestion,omitempty"`
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	body := Refused{Error: events.Internal, Message: "The hub failed. Nothing is known to be saved. Please phone."}
	var cause error
	if e, ok := asError(err); ok {
		body.Error, body.Message, body.Event, cause = e.Kind, e.Message, e.Event, e.Err
	}
	if !strings.Contains(body.Message, "saved") {
		body.Message += " Nothing was saved."
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		body.Understood, body.Suggestion = refusal.Understood, refusal.Suggestion
	}
	level := slog.LevelInfo
	if body.Error == events.Internal || body.Error == events.Unavailable {
		level = slog.LevelError
	}
	h.Log.Log(context.Background(), level, "event refused", "error", body.Error, "event", body.Event, "cause", cause)
	h.answered("", string(body.Error))
	switch body.Error {
	case events.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case events.Unavailable:
		w.Header().Set("Retry-After", retryShort)
	case events.Busy:
		w.Header().Set("Retry-After", retryBusy)
	}
	answer(w, body.Error.Status(), body)
}

func (h *Handler) answered(kind events.Kind, how string) {
	if h.Answered != nil {
		h.Answered(kind, how)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client may be gone; the key brings it the same answer again
}

// read takes the request off the wire.
func read(w http.ResponseWriter, r *http.Request) (Request, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case binaryMode(r) || media == cloudEventBatch:
		return Request{}, invalid("CloudEvents are taken one by one and in structured mode: the whole event as the body, with Content-Type: " + cloudEventJSON + ".")
	case err != nil || media != "application/json":
		return Request{}, invalid("The body must be JSON, with Content-Type: application/json.")
	}
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return Request{}, err
	}
	request := Request{}
	if err := decode(body, &request); err != nil {
		return Request{}, err
	}
	request.Key = r.Header.Get("Idempotency-Key")
	return request, nil
}

// decode reads a request. What the decoder mends of broken UTF-8, checkText finds.
func decode(body []byte, r *Request) error {
	return members(body, map[string]any{
		"text": &r.Text, "patient": &r.Patient, "kind": &r.Kind, "because": &r.Because, "occurred": &r.Occurred,
		"place": &r.Place, "words": &r.Words, "test": &r.Test, "dry_run": &r.DryRun,
	}, false, `The fields are "text", or "patient", "kind", "because", "occurred" and "place"; and with both "words", "test" and "dry_run".`)
}

// members reads one JSON object strictly: each name as it is written, and once, and known unless more are allowed. The
// standard decoder takes "Patient" for "patient" and lets the last of two win: either could be the wrong person.
func members(body []byte, fields map[string]any, more bool, known string) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return invalid("The body must be one JSON object.")
	}
	seen := map[string]bool{}
	for dec.More() {
		token, _ := dec.Token()
		name, _ := token.(string)
		into, ok := fields[name]
		if !ok && more {
			into, ok = &json.RawMessage{}, true
		}
		if !ok || seen[name] {
			return &Refusal{
				Reason:     invalid("The body has a field that is unknown or given twice."),
				Suggestion: strings.TrimSpace(`It is "` + name + `". ` + known),
			}
		}
		if err := dec.Decode(into); err != nil {
			return invalid(`"` + name + `" is not well-formed, or not of the right type: "test" and "dry_run" are true or false, all else is text.`)
		}
		seen[name] = true
	}
	if _, err := dec.Token(); err != nil {
		return invalid("The body is not well-formed JSON.")
	}
	if _, err := dec.Token(); err != io.EOF {
		return invalid("The body must be one JSON object and nothing after it.")
	}
	return nil
}
