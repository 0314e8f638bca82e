package signup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// Limits on what a subscriber may ask for. Beyond them a request is refused, or where it says so kept to them.
const (
	MaxBody      = 64 << 10 // bytes of a Subscription
	maxHeaders   = 8
	maxHeader    = 4 << 10         // bytes of one
	minHeartbeat = 5 * time.Second // between heartbeats
	maxHeartbeat = 30 * 24 * time.Hour
	Timeout      = 20 * time.Second // of one notification, unless the subscriber says otherwise
	maxTimeout   = 30 * time.Second // whatever the subscriber says: kept to it
	maxBatch     = 50               // events in one notification, whatever the subscriber says: kept to it
)

// The extensions of the Subscriptions R5 Backport guide, 1.1.0.
const (
	backport         = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
	filterExtension  = backport + "backport-filter-criteria"
	contentExtension = backport + "backport-payload-content"
	channelExtension = backport + "backport-channel-type"
	heartbeatPeriod  = backport + "backport-heartbeat-period"
	timeoutExtension = backport + "backport-timeout"
	maxCount         = backport + "backport-max-count"
)

// Content is how much of an event a notification carries.
type Content string

// The levels, in ascending order.
const (
	Empty  Content = "empty"
	IDOnly Content = "id-only"
	Full   Content = "full-resource"
)

var levels = []Content{Empty, IDOnly, Full}

// within is c under the ceiling of a rule: below full, a notification holds no more than ids.
func (c Content) within(ceiling events.Content) Content {
	if c == Full && ceiling.Below(events.ContentFull) {
		return IDOnly
	}
	return c
}

// settings are what a Subscription asks for, as understood.
type settings struct {
	Topic     string        `json:"topic"`
	Criteria  []string      `json:"criteria,omitempty"` // the filters as they were sent
	Endpoint  string        `json:"endpoint"`
	Mime      string        `json:"mime"`
	Content   Content       `json:"content"`
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	Timeout   time.Duration `json:"timeout"`
	MaxCount  int           `json:"max_count"`
	End       time.Time     `json:"end,omitzero"`
	Headers   []string      `json:"headers,omitempty"` // secret
	Patients  [][]string    `json:"patients,omitempty"`
	Classes   [][]string    `json:"classes,omitempty"`

	filters []filter
	url     *url.URL
}

// wire is as much of a Subscription as the hub acts on.
type wire struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Status       Status `json:"status"`
	End          string `json:"end"`
	Reason       string `json:"reason"`
	Criteria     string `json:"criteria"`
	Filters      more   `json:"_criteria"`
	Channel      struct {
		Extension []extension `json:"extension"`
		Type      string      `json:"type"`
		Custom    more        `json:"_type"`
		Endpoint  string      `json:"endpoint"`
		Payload   string      `json:"payload"`
		Content   more        `json:"_payload"`
		Header    []string    `json:"header"`
	} `json:"channel"`
}

// more is what FHIR's JSON says of a primitive beside its value.
type more struct {
	Extension []extension `json:"extension"`
}

type extension struct {
	URL      string      `json:"url"`
	String   string      `json:"valueString"`
	Code     string      `json:"valueCode"`
	Unsigned json.Number `json:"valueUnsignedInt"`
	Positive json.Number `json:"valuePositiveInt"`
}

// elements are the members that a Subscription may have, and its channel. What must be understood and is not, is refused.
var (
	elements = []string{"resourceType", "id", "meta", "language", "text", "contained", "extension", "status", "contact", "end", "reason",
		"criteria", "error", "channel"}
	channelElements = []string{"id", "extension", "type", "endpoint", "payload", "header"}
)

func wrong(path, format string, args ...any) error {
	return &events.Error{Kind: events.Invalid, Message: "Subscription" + path + " " + fmt.Sprintf(format, args...)}
}

// parser reads Subscriptions for a hub.
type parser struct {
	hub        string // its URL
	allowPlain func(host string) bool
}

// parse reads a Subscription. The error is an *events.Error that says where and what, without what was sent.
func (p parser) parse(body []byte) (object, wire, settings, error) {
	var whole object
	var w wire
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, w, settings{}, &events.Error{Kind: events.Invalid, Message: "The body is not a JSON object, or has a member twice.", Err: err}
	}
	if err := checkElements("", whole, elements); err != nil {
		return nil, w, settings{}, err
	}
	var channel object
	if value := whole.get("channel"); value != nil {
		if json.Unmarshal(value, &channel) != nil {
			return nil, w, settings{}, wrong(".channel", "must be an object, with each member once")
		}
		if err := checkElements(".channel", channel, channelElements); err != nil {
			return nil, w, settings{}, err
		}
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, w, settings{}, misread(err)
	}
	s, err := p.settings(w)
	return whole, w, s, err
}

func misread(err error) error {
	if at, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && at.Field != "" {
		return wrong("."+at.Field, "is of the wrong type")
	}
	return &events.Error{Kind: events.Invalid, Message: "The body is no Subscription.", Err: err}
}

func checkElements(path string, o object, known []string) error {
	for _, m := range o {
		base := strings.TrimPrefix(m.name, "_")
		switch {
		case m.name == "implicitRules", m.name == "modifierExtension":
			return wrong(path, "has %s, which this hub does not understand", m.name)
		case !slices.Contains(known, base), m.name == "_header", m.name == "_endpoint":
			return wrong(path, "has an element that is not of a Subscription in FHIR R4, or that this hub does not take")
		case bytes.Equal(m.value, []byte("null")):
			return wrong(path+"."+base, "must not be null")
		}
	}
	return nil
}

func (p parser) settings(w wire) (s settings, err error) {
	switch {
	case w.ResourceType != "Subscription":
		return s, wrong("", "must have the resourceType Subscription")
	case w.Reason == "":
		return s, wrong(".reason", "is missing")
	case !w.Status.known():
		return s, wrong(".status", "must be requested, or off in an update")
	}
	if s.Topic = topicOf(p.hub, w.Criteria); s.Topic == "" {
		return s, wrong(".criteria", "must be the canonical address of a topic of this hub, such as %s", TopicURL(p.hub, "admission"))
	}
	if err := p.channel(w, &s); err != nil {
		return s, err
	}
	if err := s.readFilters(p.hub, w.Filters); err != nil {
		return s, err
	}
	if w.End != "" {
		if s.End, err = time.Parse(time.RFC3339, w.End); err != nil {
			return s, wrong(".end", "must be an instant such as 2027-01-31T12:00:00Z")
		}
	}
	return s, nil
}

func (s *settings) readFilters(hub string, m more) error {
	for _, x := range m.Extension {
		if x.URL != filterExtension {
			continue
		}
		f, what := readFilter(hub, x.String)
		if what != "" {
			return wrong(".criteria.extension(backport-filter-criteria)", "%s", what)
		}
		s.Criteria = append(s.Criteria, x.String)
		s.Patients, s.Classes = append(s.Patients, f.patients), append(s.Classes, f.classes)
		s.filters = append(s.filters, f)
	}
	return nil
}

// channel reads what is to be sent where. Only rest-hooks are taken: an address for patient data that is not a system's own
// is for the hub's admin to set up.
func (p parser) channel(w wire, s *settings) (err error) {
	c := w.Channel
	for _, x := range c.Custom.Extension {
		if x.URL == channelExtension {
			return wrong(".channel.type", "must be rest-hook, without a channel type of its own")
		}
	}
	if c.Type != "rest-hook" {
		return wrong(".channel.type", "must be rest-hook; this hub sends to no other channel that a system asks for itself")
	}
	if s.url, err = subscribers.ParseURL(c.Endpoint, p.allowPlain); err != nil {
		field, _ := errors.AsType[*subscribers.FieldError](err)
		return wrong(".channel.endpoint", "%s", field.Message)
	}
	s.Endpoint = c.Endpoint
	switch media, _, _ := strings.Cut(c.Payload, ";"); media {
	case fhir.MediaType, "application/json":
		s.Mime = media
	default:
		return wrong(".channel.payload", "must be "+fhir.MediaType)
	}
	if s.Content = contentOf(c.Content); s.Content == "" {
		return wrong(".channel.payload.extension(backport-payload-content)", "must say empty, id-only or full-resource, once")
	}
	if err := s.readTimes(c.Extension); err != nil {
		return err
	}
	s.Headers = c.Header
	return checkHeaders(c.Header)
}

func contentOf(m more) (content Content) {
	for _, x := range m.Extension {
		if x.URL != contentExtension {
			continue
		}
		if content != "" || !slices.Contains(levels, Content(x.Code)) {
			return ""
		}
		content = Content(x.Code)
	}
	return content
}

func (s *settings) readTimes(all []extension) error {
	s.Timeout, s.MaxCount = Timeout, 1
	for _, x := range all {
		number := x.Unsigned
		if x.URL == maxCount {
			number = x.Positive
		}
		n, err := number.Int64()
		bad := err != nil || n < 0 || n > 1<<31-1
		seconds := time.Duration(n) * time.Second
		switch {
		case x.URL == heartbeatPeriod && (bad || n > 0 && seconds < minHeartbeat || seconds > maxHeartbeat):
			return wrong(".channel.extension(backport-heartbeat-period)", "must be from %d to %d seconds", int(minHeartbeat.Seconds()), int(maxHeartbeat.Seconds()))
		case x.URL == timeoutExtension && (bad || n == 0):
			return wrong(".channel.extension(backport-timeout)", "must be a number of seconds, 1 or more")
		case x.URL == maxCount && (bad || n == 0):
			return wrong(".channel.extension(backport-max-count)", "must be 1 or more")
		case x.URL == heartbeatPeriod:
			s.Heartbeat = seconds
		case x.URL == timeoutExtension:
			s.Timeout = min(seconds, maxTimeout)
		case x.URL == maxCount:
			s.MaxCount = int(min(n, maxBatch))
		}
	}
	return nil
}

// ownHeaders are those that the hub sets itself, or that would change how a request is framed.
var ownHeaders = []string{"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
	"upgrade", "proxy-authorization", "proxy-connection", "expect", "user-agent", "accept", "x-request-id", "x-correlation-id", "idempotency-key"}

func checkHeaders(headers []string) error {
	if len(headers) > maxHeaders {
		return wrong(".channel.header", "has more than %d headers", maxHeaders)
	}
	for _, h := range headers {
		name, value, ok := splitHeader(h)
		switch {
		case !ok || len(h) > maxHeader || !headerName(name) || !printable(value):
			return wrong(".channel.header", "must be such as \"Authorization: Bearer …\"")
		case slices.Contains(ownHeaders, strings.ToLower(name)):
			return wrong(".channel.header", "has one that the hub sets itself: %s", strings.ToLower(name))
		}
	}
	return nil
}

// headerName reports whether a name has the letters, digits and hyphens that names of headers in use have.
func headerName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

func printable(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

func splitHeader(h string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(h, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok && strings.TrimSpace(value) != ""
}

// mask is what stands for the value of a header wherever a Subscription is read.
const mask = "***"

// masked are headers without their values.
func masked(headers []string) []string {
	hidden := make([]string, len(headers))
	for i, h := range headers {
		name, _, _ := splitHeader(h)
		hidden[i] = name + ": " + mask
	}
	return hidden
}

// sameHost reports whether both endpoints are at one host, as web browsers have it.
func (s settings) sameHost(other settings) bool {
	return s.url.Scheme == other.url.Scheme && strings.EqualFold(s.url.Host, other.url.Host)
}

// unmask puts the values of old headers of the same name into those that came back as they had been read.
func (s *settings) unmask(old []string) error {
	values := map[string]string{}
	for _, h := range old {
		name, _, _ := splitHeader(h)
		values[strings.ToLower(name)] = h
	}
	for i, h := range s.Headers {
		name, value, _ := splitHeader(h)
		if value != mask {
			continue
		}
		if s.Headers[i] = values[strings.ToLower(name)]; s.Headers[i] == "" {
			return wrong(".channel.header", "has %s where there is no earlier value to keep", mask)
		}
	}
	return nil
}
