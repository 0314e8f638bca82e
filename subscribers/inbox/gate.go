package inbox

import (
	"context"
	"slices"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// Guard is a subscriber whose inboxes take what they should: nothing about a patient goes to an address that nobody has
// verified, or to somebody who has said that they are away. Both are a permanent no, so that the next channel opens or a
// person is told at once. Alarms, which are about no patient, always pass.
func (k *Keeper) Guard(s subscribers.Subscriber) subscribers.Subscriber {
	owned := false
	for i, c := range s.Channels {
		mail, ok := c.Endpoint.(subscribers.Mailbox)
		if !ok {
			continue
		}
		if !owned {
			s.Channels, owned = slices.Clone(s.Channels), true // the register's are shared
		}
		s.Channels[i].Endpoint = &gate{k, place{s.ID, c.Key}, mail}
	}
	return s
}

// gate stands before one mailbox.
type gate struct {
	keeper *Keeper
	at     place
	mail   subscribers.Mailbox
}

// Send sends to the address in force, if it may be sent anything.
func (g *gate) Send(ctx context.Context, d events.Delivery) error {
	rec := g.keeper.record(g.at)
	address := rec.Address(g.mail.Address())
	if d.Kind != events.Alarm {
		switch {
		case !rec.IsVerified(address):
			g.keeper.wait(g.at, address)
			return &events.Failure{Reason: events.ReasonUnverified, Permanent: true}
		case rec.Inbox.Away.Now(time.Now()):
			return &events.Failure{Reason: events.ReasonPaused, Permanent: true}
		}
	}
	to, err := inForce(g.mail, address)
	if err != nil {
		return &events.Failure{Reason: events.ReasonAddress, Permanent: true, Err: err}
	}
	return to.Send(ctx, d)
}

// inForce is a mailbox at the address that mail for it goes to.
func inForce(m subscribers.Mailbox, address string) (subscribers.Mailbox, error) {
	if address == m.Address() {
		return m, nil
	}
	return m.At(address)
}
