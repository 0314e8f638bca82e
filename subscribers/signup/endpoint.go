package signup

import (
	"context"
	"errors"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

// endpoint is where a Subscription's notifications go; see subscribers.Endpoint.
type endpoint struct {
	*Service
	sub *Subscription
}

var (
	errNotActive = errors.New("the subscription is not active")
	errNotFound  = errors.New("the event has no number in the subscription")
)

// Send tells the subscriber of one event, perhaps together with others that come at the same time.
func (e endpoint) Send(ctx context.Context, d events.Delivery) error {
	switch sub := e.sub; {
	case sub.Status == Off || sub.ended(e.Clock()):
		return &events.Failure{Reason: events.ReasonRevoked, Permanent: true}
	case sub.Status != Active: // until the handshake, or until its subscriber mends it
		return &events.Failure{Reason: events.ReasonSuspended, Err: errNotActive}
	}
	number, ok, err := e.Number(ctx, d.Event, e.sub.ID)
	if err == nil && !ok {
		err = errNotFound
	}
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Err: err}
	}
	told, err := e.notified(number, d.Recorded, e.sub.Set.Content.within(d.Content), d.Event, d.Message)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	l := e.lines.of(e.sub.ID)
	if e.sub.Set.MaxCount == 1 {
		return e.tell(ctx, l, d.ID, []fhir.Notified{told}, d.Answered)
	}
	return l.together(ctx, e.sub.Set.MaxCount, d.ID, told, func(ctx context.Context, id string, all []fhir.Notified) error {
		return e.tell(ctx, l, id, all, d.Answered)
	})
}

// notified is an event as a notification of this level has it.
func (s *Service) notified(number uint64, at time.Time, level Content, event string, message []byte) (fhir.Notified, error) {
	n := fhir.Notified{Number: number, At: at, Full: level == Full}
	if level == Empty {
		return n, nil
	}
	var err error
	n.Resources, err = s.shelf.resources(event, message)
	return n, err
}

// tell posts a notification of events. Its bytes are made of the events and the Subscription alone, so that a repeat is
// the same: events-since-subscription-start is as of the newest event in it, and its time that event's.
func (e endpoint) tell(ctx context.Context, l *line, delivery string, all []fhir.Notified, answered func(events.Reply)) error {
	n := e.notification(e.sub, fhir.EventNotification)
	n.Events, n.ID = all, events.UUID("notification", delivery)
	n.Since, n.At = all[len(all)-1].Number, all[len(all)-1].At
	body, err := n.Encode()
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	err = e.post(ctx, e.sub, events.UUID("request", delivery), body, answered)
	e.observe(ctx, e.sub, l, err)
	return err
}

// post sends a notification once. answered, unless it is nil, hears of the reply.
func (s *Service) post(ctx context.Context, sub *Subscription, request string, body []byte, answered func(events.Reply)) error {
	ctx, cancel := context.WithTimeout(ctx, sub.Set.Timeout)
	defer cancel()
	r := &http.Request{Method: http.MethodPost, URL: sub.Set.url, Host: sub.Set.url.Host, Header: http.Header{
		"Accept":       {fhir.MediaType},
		"Content-Type": {sub.Set.Mime},
		"User-Agent":   {"carehub/" + s.Version},
		"X-Request-Id": {request},
	}}
	for _, h := range sub.Set.Headers {
		name, value, _ := splitHeader(h)
		r.Header.Add(name, value)
	}
	resp, err := s.Client.Do(subscribers.Repeatable(r.WithContext(ctx), body))
	if err != nil {
		return subscribers.NetworkFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = subscribers.TakeReply(resp, subscribers.MaxReply, answered) // so that the connection can be kept, too
	return subscribers.HTTPFailure(resp, func(status int) bool { return status == http.StatusGone })
}
