package main

import (
	"context"
	"net/http"
	"slices"

	"carehub/events"
	"carehub/events/audit"
	"carehub/routing"
	"carehub/subscribers"
	"carehub/subscribers/egress"
	"carehub/subscribers/signup"
)

// newSubscriptions connects the Subscriptions of providers' systems with all that they are part of.
func (h *hub) newSubscriptions() *signup.Service {
	guard := func() *egress.Guard { return h.current().channels.guard }
	return signup.New(signup.Options{
		Hub: h.current().hub.URL, Version: version, Store: h.store, Notices: h.store, Desk: signupDesk{h.current}, Client: inForce(h.current),
		AllowPlain: func(host string) bool { return guard().AllowPlain(host) },
		Reachable:  func(ctx context.Context, host string) error { return guard().Reachable(ctx, host) }, Mine: h.mine,
		Alarm: func(ctx context.Context, about events.About) error {
			return h.alarm(ctx, about, events.Stored{})
		},
		Resumed: func(id string) { h.engine.Resume(id) },
		Find:    func(ctx context.Context, event string) (events.Stored, error) { return h.archive.Find(ctx, event) },
		Audit: func(ctx context.Context, r signup.Recall) error {
			return h.audit(ctx, audit.Access{By: events.Actor{Kind: events.System, ID: r.By}, Interaction: "read",
				Type: "Subscription", ID: r.Subscription, Patient: r.Patient, From: r.From, At: r.At})
		},
		Permits: func(r *http.Request, resource, access string) (events.Actor, error) {
			return h.permits(r, resource, access)
		},
		Log: h.log,
	})
}

// mine reports whether what has this id is for this hub to look after: where several share a store, whoever delivers the
// partition that the id falls into.
func (h *hub) mine(id string) bool {
	if h.leases == nil {
		return true
	}
	live, _ := h.store.Layout()
	newest := h.store.Partitions()
	if len(live) < newest { // a generation is just beginning
		return false
	}
	return h.leases.MayStart(live[len(live)-newest+events.PartitionOf(id, newest)].Number)
}

// signupDesk is what Subscriptions ask of the configuration in force.
type signupDesk struct{ inForce }

// Provider returns an organisation that is registered.
func (d signupDesk) Provider(id string) (subscribers.Subscriber, bool) {
	s, ok := d.inForce().register.Lookup(id)
	return s, ok && !s.Carer
}

// Concerns reports whether the rules name a provider for anything about a patient.
func (d signupDesk) Concerns(provider, patient string) bool {
	return desk{folder: d.inForce()}.concerns(events.Actor{Kind: events.System, ID: provider}, patient)
}

// MayBeTold reports whether the rules name a provider for this event.
func (d signupDesk) MayBeTold(rec *events.Record, provider string) bool {
	return d.inForce().namesFor(provider, &rec.Event)
}

// rows are what a match adds to the plan of an event: the recipient as registered, and each of its Subscriptions that asks
// for such an event. Somebody without a channel is told by phone alone, unless a Subscription tells them: one that waits for its
// handshake, or is in error, does not.
func (d desk) rows(e *events.Event, m routing.Match) []events.Recipient {
	r, registered := d.matched(m.Recipient, m)
	s, _ := d.register.Lookup(m.Recipient)
	if !registered || s.Carer || d.subs == nil {
		return []events.Recipient{r} // whoever is not registered stands there without a channel: the engine refuses them, with an alarm
	}
	subscribed := d.subs.Rows(e, s, m.Rule, m.Content)
	if len(r.Channels) == 0 && slices.ContainsFunc(subscribed, func(row events.Recipient) bool { return d.subs.Tells(row.ID) }) {
		return subscribed
	}
	return append([]events.Recipient{r}, subscribed...)
}

// renew learns what other hubs have stored of a recipient of a plan.
func (h *hub) renew(ctx context.Context, recipient string) error {
	if !events.IsSubscription(recipient) {
		return nil
	}
	return h.subscriptions.Renew(ctx, recipient)
}

// lookup returns a recipient of a plan as it is now: a subscriber, or the Subscription of one.
func (d desk) lookup(id string) (subscribers.Subscriber, bool) {
	if d.subs != nil && events.IsSubscription(id) {
		return d.subs.Lookup(id)
	}
	return d.register.Lookup(id)
}
