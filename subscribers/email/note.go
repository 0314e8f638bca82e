package email

import (
	"context"

	"carehub/events"
	"carehub/subscribers"
)

var _ subscribers.Mailbox = (*endpoint)(nil)

func (e *endpoint) Address() string { return e.to }

// At is the same channel's mail to another address.
func (e *endpoint) At(address string) (subscribers.Mailbox, error) {
	if err := checkAddress(address); err != nil {
		return nil, wrong("to", err.Error())
	}
	return &endpoint{e.channel, address}, nil
}

// Post sends a mail of the hub's own, under all that holds for a message: the same bytes at every attempt, the same headers
// against automatic answers, the same limit.
func (e *endpoint) Post(ctx context.Context, n subscribers.Note) error {
	if !token.MatchString(n.ID) {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: errID}
	}
	hub := e.channel.config.HubName
	l := letter{Lang: english, Title: n.Title, Lead: n.Paragraphs, Link: n.Link, Action: n.Action, Foot: []string{n.Foot, notForHelp}}
	html, err := l.html()
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: errLayout}
	}
	m, err := e.channel.assemble(heading{to: e.to, id: n.ID, hub: hub, subject: hub + ": " + n.Subject, lang: english, date: n.At}, l.text(), html)
	if err != nil {
		return &events.Failure{Reason: events.ReasonInternal, Body: true, Err: err}
	}
	return e.hand(ctx, m)
}
