package main

import (
	"context"
	"time"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/page"
	"carehub/events/receipts"
	"carehub/events/timeline"
	"carehub/routing"
)

// timelinePages are a patient's events, the card to show to staff, and letters to hand over.
func (h *hub) timelinePages(d desk, src source) *timeline.Pages {
	return &timeline.Pages{Options: timeline.Options{
		Writer: page.Writer{Hub: d.sender, Log: h.log}, Required: h.signin.Required, Patient: d.shown, MaySee: d.maySee,
		Find: src.Find, Timeline: src.Timeline, Receipts: src.Receipts, Words: receipts.Words, Name: d.nameOf,
		Contacts: func(patient string) (all []timeline.Contact) {
			for _, c := range d.contacts(patient) {
				all = append(all, timeline.Contact(c))
			}
			return all
		},
		Audit: func(ctx context.Context, a timeline.Access) error {
			return h.audit(ctx, audit.Access{By: a.By, Interaction: a.Interaction, Type: a.Type, ID: a.ID, Patient: a.Patient,
				Refused: a.Refused, From: a.From, At: a.At})
		},
		Zone: d.Zone, Clock: time.Now, Log: h.log,
	}}
}

// shown is who a pseudonym stands for, to somebody whose right to see them has not ended.
func (d desk) shown(by events.Actor, patient string) (events.Patient, bool) {
	p, known := d.patients[patient]
	now := time.Now().In(d.hub.Location)
	if !known || d.rules.May(by.ID, patient, routing.See, now) != routing.Allowed {
		return events.Patient{}, false
	}
	return p.Events(patient), true
}
