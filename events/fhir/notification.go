package fhir

import (
	"encoding/json"
	"strconv"
	"time"

	"carehub/events"
)

// Profiles of the Subscriptions R5 Backport guide for R4.
const (
	notificationProfile = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4"
	statusProfile       = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"
	subscriptionErrors  = "http://terminology.hl7.org/CodeSystem/subscription-error"
)

// The types of notifications (Backport, notification type codes).
const (
	Handshake         = "handshake"
	Heartbeat         = "heartbeat"
	EventNotification = "event-notification"
	QueryStatus       = "query-status"
	QueryEvent        = "query-event"
)

// Notification is what a subscriber is told of a Subscription, and of events by it (Subscriptions R5 Backport 1.1.0, in its
// form for R4).
type Notification struct {
	Base         string // of the hub's FHIR server, without a trailing slash
	Subscription string // its id
	Topic        string // canonical address
	Status       string // of the Subscription
	Type         string
	Since        uint64 // events-since-subscription-start
	Events       []Notified
	Error        events.Reason // why the Subscription is in error, or ""
	ID           string        // of the Bundle; ids within are derived from it
	At           time.Time
}

// Notified is one event in a Notification.
type Notified struct {
	Number    uint64
	At        time.Time
	Resources []Resource // of the event, those it is about first; none: nothing is said of it
	Full      bool       // the resources themselves, not only where they are
}

type historyBundle struct {
	ResourceType string         `json:"resourceType"`
	ID           string         `json:"id,omitempty"`
	Meta         *profiled      `json:"meta,omitempty"`
	Type         string         `json:"type"`
	Timestamp    string         `json:"timestamp,omitempty"`
	Total        *int           `json:"total,omitempty"`
	Entry        []historyEntry `json:"entry,omitempty"`
}

type profiled struct {
	Profile []string `json:"profile"`
}

type historyEntry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *searchMode     `json:"search,omitempty"`
	Request  *entryRequest   `json:"request,omitempty"`
	Response *entryResponse  `json:"response,omitempty"`
}

type searchMode struct {
	Mode string `json:"mode"`
}

type entryRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

type entryResponse struct {
	Status string `json:"status"`
}

type statusParameters struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id"`
	Meta         profiled    `json:"meta"`
	Parameter    []parameter `json:"parameter"`
}

type parameter struct {
	Name      string           `json:"name"`
	Reference *notificationRef `json:"valueReference,omitempty"`
	Canonical string           `json:"valueCanonical,omitempty"`
	Code      string           `json:"valueCode,omitempty"`
	String    string           `json:"valueString,omitempty"`
	Instant   string           `json:"valueInstant,omitempty"`
	Concept   any              `json:"valueCodeableConcept,omitempty"`
	Part      []parameter      `json:"part,omitempty"`
}

type notificationRef struct {
	Reference string `json:"reference"`
}

// Encode writes the notification as it is sent: a Bundle of type history, of which each entry has request and response.
func (n Notification) Encode() ([]byte, error) {
	status, err := marshal(n.parameters())
	if err != nil {
		return nil, err
	}
	entries := []historyEntry{{FullURL: urn(n.statusID()), Resource: status,
		Request: &entryRequest{"GET", n.Base + "/Subscription/" + n.Subscription + "/$status"}, Response: &entryResponse{"200"}}}
	for _, e := range n.Events {
		if e.Full {
			entries = append(entries, e.entries(n.Base)...)
		}
	}
	return marshal(historyBundle{ResourceType: "Bundle", ID: n.ID, Meta: &profiled{[]string{notificationProfile}}, Type: "history",
		Timestamp: *instant(n.At), Entry: entries})
}

// EncodeStatuses writes the answer to $status: a searchset of the status of each Subscription.
func EncodeStatuses(statuses []Notification) ([]byte, error) {
	found := make([]historyEntry, 0, len(statuses))
	for _, n := range statuses {
		status, err := marshal(n.parameters())
		if err != nil {
			return nil, err
		}
		found = append(found, historyEntry{FullURL: urn(n.statusID()), Resource: status, Search: &searchMode{"match"}})
	}
	return marshal(historyBundle{ResourceType: "Bundle", Type: "searchset", Total: new(len(found)), Entry: found})
}

// EncodeSearch writes the answer to a search: all of what was found, each at its address below base.
func EncodeSearch(base string, addresses []string, found [][]byte, self string) ([]byte, error) {
	entries := make([]historyEntry, 0, len(found))
	for i, resource := range found {
		entries = append(entries, historyEntry{FullURL: base + "/" + addresses[i], Resource: resource, Search: &searchMode{"match"}})
	}
	type link struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	}
	return marshal(struct {
		historyBundle
		Link []link `json:"link"`
	}{historyBundle{ResourceType: "Bundle", Type: "searchset", Total: new(len(found)), Entry: entries}, []link{{"self", self}}})
}

func (n Notification) statusID() string { return events.UUID("subscription-status", n.ID) }

func (n Notification) parameters() statusParameters {
	p := []parameter{{Name: "subscription", Reference: &notificationRef{n.Base + "/Subscription/" + n.Subscription}},
		{Name: "topic", Canonical: n.Topic}, {Name: "status", Code: n.Status}, {Name: "type", Code: n.Type},
		{Name: "events-since-subscription-start", String: strconv.FormatUint(n.Since, 10)}}
	for _, e := range n.Events {
		p = append(p, parameter{Name: "notification-event", Part: e.parts(n.Base)})
	}
	if n.Error != "" {
		coding := map[string]string{"system": subscriptionErrors, "code": errorCode(n.Error)}
		p = append(p, parameter{Name: "error", Concept: map[string]any{"coding": []any{coding}, "text": string(n.Error)}})
	}
	return statusParameters{"Parameters", n.statusID(), profiled{[]string{statusProfile}}, p}
}

// parts are the focus of an event and what else there is to read of it.
func (e Notified) parts(base string) []parameter {
	parts := []parameter{{Name: "event-number", String: strconv.FormatUint(e.Number, 10)}, {Name: "timestamp", Instant: *instant(e.At)}}
	for i, r := range e.Resources {
		name := "additional-context"
		if i == 0 {
			name = "focus"
		}
		parts = append(parts, parameter{Name: name, Reference: &notificationRef{base + "/" + r.Address()}})
	}
	return parts
}

// entries are the resources of an event. What the event made is said to be created, the others to be read.
func (e Notified) entries(base string) []historyEntry {
	entries := make([]historyEntry, 0, len(e.Resources))
	for _, r := range e.Resources {
		request, response := entryRequest{"GET", r.Address()}, entryResponse{"200"}
		if r.Focus {
			request, response = entryRequest{"POST", r.Type}, entryResponse{"201"}
		}
		entries = append(entries, historyEntry{FullURL: base + "/" + r.Address(), Resource: r.JSON, Request: &request, Response: &response})
	}
	return entries
}

// errorCode is the code of the SubscriptionErrorCodes that says what is wrong.
func errorCode(reason events.Reason) string {
	switch reason {
	case events.ReasonAddress:
		return "dns-resolution-error"
	case events.ReasonAuth, events.ReasonGone, events.ReasonRejected, events.ReasonServerError, events.ReasonBusy:
		return "error-response"
	}
	return "no-response"
}
