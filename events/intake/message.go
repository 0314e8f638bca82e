package intake

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

const (
	maxMessage  = fhir.MaxMessage
	retryBusy   = "3600" // seconds: a person has to decide first
	retryShort  = "5"
	heldMessage = "Saved, but nobody has been told yet: a person here looks at it first, for the patient could not be matched with certainty, " +
		"or you are not set up to send about them. If it is urgent, please phone"
)

// MessageHandler is POST /fhir/$process-message (FHIR R4, 2.4). It answers 200 for an event that is stored, 202 for a
// message that is held for a person, both when they are on disk, and a repeat with the bytes of the first answer: an
// OperationOutcome, or a response Bundle where the sender asked for one. Refusals are the same with the status of their kind.
type MessageHandler struct {
	Receiver *Receiver
	// Authenticate says which system sends: its errors are *events.Error, of kind Forbidden for who is none.
	Authenticate func(*http.Request) (events.Actor, error)
	Hub          func() events.Sender
	Log          *slog.Logger
	// Answered, if set, hears of each answer, as Handler.Answered does; of what is held the answer is "held".
	Answered func(kind events.Kind, answer string)
	// Acknowledge takes what people answer to the hub's own messages.
	Acknowledge Acknowledge
}

// turns bounds how many messages are parsed at once: in memory that takes ten times their bytes.
var turns = make(chan struct{}, 8)

func (h *MessageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by, err := h.Authenticate(r)
	if err != nil {
		h.refuse(w, fhir.Incoming{}, by, err)
		return
	}
	body, err := readMessage(w, r)
	var in fhir.Incoming
	if err == nil {
		select {
		case turns <- struct{}{}:
			in, err = fhir.Receive(body)
			<-turns
		case <-r.Context().Done():
			err = &events.Error{Kind: events.Unavailable, Message: "The hub is too busy. Nothing was saved.", Err: r.Context().Err()}
		}
	}
	if err != nil {
		h.refuse(w, in, by, err)
		return
	}
	// A sender that hangs up must not keep its message from being stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*storeTimeout)
	defer cancel()
	a, v, err := h.Receiver.Receive(ctx, h.message(by, in))
	if err != nil {
		h.refuse(w, in, by, err)
		return
	}
	how := v.how()
	h.Log.Info("message", "system", by.ID, "event", v.Event, "held", v.Held, "answer", how)
	if h.Answered != nil && in.Answering == nil {
		h.Answered(in.Kind, how)
	}
	a.write(w)
}

func (h *MessageHandler) message(by events.Actor, in fhir.Incoming) Message {
	if in.Answering != nil {
		return h.answering(by, in)
	}
	return Message{
		By: by, Envelope: in.Bundle, Form: strings.Join([]string{in.Wanted, in.Event, in.Endpoint}, " "),
		Report: Report{Kind: in.Kind, Because: in.Because, Occurred: in.Occurred, Place: in.Place, Class: in.Class, Words: in.Words, Test: in.Test,
			From: in.From, Patient: in.Patient, Restricted: in.Restricted},
		Answer: func(v Verdict) (Answer, error) {
			status, first := http.StatusOK, fhir.Issue{Severity: "information", Code: "informational",
				Diagnostics: "Saved. Those who should know are being told. Event " + v.Event + ", reference " + events.Ref(v.Event) + "."}
			if v.Held != "" {
				status, first = http.StatusAccepted, fhir.Issue{Severity: "warning", Code: "business-rule",
					Diagnostics: heldMessage + " " + h.Hub().Phone + ". Reference " + v.Held + "."}
			}
			return h.answer(in.Reply, by, status, fhir.ResponseOK, v.At, append([]fhir.Issue{first}, in.Notes...)...)
		},
	}
}

func (h *MessageHandler) answer(to fhir.Reply, by events.Actor, status int, code string, at time.Time, issues ...fhir.Issue) (Answer, error) {
	if !to.WantsBundle(code == fhir.ResponseOK) {
		return Answer{status, fhir.MediaType, fhir.Outcomes(issues...)}, nil
	}
	body, err := to.Respond(h.Hub(), by.ID, code, at, issues...)
	return Answer{status, fhir.MediaType, body}, err
}

// errMedia is in the chain of what is not even FHIR in JSON.
var errMedia = errors.New("unsupported media type")

func (h *MessageHandler) refuse(w http.ResponseWriter, in fhir.Incoming, by events.Actor, err error) {
	kind, issues, status := events.Internal, []fhir.Issue{{Severity: "error", Code: "exception", Diagnostics: "The hub failed. Nothing is known to be saved. Repeat the message, or phone."}}, 0
	var cause error
	if e, ok := asError(err); ok {
		kind, cause = e.Kind, e.Err
		issues = []fhir.Issue{{Severity: "error", Code: fhir.IssueType(kind), Diagnostics: e.Message}}
	}
	if why, ok := errors.AsType[*fhir.Rejected](err); ok {
		kind, issues = why.Kind, why.Issues
		if why.Broken {
			status = http.StatusBadRequest
		}
	}
	if errors.Is(err, errMedia) {
		status = http.StatusUnsupportedMediaType
	}
	code := fhir.ResponseFatal
	switch kind {
	case events.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case events.Unavailable:
		w.Header().Set("Retry-After", retryShort)
		code = fhir.ResponseTransient
	case events.Busy:
		w.Header().Set("Retry-After", retryBusy)
		code = fhir.ResponseTransient
	}
	h.refused(kind, by, issues, cause)
	a, failed := h.answer(in.Reply, by, cmp.Or(status, fhir.StatusOf(kind)), code, time.Now().UTC().Truncate(time.Millisecond), issues...)
	if failed != nil {
		a = Answer{http.StatusInternalServerError, fhir.MediaType, fhir.Outcome("error", "exception", "The hub failed.")}
	}
	a.write(w)
}

func (h *MessageHandler) refused(kind events.ErrorKind, by events.Actor, issues []fhir.Issue, cause error) {
	level := slog.LevelInfo
	if kind == events.Internal || kind == events.Unavailable {
		level = slog.LevelError
	}
	// Neither codes nor expressions hold anything of the message.
	h.Log.Log(context.Background(), level, "message refused", "system", by.ID, "error", kind, "issue", issues[0].Code, "at", issues[0].Expression, "cause", cause)
	if h.Answered != nil {
		h.Answered("", string(kind))
	}
}

func (a Answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.Media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the sender may be gone; a repeat brings it the same answer
}

// readMessage takes a message off the wire.
func readMessage(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	version := cmp.Or(params["fhirversion"], "4.0")
	if err != nil || media != fhir.MediaType && media != "application/json" || !strings.HasPrefix(version, "4.0") ||
		!strings.EqualFold(cmp.Or(params["charset"], "utf-8"), "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return nil, &events.Error{Kind: events.Invalid, Err: errMedia,
			Message: "Send FHIR R4 as JSON in UTF-8, not compressed, with Content-Type: " + fhir.MediaType + ". Nothing was saved."}
	}
	for _, name := range []string{"async", "response-url"} {
		if v := r.URL.Query().Get(name); v != "" && v != "false" {
			return nil, &events.Error{Kind: events.Invalid, Message: "This hub answers at once, and only the request: send it without async and response-url. Nothing was saved."}
		}
	}
	return readBody(w, r, maxMessage)
}

// readBody reads at most so many bytes.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout)) // where the connection has deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	_ = conn.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &events.Error{Kind: events.TooLarge, Message: "The body is larger than " + size(most) + ". Nothing was saved.", Err: err}
	}
	if err != nil {
		return nil, &events.Error{Kind: events.Invalid, Message: "The body did not arrive whole. Nothing was saved.", Err: err}
	}
	return body, nil
}

func size(bytes int64) string {
	if bytes >= 1<<20 {
		return "1 MB"
	}
	return "64 KB"
}
