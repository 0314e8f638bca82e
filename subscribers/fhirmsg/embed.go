package fhirmsg

import (
	"context"

	"carehub/events"
	"carehub/events/fhir"
)

const (
	embedded  = "embedded"
	mostLarge = 8 // messages with documents in them, at once, to all endpoints
)

// turn waits until a message with documents in it may go: each is megabytes in memory.
func (e *endpoint) turn(ctx context.Context) (done func(), err error) {
	select {
	case e.large <- struct{}{}:
		return func() { <-e.large }, nil
	case <-ctx.Done():
		return nil, &events.Failure{Reason: events.ReasonInternal, Err: ctx.Err()}
	}
}

// embed puts the documents that the recipient may have into the message, as far as they fit; the others stay where they can be fetched.
func embed(ctx context.Context, d events.Delivery) ([]byte, error) {
	some, size := d.Documents[:0:0], 0
	for _, one := range d.Documents {
		if size += one.Size; size <= events.MaxDocument {
			some = append(some, one)
		}
	}
	return fhir.Embed(d.Message, d.Hub, some, func(one events.Document) ([]byte, error) { return d.Open(ctx, one) })
}
