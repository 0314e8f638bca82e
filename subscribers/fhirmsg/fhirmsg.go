// Package fhirmsg tells a subscriber's clinical system by FHIR messaging: each delivery is posted to the $process-message
// operation of a FHIR R4 server (https://hl7.org/fhir/R4/messageheader-operation-process-message.html).
package fhirmsg

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// Timeout is how long one attempt may take.
const Timeout = 20 * time.Second

// Client sends requests; it must not follow redirects, and should refuse to dial where the hub may not.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Options of a Channel.
type Options struct {
	Version string // of carehub, for the User-Agent
	// AllowPlain reports whether a host may be called without TLS; nil allows none.
	AllowPlain func(host string) bool
	// MayDial, if set, reports whether a host may be called at all, as far as its name tells.
	MayDial func(host string) bool
	Timeout time.Duration // of one attempt; 0 is Timeout
}

// Channel is the subscribers.Type of FHIR messaging endpoints.
type Channel struct {
	client Client
	opts   Options
	large  chan struct{} // one for each message with documents in it that is under way
}

// New returns the channel type. All its endpoints share client.
func New(client Client, opts Options) *Channel {
	if opts.AllowPlain == nil {
		opts.AllowPlain = func(string) bool { return false }
	}
	if opts.Timeout == 0 {
		opts.Timeout = Timeout
	}
	return &Channel{client, opts, make(chan struct{}, mostLarge)}
}

// settings is a FHIR endpoint in subscribers/*.yaml.
type settings struct {
	URL   string        `yaml:"url,required"` // [base] of the server
	Token strict.Secret `yaml:"token"`        // sent as a bearer token, if given (RFC 6750)
	// Documents is embedded where the content of documents is to be in the message, and not only where to fetch it.
	Documents string `yaml:"documents"`
}

// Open reads url and token. See subscribers.Type.
func (c *Channel) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var s settings
	if err := decode(&s); err != nil {
		return nil, err
	}
	base, err := subscribers.ParseURL(s.URL, c.opts.AllowPlain)
	if err != nil {
		return nil, err
	}
	if err := subscribers.CheckHost(base, c.opts.MayDial); err != nil {
		return nil, err
	}
	if base.RawQuery != "" || base.ForceQuery {
		return nil, &subscribers.FieldError{Field: "url", Message: "must be the server's base, without a query"}
	}
	token := s.Token.Reveal()
	if !sendable(token) {
		return nil, &subscribers.FieldError{Field: "token", Message: "must be printable ASCII without spaces"}
	}
	if s.Documents != "" && s.Documents != embedded {
		return nil, &subscribers.FieldError{Field: "documents", Message: "must be embedded, or left out: then the message says where to fetch them"}
	}
	return &endpoint{c, base.JoinPath("$process-message"), token, s.Documents == embedded}, nil
}

// sendable reports whether a token can stand in a header; an empty one is not sent.
func sendable(token string) bool {
	for _, b := range []byte(token) {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return true
}

type endpoint struct {
	*Channel
	url   *url.URL
	token string
	embed bool
}

// Send posts the delivery's message once and waits for the server to say what became of it.
func (e *endpoint) Send(ctx context.Context, d events.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	if e.embed && len(d.Documents) > 0 && d.Open != nil {
		done, err := e.turn(ctx)
		if err != nil {
			return err
		}
		defer done()
		if d.Message, err = embed(ctx, d); err != nil {
			return &events.Failure{Reason: events.ReasonInternal, Err: err}
		}
	}
	resp, err := e.client.Do(e.request(ctx, d))
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := subscribers.TakeReply(resp, subscribers.MaxReply, d.Answered)
	if err != nil && resp.StatusCode < 300 {
		return subscribers.NetworkFailure(err) // it may have been about to say no
	}
	return judge(resp, fhir.ReadResponse(reply))
}

// request carries two ids beside the message's own: X-Request-ID is the same at every attempt, X-Correlation-ID the same
// for every recipient of the event, and the Bundle.identifier in the message.
func (e *endpoint) request(ctx context.Context, d events.Delivery) *http.Request {
	r := &http.Request{
		Method: http.MethodPost,
		URL:    e.url,
		Host:   e.url.Host,
		Header: http.Header{
			"Accept":           {fhir.MediaType},
			"Content-Type":     {fhir.MediaType},
			"User-Agent":       {"carehub/" + e.opts.Version},
			"X-Request-Id":     {events.UUID("request", d.ID)},
			"X-Correlation-Id": {events.UUID("event", d.Event)},
		},
	}
	if e.token != "" {
		r.Header["Authorization"] = []string{"Bearer " + e.token}
	}
	return subscribers.Repeatable(r.WithContext(ctx), d.Message)
}

// judge weighs answer and status. What the response's code says (FHIR R4, response-code) outranks the status, and a 409
// whose OperationOutcome says duplicate (NHS BaRS) is delivered: an earlier attempt got through.
func judge(resp *http.Response, answer fhir.Response) error {
	switch {
	case resp.StatusCode == http.StatusConflict && answer.Duplicate:
		return nil
	case answer.Code == "transient-error":
		return &events.Failure{Reason: events.ReasonServerError, Status: resp.StatusCode, Body: true,
			Err: errors.New("the response says transient-error")}
	case answer.Code == "fatal-error":
		return &events.Failure{Reason: events.ReasonRejected, Permanent: true, Status: resp.StatusCode, Body: true,
			Err: errors.New("the response says fatal-error")}
	}
	return subscribers.HTTPFailure(resp, stops)
}

// stops reports whether a status ends the trying: the 4xx of a FHIR server are about us or the message, and a person must
// look. Those that ask for patience do not.
func stops(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status <= 499
}
