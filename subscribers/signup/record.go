package signup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carehub/events"
)

// Status of a Subscription (FHIR R4, subscription-status).
type Status string

// A Subscription is requested until its endpoint has answered the handshake. Only its subscriber makes an errored one
// requested again; one that is off is told nothing.
const (
	Requested Status = "requested"
	Active    Status = "active"
	Errored   Status = "error"
	Off       Status = "off"
)

func (s Status) known() bool { return s == Requested || s == Active || s == Errored || s == Off }

// prefix of the keys that Subscriptions are stored under: hub.subscription.<id>.
const prefix = "hub.subscription."

const recordVersion = 1

// Subscription is one Subscription as it is stored. It does not change: what changes is stored anew.
type Subscription struct {
	V        int           `json:"v"`
	ID       string        `json:"-"`
	Owner    string        `json:"owner"`   // the provider whose credentials made it
	Version  uint64        `json:"version"` // 1, 2, … with each change
	Created  time.Time     `json:"created"`
	Updated  time.Time     `json:"updated"`
	Status   Status        `json:"status"`
	Error    events.Reason `json:"error,omitempty"`  // why it is in error
	Farewell bool          `json:"notice,omitempty"` // it is off, and its endpoint has not been told yet
	Set      settings      `json:"set"`
	As       object        `json:"as"` // as it was sent, but for the values of its headers
}

// read makes a Subscription of what is stored.
func read(key string, value []byte) (*Subscription, error) {
	s := &Subscription{ID: strings.TrimPrefix(key, prefix)}
	if err := json.Unmarshal(value, s); err != nil {
		return nil, fmt.Errorf("the record of subscription %s cannot be read: %w", s.ID, err)
	}
	if s.V > recordVersion {
		return nil, fmt.Errorf("the record of subscription %s is of a newer version, %d", s.ID, s.V)
	}
	var err error
	if s.Set.url, err = url.Parse(s.Set.Endpoint); err != nil {
		return nil, fmt.Errorf("the record of subscription %s has no address", s.ID)
	}
	if s.Set.url.Path == "" {
		s.Set.url.Path = "/"
	}
	for i := range s.Set.Patients {
		s.Set.filters = append(s.Set.filters, filter{s.Set.Patients[i], s.Set.Classes[i]})
	}
	return s, nil
}

// hide keeps a Subscription as it was sent without what is secret in it.
func hide(whole object, headers []string) (object, error) {
	if len(headers) == 0 {
		return whole, nil
	}
	var list []json.RawMessage
	for _, h := range masked(headers) {
		list = append(list, quoted(h))
	}
	err := whole.within("channel", func(channel *object) {
		channel.set("header", append(append(json.RawMessage{'['}, bytes.Join(raws(list), []byte(","))...), ']'))
	})
	return whole, err
}

func raws(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// JSON is the Subscription as it is read: as it was sent, with what the hub says of it. A header's value is not shown.
func (s *Subscription) JSON() ([]byte, error) {
	whole := object{}
	whole.set("resourceType", quoted("Subscription"))
	whole.set("id", quoted(s.ID))
	for _, m := range s.As {
		if m.name != "resourceType" && m.name != "id" && m.name != "error" {
			whole.set(m.name, m.value)
		}
	}
	err := whole.within("meta", func(meta *object) {
		meta.set("versionId", quoted(strconv.FormatUint(s.Version, 10)))
		meta.set("lastUpdated", quoted(s.Updated.UTC().Format(instantForm)))
	})
	if err != nil {
		return nil, err
	}
	whole.set("status", quoted(string(s.Status)))
	if s.Status == Errored {
		whole.set("error", quoted(errorWords(s.Error)))
	}
	return whole.MarshalJSON()
}

const instantForm = "2006-01-02T15:04:05.000Z07:00"

// errorWords say to the subscriber why nothing is sent.
func errorWords(reason events.Reason) string {
	return "Nothing is sent any more (" + string(reason) + "). Set the status to requested when the endpoint works again, then catch up with $events."
}

// ETag is that of this version of the Subscription.
func (s *Subscription) ETag() string { return `W/"` + strconv.FormatUint(s.Version, 10) + `"` }

// open reports whether events are kept for the subscription.
func (s *Subscription) open(now time.Time) bool { return s.Status != Off && !s.ended(now) }

func (s *Subscription) ended(now time.Time) bool {
	return !s.Set.End.IsZero() && !now.Before(s.Set.End)
}
