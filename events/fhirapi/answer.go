package fhirapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// refusal is an error whose status is not that of its kind.
type refusal struct {
	status int
	error
}

func (r *refusal) Unwrap() error { return r.error }

// refuseWith is a request that cannot be answered, with a status that says why.
func refuseWith(status int, message string) error {
	return &refusal{status, &events.Error{Kind: events.Invalid, Message: message}}
}

// wrong is a request that cannot be understood: 400, for it is the URL that is wrong and not a resource.
func wrong(message string) error {
	return refuseWith(http.StatusBadRequest, message)
}

func missing() error {
	return &events.Error{Kind: events.NotFound, Message: "There is no such resource here for you."}
}

func unreadable(err error) error {
	return &events.Error{Kind: events.Unavailable, Message: "This cannot be read just now. Please try again.", Err: err}
}

// refuse answers with an OperationOutcome.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*events.Error](err)
	if !ok {
		e = &events.Error{Kind: events.Internal, Message: "The hub failed.", Err: err}
	}
	status := fhir.StatusOf(e.Kind)
	if special, ok := errors.AsType[*refusal](err); ok {
		status = special.status
	}
	switch e.Kind {
	case events.Unauthenticated, events.Forbidden:
		w.Header().Set("WWW-Authenticate", challenge(r, e.Kind))
	case events.Unavailable:
		w.Header().Set("Retry-After", "5")
	}
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.Log.Log(r.Context(), level, "fhir refused", "error", e.Kind, "status", status, "cause", e.Err)
	a.answer(w, r, status, fhir.Outcome("error", fhir.IssueType(e.Kind), e.Message))
}

// challenge says how to sign in, and what was wrong with how the client did (RFC 6750, 3).
func challenge(r *http.Request, kind events.ErrorKind) string {
	switch {
	case kind == events.Forbidden:
		return `Bearer realm="carehub", error="insufficient_scope"`
	case r.Header.Get("Authorization") != "":
		return `Bearer realm="carehub", error="invalid_token"`
	}
	return `Bearer realm="carehub"`
}

// Elsewhere answers what no route takes below the base: with the methods that there are, or as not found.
func (a *API) Elsewhere(allowed func(r *http.Request) []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if methods := allowed(r); len(methods) > 0 {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			a.refuse(w, r, refuseWith(http.StatusMethodNotAllowed, "This can be asked for by "+strings.Join(methods, ", ")+" only."))
			return
		}
		a.refuse(w, r, &events.Error{Kind: events.NotFound, Message: "This is not served here: see " + base + "/metadata."})
	}
}

// answerResource answers a read, or says that the client has it already (R4, 3.1.0.4.1 and RFC 9110, 13).
func (a *API) answerResource(w http.ResponseWriter, r *http.Request, found fhir.Resource) {
	tag := `W/"` + found.Version + `"`
	w.Header().Set("ETag", tag)
	if !found.Updated.IsZero() {
		w.Header().Set("Last-Modified", found.Updated.UTC().Format(http.TimeFormat))
	}
	if unchanged(r, tag, found.Updated) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	a.answer(w, r, http.StatusOK, found.JSON)
}

// unchanged reports whether a condition says that the client has this version.
func unchanged(r *http.Request, tag string, updated time.Time) bool {
	if conditions := r.Header.Values("If-None-Match"); len(conditions) > 0 {
		opaque := strings.TrimPrefix(tag, "W/")
		for condition := range strings.SplitSeq(strings.Join(conditions, ","), ",") {
			if c := strings.TrimSpace(condition); c == "*" || strings.TrimPrefix(c, "W/") == opaque {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !updated.IsZero() && !updated.Truncate(time.Second).After(since)
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Type", fhir.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone can ask again
	}
}

// encode writes JSON on one line, with & < > as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// acceptable refuses a client that wants what the hub does not write: 406. _format goes before the header (R4, 3.1.0.1.11).
func acceptable(r *http.Request, format string) error {
	switch format {
	case "json", fhir.MediaType, "application/json", "text/json":
		return nil
	case "":
		if wanted := strings.Join(r.Header.Values("Accept"), ","); wanted == "" || accepts(wanted) {
			return nil
		}
	}
	return refuseWith(http.StatusNotAcceptable, "The hub writes FHIR R4 in JSON only: "+fhir.MediaType+".")
}

func accepts(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64); err != nil || q == 0 {
			continue
		}
		if v := parameters["fhirversion"]; v != "" && !strings.HasPrefix(v, "4.0") {
			continue
		}
		switch kind {
		case fhir.MediaType, "application/json", "text/json", "application/*", "*/*":
			return true
		}
	}
	return false
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// access is the beginning of what the audit trail has of a request.
func (a *API) access(r *http.Request, interaction, resource string) Access {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	access := Access{Interaction: interaction, Type: resource, From: from, At: a.Clock()}
	if id := r.Header.Get("X-Request-Id"); requestID.MatchString(id) {
		access.Request = id
	}
	return access
}

// audited puts an access on record, with what is to be answered, and returns that, or that it could not. Nobody who did
// not sign in is recorded.
func (a *API) audited(ctx context.Context, access *Access, answer error) error {
	if access.By.ID == "" {
		return answer
	}
	if answer != nil {
		access.Refused = events.KindOf(answer)
	}
	if err := a.Audit(ctx, *access); err != nil {
		return &events.Error{Kind: events.Unavailable, Message: "Nothing is shown that cannot be put on record. Please try again.", Err: err}
	}
	return answer
}
