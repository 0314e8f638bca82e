// Package email tells subscribers by email: one recipient per message, over a few kept connections to the hub's own
// submission server, encrypted or not at all. A message is the same bytes at every attempt, and neither its headers nor
// any error holds anything of the patient.
package email

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"carehub/events"
	"carehub/subscribers"
)

// Channel is the hub's mail account as a way of reaching subscribers. It is safe for concurrent use.
type Channel struct {
	config  Config
	pool    *pool
	limiter *rate.Limiter
	large   chan struct{} // one for each message with files that is under way
}

var _ subscribers.Type = (*Channel)(nil)

// New checks the settings, without the network. Its error is a *subscribers.FieldError with the key that is wrong, as it
// stands in hub.yaml. Close must be called at the end.
func New(c Config) (*Channel, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	c.FullTo = slices.Clone(c.FullTo)
	for i := range c.FullTo {
		c.FullTo[i] = strings.ToLower(c.FullTo[i])
	}
	return &Channel{config: c, pool: newPool(c.Connections, c.dial), limiter: newLimiter(c.PerMinute), large: make(chan struct{}, mostLarge)}, nil
}

// newLimiter lets a quarter of a minute's messages go at once, so that one event's recipients need not queue, and spreads
// the rest so that no 60 seconds see more than perMinute.
func newLimiter(perMinute int) *rate.Limiter {
	if perMinute == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	burst := max(1, perMinute/4)
	return rate.NewLimiter(rate.Limit(float64(perMinute-burst+1)/60), burst)
}

// Close refuses further messages, waits for those under way and signs off from the server; when ctx ends it breaks off
// what is left. Closing twice does no harm.
func (c *Channel) Close(ctx context.Context) { c.pool.close(ctx) }

// Open reads a subscriber's settings: to, one bare address, and content, by default a link. Full content is only for the
// domains of Config.FullTo.
func (c *Channel) Open(decode func(into any) error) (subscribers.Endpoint, error) {
	var settings struct {
		To      string         `yaml:"to"`
		Content events.Content `yaml:"content"`
	}
	if err := decode(&settings); err != nil {
		return nil, err
	}
	if err := checkAddress(settings.To); err != nil {
		return nil, wrong("to", err.Error())
	}
	switch settings.Content {
	case "", events.ContentLink, events.ContentSummary:
	case events.ContentFull:
		if !c.mayHaveFull(settings.To) {
			return nil, wrong("content", "full is only for addresses in the domains that hub.yaml lists for it")
		}
	default:
		return nil, wrong("content", "must be link, summary or full")
	}
	return &endpoint{c, settings.To}, nil
}

func (c *Channel) mayHaveFull(address string) bool {
	return slices.Contains(c.config.FullTo, domain(address))
}

// endpoint is one address.
type endpoint struct {
	channel *Channel
	to      string
}

// Send makes one attempt. nil means that the mail server has taken the message, whatever happened to the connection
// afterwards. A connection that breaks before its answer leaves that unknown: the failure is temporary, and the repeat
// carries the same Message-ID and, as long as the same documents can be read, the same bytes.
func (e *endpoint) Send(ctx context.Context, d events.Delivery) error {
	done, err := e.channel.turn(ctx, len(e.channel.chosen(e.to, d)))
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Err: err}
	}
	defer done()
	files, err := e.channel.files(ctx, e.to, &d)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Err: err}
	}
	m, err := e.channel.write(e.to, d, files...)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	return e.hand(ctx, m)
}

// hand gives a message to the mail server.
func (e *endpoint) hand(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, e.channel.config.Timeout)
	defer cancel()
	if e.channel.limiter.Wait(ctx) != nil { // fails at once when the turn would come after the deadline
		return classify(ctx, at(stepQueue, errLimit))
	}
	if err := e.channel.pool.send(ctx, m); err != nil {
		return classify(ctx, err)
	}
	return nil
}
