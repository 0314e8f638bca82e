// Package push tells carers by a note on their phone: Web Push (RFC 8030) to the browsers that they have asked to be told in,
// sealed for each (RFC 8291) and signed by the hub (RFC 8292). A note is constant words and a link: nothing of the patient,
// not even what kind of event it is, for a phone shows it to whoever is near.
package push

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/subscribers"
)

// Timeout is how long one attempt may take, to all devices together.
const Timeout = 20 * time.Second

// ttl is how long a push service keeps a note for a phone that is off (RFC 8030, 5.2). The page behind it says when things were.
const ttl = 24 * time.Hour

//go:embed words.en.json words.cy.json
var catalogue embed.FS

var words = page.Catalogue(catalogue)

// Client sends requests; it must not follow redirects, and has to refuse to dial where the hub may not: browsers say where.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Options of a Channel.
type Options struct {
	Version string // of carehub, for the User-Agent
	Contact string // email address of who runs the hub, for push services
	// AllowPlain reports whether a host may be called without TLS; nil allows none.
	AllowPlain func(host string) bool
	// MayDial, if set, reports whether a host may be called at all, as far as its name tells.
	MayDial func(host string) bool
	Timeout time.Duration    // of one attempt; 0 is Timeout
	Now     func() time.Time // nil is time.Now
}

// Channel is the subscribers.Type of notes on carers' phones. It is safe for concurrent use.
type Channel struct {
	client  Client
	opts    Options
	keys    *Keys
	devices *Devices
}

// New returns the channel type.
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

// Remember says which devices there are, and what proves who tells them. It is called before the first Send.
func (c *Channel) Remember(k *Keys, d *Devices) { c.keys, c.devices = k, d }

// Open reads a channel that has no settings but those of all channels. See subscribers.Type.
func (c *Channel) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var none struct{}
	if err := decode(&none); err != nil {
		return nil, err
	}
	return endpoint{c}, nil
}

// target judges the address of a device. The error is without it.
func (c *Channel) target(address string) (*url.URL, error) {
	to, err := subscribers.ParseURL(address, c.opts.AllowPlain)
	if err == nil {
		err = subscribers.CheckHost(to, c.opts.MayDial)
	}
	return to, err
}

// endpoint is all devices of whoever is told.
type endpoint struct{ *Channel }

// Send hands the note to the push services of all devices, and returns nil when one of them has taken it. A device whose service
// says that it is gone is forgotten. Where there is none, the next way of telling is due at once.
func (e endpoint) Send(ctx context.Context, d events.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	devices := e.devices.of(d.Recipient)
	failures := make([]error, len(devices))
	var all sync.WaitGroup
	for i, device := range devices {
		all.Go(func() { failures[i] = e.tell(ctx, d, device) })
	}
	all.Wait()
	none := &events.Failure{Reason: events.ReasonNoDevice, Permanent: true}
	var failed error = none
	told := false
	for i, err := range failures {
		f, ok := errors.AsType[*events.Failure](err)
		switch {
		case err == nil:
			told = true
		case ok && f.Permanent && (f.Status == http.StatusNotFound || f.Status == http.StatusGone):
			none.Status = f.Status
			if err := e.devices.remove(ctx, d.Recipient, devices[i]); err != nil {
				failed = &events.Failure{Reason: events.ReasonInternal, Err: errors.New("a device that is gone could not be forgotten")}
			}
		default:
			failed = err
		}
	}
	if told {
		return nil
	}
	return failed
}

// note is what the service worker of the hub's pages shows. The shape is a promise: a worker may be older than the hub.
type note struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Link  string `json:"link"`
}

// tell makes one attempt at one device.
func (e endpoint) tell(ctx context.Context, d events.Delivery, device Device) error {
	n := note{Title: words.Say(device.Lang, "title"), Text: words.Say(device.Lang, "told"), Link: d.Hub}
	if d.Test {
		n.Text = words.Say(device.Lang, "test")
	}
	if d.Link != nil {
		n.Link = d.Link()
	}
	text, err := json.Marshal(n)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	r, err := e.request(ctx, d, device, text)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Err: errors.New("no message can be made for a device")}
	}
	resp, err := e.client.Do(r)
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	// A short reply is read to its end so that the connection can be used again. It may hold the address: nobody is told of it.
	_, _ = subscribers.TakeReply(resp, subscribers.MaxReply, nil)
	return subscribers.HTTPFailure(resp, func(status int) bool { return status == http.StatusNotFound || status == http.StatusGone })
}

// request is a message as RFC 8030, 5, has it. A repeat takes the place of what the phone has not fetched yet (5.4).
func (e endpoint) request(ctx context.Context, d events.Delivery, device Device, text []byte) (*http.Request, error) {
	to, err := e.target(device.Endpoint)
	if err != nil {
		return nil, err
	}
	body, err := e.keys.seal(text, d.ID, device)
	if err != nil {
		return nil, err
	}
	proof, err := e.keys.proof(to, e.opts.Contact, e.opts.Now())
	if err != nil {
		return nil, err
	}
	urgency := "normal"
	if d.Urgent {
		urgency = "high"
	}
	r := &http.Request{Method: http.MethodPost, URL: to, Host: to.Host, Header: http.Header{
		"Authorization":    {proof},
		"Content-Encoding": {"aes128gcm"},
		"Content-Type":     {"application/octet-stream"},
		"Ttl":              {strconv.Itoa(int(ttl.Seconds()))},
		"Urgency":          {urgency},
		"Topic":            {d.ID},
		"User-Agent":       {"carehub/" + e.opts.Version},
	}}
	return subscribers.Repeatable(r.WithContext(ctx), body), nil
}
