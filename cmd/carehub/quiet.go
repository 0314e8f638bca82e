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
