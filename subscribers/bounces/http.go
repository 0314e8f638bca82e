package bounces

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"carehub/events"
)

// Door is POST /mail/bounces, where a mail server hands over what came to a return address: the message as it is, as
// message/rfc822. It answers 200 with {"result": …} once the message is not needed any more, whatever it was; 503 if it must be
// sent again; and otherwise
//
//	{"error": kind, "message": words}
type Door struct {
	Bounces *Bounces
	Token   func() string // what the mail server proves itself with, as a bearer token (RFC 6750)
	Log     *slog.Logger
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, err := d.take(w, r)
	if err != nil {
		d.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"result": result})
}

func (d *Door) take(w http.ResponseWriter, r *http.Request) (Result, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !same(strings.TrimSpace(token), d.Token()) {
		return "", &events.Error{Kind: events.Unauthenticated, Message: "Send the token of mail.bounces.post: Authorization: Bearer …"}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "message/rfc822" {
		return "", &events.Error{Kind: events.Invalid, Message: "Send the message as it is, with Content-Type: message/rfc822."}
	}
	message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return "", &events.Error{Kind: events.TooLarge, Message: "The message is larger than 1 MiB. Its first part is enough."}
	}
	if err != nil {
		return "", &events.Error{Kind: events.Invalid, Message: "The message did not arrive whole.", Err: err}
	}
	result, err := d.Bounces.Take(r.Context(), message)
	if err != nil {
		return "", &events.Error{Kind: events.Unavailable, Message: "The message was not taken. Please send it again.", Err: err}
	}
	return result, nil
}

// same compares in constant time. An empty secret is never right.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1 && b != ""
}

func (d *Door) refuse(w http.ResponseWriter, err error) {
	refusal, ok := errors.AsType[*events.Error](err)
	if !ok {
		refusal = &events.Error{Kind: events.Internal, Message: "The hub failed.", Err: err}
	}
	d.Log.Warn("a message for the return address was refused", "error", refusal.Kind, "cause", refusal.Err)
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
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
