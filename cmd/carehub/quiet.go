package main

import (
	"carehub/events"
	"carehub/subscribers"
)

// hush freezes the quiet hours of the recipients of an event that can wait. A Subscription of a system has none: nobody there
// is woken by it.
func (f *folder) hush(recipients []events.Recipient) {
	for i := range recipients {
		if s, ok := f.register.Lookup(recipients[i].ID); ok {
			recipients[i].Quiet = f.quietHours(s)
		}
	}
}

// quietHours are those of a subscriber, in the hub's time zone unless they say another; nil where there are none.
func (f *folder) quietHours(s subscribers.Subscriber) *events.Quiet {
	if s.Quiet == nil {
		return nil
	}
	q := *s.Quiet
	if q.Zone == "" {
		q.Zone = f.hub.Timezone
	}
	return &q
}

// quietly says when somebody is not told of an event of a kind: ", not from 22:00 to 07:00 (Europe/London)".
func (f *folder) quietly(s subscribers.Subscriber, q question) string {
	h := f.quietHours(s)
	if h == nil || len(s.Channels) == 0 || f.hub.Kinds[q.kind].Urgency == events.Urgent || f.hub.Kinds[q.because].Urgency == events.Urgent {
		return ""
	}
	return ", not from " + h.From + " to " + h.To + " (" + h.Zone + ")"
}
