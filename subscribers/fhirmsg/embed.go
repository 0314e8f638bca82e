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
// News does not wait for a document that is lost or damaged, which is left out: the message then has other bytes than one of an attempt
// before the loss, but the same from then on.
func embed(ctx context.Context, d events.Delivery) ([]byte, error) {
	some, size := d.Documents[:0:0], 0
	held := map[string][]byte{}
	for _, one := range d.Documents {
		if size += one.Size; size > events.MaxDocument {
			continue
		}
		content, err := d.Open(ctx, one)
		switch {
		case err == nil:
			some, held[one.ID] = append(some, one), content
		case events.KindOf(err) == events.Unavailable || ctx.Err() != nil:
			return nil, err
		}
	}
	return fhir.Embed(d.Message, d.Hub, some, func(one events.Document) ([]byte, error) { return held[one.ID], nil })
}
