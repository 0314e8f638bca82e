// Package sms tells subscribers by text message, through whatever gateway takes one by an HTTP POST of JSON or of a form. A
// text is constant words and a link: nothing of the patient, not even what kind of event it is, for telephone networks keep
// what they carry, and phones show it to whoever is near.
package sms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"golang.org/x/time/rate"

	"carehub/events"
	"carehub/subscribers"
)

// Timeout is how long one attempt may take.
const Timeout = 20 * time.Second

// Client sends requests; it must not follow redirects, and should refuse to dial where the hub may not.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Config is a gateway. URL, To and Text are required.
type Config struct {
	URL  string
	Form bool   // the body is a form, else JSON
	From string // who the message is from; empty: the gateway's own
	// What the gateway calls the parts of a message. ID is of what is the same for each repeat; empty leaves it out.
	To, Text, Sender, ID string
	Bearer               string // token (RFC 6750), or
	User, Password       string // as RFC 7617 has it; all empty: no sign-in
	PerMinute            int    // messages at the most; 0 is unlimited

	Version    string                 // of carehub, for the User-Agent
	AllowPlain func(host string) bool // whether a host may be called without TLS; nil allows none
	MayDial    func(host string) bool // if set, whether a host may be called at all, as far as its name tells
	Timeout    time.Duration          // of one attempt; 0 is Timeout
}

// Channel is the subscribers.Type of text messages. It is safe for concurrent use.
type Channel struct {
	client  Client
	config  Config
	url     *url.URL
	limiter *rate.Limiter
}

// New checks the settings, without the network. Its error is a *subscribers.FieldError of the field url.
func New(client Client, c Config) (*Channel, error) {
	if c.AllowPlain == nil {
		c.AllowPlain = func(string) bool { return false }
	}
	if c.Timeout == 0 {
		c.Timeout = Timeout
	}
	target, err := subscribers.ParseURL(c.URL, c.AllowPlain)
	if err == nil {
		err = subscribers.CheckHost(target, c.MayDial)
	}
	if err != nil {
		return nil, err
	}
	return &Channel{client: client, config: c, url: target, limiter: newLimiter(c.PerMinute)}, nil
}

// newLimiter lets a quarter of a minute's messages go at once and spreads the rest, so that no 60 seconds see more than
// perMinute.
func newLimiter(perMinute int) *rate.Limiter {
	if perMinute == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	burst := max(1, perMinute/4)
	return rate.NewLimiter(rate.Limit(float64(perMinute-burst+1)/60), burst)
}

// Settings are a subscriber's, in subscribers/*.yaml or carers.yaml.
type Settings struct {
	To string `yaml:"to,required"`
}

// number is an international one (ITU-T E.164): no country code begins with 0, and there are 15 digits at the most.
var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Check judges the settings. The error is a *subscribers.FieldError without the number.
func (s Settings) Check() error {
	if !number.MatchString(s.To) {
		return &subscribers.FieldError{Field: "to", Message: "must be a number in quotes that begins with + and the code of the country, " +
			"such as \"+447700900123\": digits only, without the 0 of calls from within the country"}
	}
	return nil
}

// Open reads to. See subscribers.Type.
func (c *Channel) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var s Settings
	if err := decode(&s); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &endpoint{c, s.To}, nil
}

// endpoint is one phone.
type endpoint struct {
	*Channel
	to string
}

// Send hands one text to the gateway. Whether it reaches the phone is not known.
func (e *endpoint) Send(ctx context.Context, d events.Delivery) error {
	text, err := compose(d)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Permanent: true, Body: true, Err: err}
	}
	body, err := e.body(text, key(d))
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	if e.limiter.Wait(ctx) != nil { // fails at once when the turn would come after the deadline
		return &events.Failure{Reason: events.ReasonBusy, Err: errors.New("sms.rate of hub.yaml is used up")}
	}
	resp, err := e.client.Do(e.request(ctx, body, key(d)))
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	// A short reply is read to its end so that the connection can be used again. Nobody is told of it: it may hold the number.
	_, _ = subscribers.TakeReply(resp, subscribers.MaxReply, nil)
	return subscribers.HTTPFailure(resp, stops)
}

// key is the same for each repeat of one message to one phone, so that a gateway can drop it.
func key(d events.Delivery) string { return d.ID + "." + d.Channel }

// stops reports whether a status is about this message and this number, of which the gateway will not think better: the next
// way of telling is due. What an admin can mend, as a token, credit or a route, does not stop.
func stops(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// body is the same bytes at each attempt.
func (e *endpoint) body(text, key string) ([]byte, error) {
	c := e.config
	fields := map[string]string{c.To: e.to, c.Text: text}
	if c.From != "" {
		fields[c.Sender] = c.From
	}
	if c.ID != "" {
		fields[c.ID] = key
	}
	if !c.Form {
		return json.Marshal(fields)
	}
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	return []byte(form.Encode()), nil
}

// request has the key in the header of draft-ietf-httpapi-idempotency-key-header, whether or not it is in a field too.
func (e *endpoint) request(ctx context.Context, body []byte, key string) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: e.url, Host: e.url.Host, Header: http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {"carehub/" + e.config.Version},
	}}
	if e.config.Form {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case e.config.Bearer != "":
		r.Header.Set("Authorization", "Bearer "+e.config.Bearer)
	case e.config.User != "":
		r.SetBasicAuth(e.config.User, e.config.Password)
	}
	r = subscribers.Repeatable(r.WithContext(ctx), body)
	r.Header.Set("Idempotency-Key", key)
	return r
}
