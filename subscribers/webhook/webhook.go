// Package webhook tells a subscriber's own system by a signed POST, as Standard Webhooks 1.0.0 has it
// (https://www.standardwebhooks.com). Before the first message the receiver must echo a signed challenge. The body is the
// recipient's FHIR message, or a CloudEvent around it, or a signal with links.
package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

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

// Memory is what the hub has learned of endpoints, by subscriber and key of the channel.
type Memory interface {
	// Verified reports whether this very address has answered a challenge.
	Verified(subscriber, channel, address string) bool
	// Verify remembers that it has, durably.
	Verify(ctx context.Context, subscriber, channel, address string) error
	// Secrets returns what signs in place of the secrets whose hash is given, the newest first; none if those do. both
	// says that those sign too, for a while.
	Secrets(subscriber, channel, hash string) (secrets []string, both bool)
}

// Options of a Channel.
type Options struct {
	Version string // of carehub, for the User-Agent
	// AllowPlain reports whether a host may be called without TLS; nil allows none.
	AllowPlain func(host string) bool
	// MayDial, if set, reports whether a host may be called at all, as far as its name tells.
	MayDial func(host string) bool
	Timeout time.Duration    // of one attempt; 0 is Timeout
	Now     func() time.Time // for the webhook-timestamp; nil is time.Now
}

// Channel is the subscribers.Type of webhooks.
type Channel struct {
	client Client
	opts   Options
	memory Memory // nil: nobody is challenged
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
	return &Channel{client: client, opts: opts}
}

// Remember has endpoints prove themselves, and keeps in m what they have proved. It is called before the first Send.
func (c *Channel) Remember(m Memory) { c.memory = m }

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
	return c.open(s)
}

// At returns an endpoint that no file tells of, for trying things out.
func (c *Channel) At(address, secret, format string) (subscribers.Endpoint, error) {
	return c.open(settings{URL: address, Secret: strict.NewSecret(secret), Format: format})
}

func (c *Channel) open(s settings) (subscribers.Endpoint, error) {
	target, err := subscribers.ParseURL(s.URL, c.opts.AllowPlain)
	if err == nil {
		err = subscribers.CheckHost(target, c.opts.MayDial)
	}
	if err != nil {
		return nil, err
	}
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	form, err := formOf(s.Format)
	if err != nil {
		return nil, err
	}
	return &endpoint{Channel: c, url: target, address: target.String(), keys: keys, hash: s.hash(), form: form}, nil
}

type endpoint struct {
	*Channel
	url     *url.URL
	address string // the same
	keys    []key  // of the file
	hash    string // of the secrets they come from
	form    form
	proving singleflight.Group
}

// Send posts the delivery once, as the endpoint's format has it. An endpoint that has not proved itself is challenged
// first, and gets nothing clinical. An alarm is not clinical, and must reach somebody: it is sent all the same, but counts
// as delivered only where the endpoint has proved itself. 410 asks for a pause.
func (e *endpoint) Send(ctx context.Context, d events.Delivery) error {
	unproved := e.prove(ctx, d)
	if unproved != nil && (d.Kind != events.Alarm || !unechoed(unproved)) {
		return unproved
	}
	body, err := e.form.body(d)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	_, err = e.post(ctx, letter{d.ID, e.form.contentType, body, e.signing(d.Recipient, d.Channel)}, d.Answered)
	if err == nil {
		err = unproved
	}
	return err
}

// Target tells the address from any other's.
func (e *endpoint) Target() string { return events.Hash([]byte("webhook " + e.address)) }

// letter is one signed POST.
type letter struct {
	id, contentType string
	body            []byte
	keys            []key
}

// post sends l and returns what was answered, unless that is a failure.
func (e *endpoint) post(ctx context.Context, l letter, answered func(events.Reply)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	resp, err := e.client.Do(e.request(ctx, l))
	if err != nil {
		return nil, subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	// A short reply is read to its end so that the connection can be used again.
	reply, _ := subscribers.TakeReply(resp, subscribers.MaxReply, answered)
	return reply, gone(subscribers.HTTPFailure(resp, func(status int) bool { return status == http.StatusGone }))
}

// gone has a 410 pause the endpoint.
func gone(err error) error {
	if f, ok := err.(*events.Failure); ok && f.Status == http.StatusGone {
		f.Pause = true
	}
	return err
}

func (e *endpoint) request(ctx context.Context, l letter) *http.Request {
	stamp := strconv.FormatInt(e.opts.Now().Unix(), 10)
	r := &http.Request{
		Method: http.MethodPost,
		URL:    e.url,
		Host:   e.url.Host,
		Header: http.Header{
			"Content-Type":      {l.contentType},
			"User-Agent":        {"carehub/" + e.opts.Version},
			"Webhook-Id":        {l.id},
			"Webhook-Timestamp": {stamp},
			"Webhook-Signature": {sign(l.keys, l.id, stamp, l.body)},
		},
	}
	return subscribers.Repeatable(r.WithContext(ctx), l.body)
}

// SecretHash is as subscribers.Signed has it.
func (e *endpoint) SecretHash() string { return e.hash }

// signing returns the keys that sign now: the file's, or those that the hub has learned since.
func (e *endpoint) signing(subscriber, channel string) []key {
	if e.memory == nil {
		return e.keys
	}
	learned, both := e.memory.Secrets(subscriber, channel, e.hash)
	if len(learned) == 0 {
		return e.keys
	}
	var keys []key
	for _, secret := range learned {
		if k, err := parseKey("secret", strict.NewSecret(secret)); err == nil {
			keys = append(keys, k)
		}
	}
	if both || len(keys) == 0 {
		keys = append(keys, e.keys...)
	}
	return keys
}

// hash tells these secrets from any others.
func (s settings) hash() string {
	var all []string
	for _, secret := range append([]strict.Secret{s.Secret}, s.Secrets...) {
		if !secret.IsZero() {
			all = append(all, secret.Reveal())
		}
	}
	return events.Hash([]byte("webhook secret " + strings.Join(all, " ")))
}
