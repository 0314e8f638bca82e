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

// A Verifiable is an Endpoint that has to prove that it is meant to be told, once for each address, before it is told
// anything clinical. subscriber and channel (a key) say whose it is.
type Verifiable interface {
	Verified(subscriber, channel string) bool
	// Verify asks for the proof now, whether or not it was given before. nil: it was given, and is remembered; else the
	// error is a *events.Failure. answered, unless nil, hears what the other side said.
	Verify(ctx context.Context, subscriber, channel string, answered func(events.Reply)) error
}

// An Addressed is an Endpoint that can say it is gone for good: whatever has another address is another one.
type Addressed interface {
	// Target tells the address from any other, and tells nobody what it is.
	Target() string
}

// Target is the Target of an endpoint, empty where it is not Addressed.
func Target(e Endpoint) string {
	if a, ok := e.(Addressed); ok {
		return a.Target()
	}
	return ""
}

// A Signed is an Endpoint whose messages are signed with a secret that the hub can change by itself.
type Signed interface {
	// SecretHash tells the secrets of the admin's files from any others.
	SecretHash() string
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
	// Quiet is when they are not told what can wait; nil: never. Without a Zone it is the hub's.
	Quiet *events.Quiet
	// Language is the one they are written to in: en, cy, or "" for English.
	Language string
}

// Channel is an events.Channel with the live endpoint behind it.
type Channel struct {
	events.Channel
	Endpoint Endpoint
	Limits   Limits
}

// Limits are how fast an endpoint may be told.
type Limits struct {
	Rate        int // attempts a minute; 0: no limit
	Concurrency int // attempts in flight; 0: what the engine thinks fit
}

// The most that Limits can say.
const (
	MaxRate        = 60_000
	MaxConcurrency = 32
)
