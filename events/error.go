package events

import (
	"errors"
	"net/http"
)

// ErrorKind is the closed list of what can go wrong at a door; it stands in API answers as "error".
type ErrorKind string

const (
	Invalid         ErrorKind = "invalid"         // 400, 422 at FHIR doors
	Unauthenticated ErrorKind = "unauthenticated" // 401
	Forbidden       ErrorKind = "forbidden"       // 403
	NotFound        ErrorKind = "not_found"       // 404
	Conflict        ErrorKind = "conflict"        // 409
	Gone            ErrorKind = "gone"            // 410: its patient was forgotten
	TooLarge        ErrorKind = "too_large"       // 413
	Busy            ErrorKind = "busy"            // 429: nothing was saved, there is too much already
	Unavailable     ErrorKind = "unavailable"     // 503: nothing was saved, try again
	Internal        ErrorKind = "internal"        // 500
)

// Status is the HTTP status of a refusal of this kind (RFC 9110, 15). FHIR doors have one of their own for Invalid: see
// fhir.StatusOf.
func (k ErrorKind) Status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Gone:
		return http.StatusGone
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Busy:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is a refusal: a kind for machines, words for people, a cause for the log. Nothing about a patient is in the first
// two.
type Error struct {
	Kind    ErrorKind
	Message string
	Event   string // on Conflict: the event that the key already stands for
	Untried bool   // of a write: it was not even tried, and nothing of it can be there
	Err     error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// IsMissing reports whether err says that something is not there, or not any more.
func IsMissing(err error) bool {
	kind := KindOf(err)
	return err != nil && (kind == NotFound || kind == Gone)
}

// IsUntried reports whether err says that what was to be stored cannot be, now or after a restart of the store.
func IsUntried(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Untried || e.Kind == Invalid || e.Kind == TooLarge)
}

// KindOf returns the kind of the Error in err's chain, or Internal.
func KindOf(err error) ErrorKind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
