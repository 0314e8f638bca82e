// Package webhook tells a subscriber's own system by a signed POST, as Standard Webhooks 1.0.0 has it
// (https://www.standardwebhooks.com). The body is the recipient's FHIR message.
package webhook

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/subscribers"
)

// Timeout is how long one attempt may take, within what Standard Webhooks advises (15 to 30 s).
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
	Timeout    time.Duration    // of one attempt; 0 is Timeout
	Now        func() time.Time // for the webhook-timestamp; nil is time.Now
}

// Channel is the subscribers.Type of webhooks.
type Channel struct {
	client Client
	opts   Options
}

// New returns the channel type. All its endpoints share client.
func New(client Client, opts Options) *Channel {
	if opts.AllowPlain == nil {
		opts.AllowPlain = func(string) bool { return false }
	}
	if opts.Timeout == 0 {
		opts.Timeout = Timeout
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Channel{client, opts}
}

// settings is a webhook in subscribers/*.yaml.
type settings struct {
	URL    string        `yaml:"url,required"`
	Secret strict.Secret `yaml:"secret"`
	// Secrets are two, the new one first, while a receiver changes from one to the other: both sign.
	Secrets []strict.Secret `yaml:"secrets"`
	Format  string          `yaml:"format"`
}

// Open reads url, secret or secrets, and format. See subscribers.Type.
func (c *Channel) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var s settings
	if err := decode(&s); err != nil {
		return nil, err
	}
	target, err := subscribers.ParseURL(s.URL, c.opts.AllowPlain)
	if err != nil {
		return nil, err
	}
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	if s.Format != "" && s.Format != "fhir" {
		return nil, &subscribers.FieldError{Field: "format", Message: "not supported by this build yet; it knows fhir"}
	}
	return &endpoint{c, target, keys}, nil
}

type endpoint struct {
	*Channel
	url  *url.URL
	keys []key
}

// Send posts the delivery's message once. 410 is the only answer that ends the trying.
func (e *endpoint) Send(ctx context.Context, d events.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	resp, err := e.client.Do(e.request(ctx, d))
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	// What it says does not matter; a short reply is read so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, subscribers.MaxReply)
	return subscribers.HTTPFailure(resp, func(status int) bool { return status == http.StatusGone })
}

func (e *endpoint) request(ctx context.Context, d events.Delivery) *http.Request {
	stamp := strconv.FormatInt(e.opts.Now().Unix(), 10)
	r := &http.Request{
		Method: http.MethodPost,
		URL:    e.url,
		Host:   e.url.Host,
		Header: http.Header{
			"Content-Type":      {"application/fhir+json"},
			"User-Agent":        {"carehub/" + e.opts.Version},
			"Webhook-Id":        {d.ID},
			"Webhook-Timestamp": {stamp},
			"Webhook-Signature": {sign(e.keys, d.ID, stamp, d.Message)},
		},
	}
	return subscribers.Repeatable(r.WithContext(ctx), d.Message)
}
