// Package subscribers is the register of who can be told and how they are reached: providers from subscribers/*.yaml and
// carers from carers.yaml. Each channel is a folder below; this package knows none of them.
package subscribers

import (
	"context"

	"carehub/events"
)

// A Type is one way of reaching a subscriber: email, webhook, fhir. It owns its part of the YAML.
type Type interface {
	// Open reads one channel's settings and returns where to send. decode fills a struct by its yaml tags, strictly, and
	// reports what it finds wrong itself; Open returns its error as it is. What only this type can judge (a malformed URL)
	// comes back as a *FieldError. Open does not use the network.
	Open(decode func(into any) error) (Endpoint, error)
}

// An Endpoint is one subscriber's address on one channel.
type Endpoint interface {
	// Send makes one attempt and returns nil when the other side has taken the message, else a *events.Failure.
	// It returns soon after ctx ends. It is safe for concurrent use.
	Send(ctx context.Context, d events.Delivery) error
}

// FieldError says which key of a channel's settings is wrong, so that the loader can point at its line and column.
type FieldError struct {
	Field   string // yaml key, such as url
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Subscriber is one team, organisation, carer or duty line.
type Subscriber struct {
	ID       string
	Name     string
	ODS      string // organisation code, may be empty
	Phone    string
	Carer    bool
	Channels []Channel // in order of preference
}

// Channel is an events.Channel with the live endpoint behind it.
type Channel struct {
	events.Channel
	Endpoint Endpoint
}
