package main

import (
	"context"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/attempts"
	"carehub/subscribers/deliver"
	"carehub/subscribers/endpoints"
)

// endpointDesk does what the admin, or a provider for itself, asks of an endpoint.
type endpointDesk struct {
	desk
	learned *endpoints.Registry
	tried   *attempts.Log
	engine  *deliver.Engine
	events  source
}

func (h *hub) endpointDesk(d desk) endpointDesk {
	return endpointDesk{desk: d, learned: h.learned, tried: h.tried, engine: h.engine, events: source{h.archive, h.engine, h.returns, h.answers, nil}}
}

// endpointAsk is what may be said with a request about an endpoint.
type endpointAsk struct {
	Event string    `json:"event,omitempty"` // redeliver
	Since time.Time `json:"since,omitzero"`  // log, recover
	Limit int       `json:"limit,omitempty"` // log
	All   bool      `json:"all,omitempty"`   // recover: also what was told
}

// endpointView is an endpoint as it stands.
type endpointView struct {
	Subscriber  string     `json:"subscriber"`
	Channel     string     `json:"channel"`
	Type        string     `json:"type"`
	Verified    *bool      `json:"verified,omitempty"` // absent where nothing is asked to prove itself
	VerifiedAt  time.Time  `json:"verified_at,omitzero"`
	Paused      *pauseView `json:"paused,omitempty"`
	Rotated     time.Time  `json:"rotated,omitzero"` // when the hub made the secret that signs
	Rate        int        `json:"rate,omitempty"`
	Concurrency int        `json:"concurrency,omitempty"`
}

type pauseView struct {
	Since  time.Time     `json:"since"`
	Reason events.Reason `json:"reason"`
	By     string        `json:"by,omitempty"`
}

// attemptView is an entry of the delivery log.
type attemptView struct {
	At       time.Time           `json:"at"`
	Event    string              `json:"event,omitempty"`
	Delivery string              `json:"delivery,omitempty"`
	Attempt  int                 `json:"attempt,omitempty"` // absent for a repeat that somebody asked for
	Result   string              `json:"result"`
	Status   int                 `json:"status,omitempty"`
	MS       int64               `json:"ms"`
	Headers  map[string][]string `json:"headers,omitempty"`
	Body     string              `json:"body,omitempty"`
	Next     time.Time           `json:"next,omitzero"`
}

func viewAttempt(a events.Attempt) attemptView {
	v := attemptView{At: a.At.UTC().Truncate(time.Millisecond), Event: a.Event, Delivery: a.Delivery, Attempt: a.Number, Result: a.Result,
		MS: a.Took.Milliseconds(), Next: a.Next}
	if a.Reply != nil {
		v.Status, v.Headers, v.Body = a.Reply.Status, a.Reply.Header, string(a.Reply.Body)
	}
	return v
}

// rotated is a new secret, shown this once.
type rotated struct {
	Secret string    `json:"secret"`
	Until  time.Time `json:"old_signs_until"`
}

// list shows the endpoints of a subscriber, or of all.
func (d endpointDesk) list(subscriber string) []endpointView {
	all := []endpointView{}
	for _, s := range d.folder.register.All() {
		for _, c := range s.Channels {
			if ofSystem(c.Type) && (subscriber == "" || s.ID == subscriber) {
				all = append(all, d.view(s.ID, c))
			}
		}
	}
	return all
}

func (d endpointDesk) view(subscriber string, c subscribers.Channel) endpointView {
	rec := d.learned.Get(subscriber, c.Key)
	v := endpointView{Subscriber: subscriber, Channel: c.Key, Type: c.Type, Rate: c.Limits.Rate, Concurrency: c.Limits.Concurrency}
	if proves, ok := c.Endpoint.(subscribers.Verifiable); ok {
		verified := proves.Verified(subscriber, c.Key)
		v.Verified = &verified
		if verified {
			v.VerifiedAt = rec.Verified
		}
	}
	if p := rec.PausedAt(subscribers.Target(c.Endpoint)); p != nil {
		v.Paused = &pauseView{p.At, p.Reason, p.By}
	}
	if signs, ok := c.Endpoint.(subscribers.Signed); ok && rec.Secret != nil && rec.Secret.InPlaceOf == signs.SecretHash() {
		v.Rotated = rec.Secret.At
	}
	return v
}

// endpointActions are what can be asked of one endpoint, by their names in commands and URLs. say is called with each
// answer: one, but for recover.
var endpointActions = map[string]func(d endpointDesk, ctx context.Context, by string, at endpointAt, ask endpointAsk, say func(any) error) error{
	"test":          endpointDesk.test,
	"rotate-secret": endpointDesk.rotate,
	"log":           endpointDesk.log,
	"pause":         endpointDesk.pause,
	"resume":        endpointDesk.resume,
	"redeliver":     endpointDesk.redeliver,
	"recover":       endpointDesk.recover,
}

// endpointAt is the endpoint of a request.
type endpointAt struct {
	subscriber string
	subscribers.Channel
}

// test has the endpoint prove itself, and ends a pause that began because it was gone.
func (d endpointDesk) test(ctx context.Context, _ string, at endpointAt, _ endpointAsk, say func(any) error) error {
	proves, ok := at.Endpoint.(subscribers.Verifiable)
	if !ok {
		return &events.Error{Kind: events.Invalid, Message: "A FHIR server is not challenged. Log a test event to try it."}
	}
	a := events.Attempt{At: time.Now(), Recipient: at.subscriber, Channel: at.Key, Type: at.Type, Event: "verification", Result: events.Delivered}
	err := proves.Verify(ctx, at.subscriber, at.Key, func(r events.Reply) { a.Reply = &r })
	if failure, ok := err.(*events.Failure); ok {
		a.Result = string(failure.Reason)
	} else if err != nil {
		return err
	}
	a.Took = time.Since(a.At)
	d.tried.Add(a)
	if err == nil {
		if _, err := d.unpause(ctx, at, func(p *endpoints.Pause) bool { return p.Reason == events.ReasonGone }); err != nil {
			return err
		}
	}
	return say(viewAttempt(a))
}

// rotate makes a new secret. What was in use signs beside it for a day.
func (d endpointDesk) rotate(ctx context.Context, _ string, at endpointAt, _ endpointAsk, say func(any) error) error {
	signs, ok := at.Endpoint.(subscribers.Signed)
	if !ok {
		return &events.Error{Kind: events.Invalid, Message: "Only a webhook has a secret that the hub can change."}
	}
	made, err := d.learned.Rotate(ctx, at.subscriber, at.Key, signs.SecretHash())
	if err != nil {
		return err
	}
	return say(rotated{made.Value, made.At.Add(endpoints.Overlap)})
}

// The most entries of the delivery log in one answer, and how many there are if nobody says.
const (
	mostLogged  = 1000
	usualLogged = 50
)

// log shows the newest attempts, the oldest of them first.
func (d endpointDesk) log(ctx context.Context, _ string, at endpointAt, ask endpointAsk, say func(any) error) error {
	if ask.Limit == 0 {
		ask.Limit = usualLogged
	}
	if ask.Limit < 1 || ask.Limit > mostLogged {
		return &events.Error{Kind: events.Invalid, Message: "limit is a number from 1 to 1000."}
	}
	all, err := d.tried.List(ctx, at.subscriber, at.Key, ask.Since, ask.Limit)
	if err != nil {
		return err
	}
	views := make([]attemptView, len(all))
	for i, a := range all {
		views[i] = viewAttempt(a)
	}
	return say(views)
}

// pause stops everything to the endpoint. by is the provider that asks, empty for the admin: of a provider's pause the
// alarm recipients hear, for nobody is to be missed in silence.
func (d endpointDesk) pause(ctx context.Context, by string, at endpointAt, _ endpointAsk, say func(any) error) error {
	_, err := d.learned.Change(ctx, at.subscriber, at.Key, func(rec *endpoints.Record) error {
		if rec.PausedAt(subscribers.Target(at.Endpoint)) == nil {
			rec.Paused = &endpoints.Pause{At: time.Now().UTC().Truncate(time.Second), Reason: events.ReasonPaused, By: by, Told: by == ""}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return say(d.view(at.subscriber, at.Channel))
}

// resume lets what waits go, in order.
func (d endpointDesk) resume(ctx context.Context, _ string, at endpointAt, _ endpointAsk, say func(any) error) error {
	if _, err := d.unpause(ctx, at, func(*endpoints.Pause) bool { return true }); err != nil {
		return err
	}
	return say(d.view(at.subscriber, at.Channel))
}

func (d endpointDesk) unpause(ctx context.Context, at endpointAt, which func(*endpoints.Pause) bool) (endpoints.Record, error) {
	if rec := d.learned.Get(at.subscriber, at.Key); rec.Paused == nil {
		return rec, nil
	}
	return d.learned.Change(ctx, at.subscriber, at.Key, func(rec *endpoints.Record) error {
		if rec.Paused != nil && which(rec.Paused) {
			rec.Paused = nil
		}
		return nil
	})
}
