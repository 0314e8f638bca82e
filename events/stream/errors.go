package stream

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// ErrLocked is in the chain of Open's error when another process has the embedded store open.
var ErrLocked = errors.New("the store is in use")

// away is the error of a read.
func away(err error) error {
	return &events.Error{Kind: events.Unavailable, Message: "The store is not available.", Err: err}
}

// unsaved is the error of a write that has certainly not been stored.
func unsaved(err error) error {
	return &events.Error{Kind: events.Unavailable, Message: "The store is not available. Nothing was saved.", Err: err}
}

func closed() error { return away(nats.ErrConnectionClosed) }

func missing() error {
	return &events.Error{Kind: events.NotFound, Message: "There is no such event."}
}

func invalid(message string) error {
	return &events.Error{Kind: events.Invalid, Message: message}
}

func tooLarge(err error) error {
	return &events.Error{Kind: events.TooLarge, Message: "The message is too large. Nothing was saved.", Err: err}
}

// unwritten explains why a write was not acknowledged. When the server may have it, it says that nothing is known.
func unwritten(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
		return tooLarge(err)
	}
	if answered(err) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) {
		return unsaved(err)
	}
	return &events.Error{
		Kind:    events.Unavailable,
		Message: "The store did not answer in time. Nothing is known to be saved; repeat with the same key.",
		Err:     err,
	}
}

// answered reports whether an error is the server's own.
func answered(err error) bool {
	_, is := errors.AsType[*jetstream.APIError](err)
	return is
}

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	for _, code := range codes {
		if ok && api.ErrorCode == code {
			return true
		}
	}
	return false
}
