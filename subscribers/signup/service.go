// Package signup lets the systems of providers subscribe themselves: FHIR Subscriptions as the Subscriptions R5 Backport
// guide (1.1.0) has them for R4. A Subscription says what a provider's system wants to be told of, where, and how much;
// whom it may be told of is decided by the routing rules alone, when it is made and again at every send.
//
// The files: record.go and registry.go what is stored, parse.go and topic.go what a request means, http.go and
// operations.go the doors, numbers.go and history.go which number each event has, endpoint.go and batch.go what the engine
// sends by, keeper.go handshakes, heartbeats and ends.
package signup

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// Client sends requests; it must not follow redirects, and must refuse to dial where the hub may not.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Desk is what the configuration in force says of providers and patients.
type Desk interface {
	// Provider returns an organisation that is registered now.
	Provider(id string) (subscribers.Subscriber, bool)
	// Concerns reports whether the rules in force name a provider for any event about a patient. There need not be such a
	// patient.
	Concerns(provider, patient string) bool
	// MayBeTold reports whether the rules in force name a provider for this event.
	MayBeTold(rec *events.Record, provider string) bool
}

// Options are what the service needs from outside; all but Log and the times are required.
type Options struct {
	Hub     string // its URL, without a trailing slash
	Version string // of carehub, for the User-Agent
	Store   Store
	Notices NoticeLog
	Desk    Desk
	Client  Client
	// AllowPlain reports whether a host may be called without TLS.
	AllowPlain func(host string) bool
	// Reachable fails if a host may not be dialled, or cannot be found.
	Reachable func(ctx context.Context, host string) error
	// Mine reports whether this hub looks after a Subscription: its handshakes, heartbeats and end. One hub at a time does.
	Mine func(id string) bool
	// Alarm tells the people named for alarms, durably, once for each About.
	Alarm func(ctx context.Context, about events.About) error
	// Resumed, if set, hears of each Subscription that becomes active, whichever hub made it so: what waits for it may go.
	Resumed func(id string)
	// Find returns a stored event.
	Find func(ctx context.Context, event string) (events.Stored, error)
	// Audit, if set, puts on record that a provider's system is about to be answered with events of a patient.
	Audit func(ctx context.Context, r Recall) error
	// Permits returns who sends a request, if what they signed in with allows this access to this type of resource.
	Permits func(r *http.Request, resource, access string) (events.Actor, error)
	Clock   func() time.Time
	Log     *slog.Logger
}

// Recall is one answer to $events that says something of a patient.
type Recall struct {
	By, Subscription, Patient string
	From                      string // the client's network address, without port
	At                        time.Time
}

// Service is all of the Subscriptions of a hub.
type Service struct {
	Options
	*Registry
	*Numbers

	parser parser
	lines  lines
	shelf  shelf
}

// New returns a service that does nothing until its parts are followed and run.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Audit == nil {
		o.Audit = func(context.Context, Recall) error { return nil }
	}
	if o.Resumed == nil {
		o.Resumed = func(string) {}
	}
	s := &Service{Options: o, Registry: NewRegistry(o.Store, o.Log, o.Resumed), Numbers: NewNumbers(o.Notices, o.Store, o.Clock),
		parser: parser{o.Hub, o.AllowPlain}, lines: lines{byID: map[string]*line{}}}
	s.Numbers.Exists = func(sub string) bool { return s.Get(sub) != nil }
	return s
}

// ChannelType is the type, and the key, of the one channel of a Subscription.
const ChannelType = "subscription"

// Rows are the recipients that the Subscriptions of a provider add to the plan of an event which the rules send to it by
// this rule, with its ceiling.
func (s *Service) Rows(e *events.Event, provider subscribers.Subscriber, rule string, ceiling events.Content) (rows []events.Recipient) {
	now := s.Clock()
	for _, sub := range s.Of(provider.ID) {
		if sub.open(now) && sub.Set.concerns(e) {
			rows = append(rows, events.Recipient{ID: sub.ID, For: provider.ID, Name: provider.Name, Phone: provider.Phone, Rule: rule, Content: ceiling,
				Channels: []events.Channel{{Key: ChannelType, Type: ChannelType, Content: ceiling}}})
		}
	}
	return rows
}

// Tells reports whether a Subscription is active: what comes is sent at once.
func (s *Service) Tells(id string) bool {
	sub := s.Get(id)
	return sub != nil && sub.Status == Active
}

// Lookup returns a Subscription as one who can be told, as long as its provider is registered.
func (s *Service) Lookup(id string) (subscribers.Subscriber, bool) {
	sub := s.Get(id)
	if sub == nil {
		return subscribers.Subscriber{}, false
	}
	provider, ok := s.Desk.Provider(sub.Owner)
	if !ok {
		return subscribers.Subscriber{}, false
	}
	channel := subscribers.Channel{Channel: events.Channel{Key: ChannelType, Type: ChannelType}, Endpoint: endpoint{s, sub}}
	if sub.Set.MaxCount == 1 {
		channel.Limits.Concurrency = atOnce
	}
	return subscribers.Subscriber{ID: id, Name: provider.Name, Phone: provider.Phone, ODS: provider.ODS, Channels: []subscribers.Channel{channel}}, true
}

// atOnce is how many notifications are on their way to one Subscription's endpoint at a time: few, for many Subscriptions
// may share a host, and those that hang must leave the others room. Where events are told together there is one.
const atOnce = 4

// MayBeTold reports whether the provider of a Subscription may be told of this event, by the rules in force.
func (s *Service) MayBeTold(rec *events.Record, id string) bool {
	sub := s.Get(id)
	if sub == nil || !sub.open(s.Clock()) {
		return false
	}
	_, registered := s.Desk.Provider(sub.Owner)
	return registered && s.Desk.MayBeTold(rec, sub.Owner)
}

func (s *Service) base() string { return s.Hub + "/fhir" }

// notification is what all notifications of a Subscription have in common.
func (s *Service) notification(sub *Subscription, kind string) fhir.Notification {
	return fhir.Notification{Base: s.base(), Subscription: sub.ID, Topic: TopicURL(s.Hub, sub.Set.Topic), Status: string(sub.Status),
		Type: kind, Since: s.Last(sub.ID), At: s.Clock().UTC().Truncate(time.Millisecond)}
}
