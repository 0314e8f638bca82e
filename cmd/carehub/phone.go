package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/page"
	"carehub/events/phone"
	"carehub/events/receipts"
	"carehub/routing"
	"carehub/subscribers"
)

// phonePages are the carer's pages.
func (h *hub) phonePages(d desk, src source, draining <-chan struct{}) *phone.Pages {
	return phone.New(phone.Options{
		Writer: page.Writer{Hub: d.sender, Log: h.log}, Required: h.signin.Required, Session: h.signin.Session, Patients: d.lookedAfter,
		Preview: h.previewOf(d, src), Log: h.logged, Undo: h.undo(src), Correct: h.corrected,
		Find: func(ctx context.Context, by events.Actor, id string) (events.Stored, error) {
			return findFor(ctx, d, src, by, id)
		},
		Own: func(ctx context.Context, by events.Actor, id string) (events.Stored, error) {
			return ownFor(ctx, src, by, id)
		},
		Missing: h.askAdmin,
		Keep:    h.keep, Kept: h.keptFor, Document: h.opened,
		Recent: func(ctx context.Context, by events.Actor, patient string, most int) ([]events.Stored, error) {
			return recentFor(ctx, d, src, by, patient, most)
		},
		Receipts: src.Receipts, Watch: src.Watch, Words: receipts.Words, Message: receipts.Message, Contacts: d.contacts, Name: d.nameOf, Push: d.pushes, Passkey: h.signin.MayOffer, Admin: d.isAdmin,
		Zone: d.Zone, Clock: time.Now, Draining: draining, Logger: h.log,
	})
}

func requestOf(e phone.Entry) intake.Request {
	return intake.Request{Patient: e.Patient, Kind: e.Kind, Because: e.Because, Occurred: e.Occurred, Place: e.Place, Words: e.Words, Key: e.Key,
		Single: !e.Another, Hold: holdFor, Documents: e.Documents}
}

// logged stores what a carer has sent from their pages.
func (h *hub) logged(ctx context.Context, by events.Actor, e phone.Entry) (events.Stored, error) {
	result, err := h.intake.Log(ctx, by, requestOf(e))
	if errors.Is(err, intake.ErrRepeat) {
		return events.Stored{}, phone.ErrRepeat
	}
	if err != nil {
		h.meter.answered("", string(events.KindOf(err)))
		return events.Stored{}, err
	}
	how := "repeated"
	if result.Created {
		how = "created"
	}
	ev := result.Stored.Record.Event
	h.meter.answered(ev.Kind, how)
	h.log.Info("event", "event", ev.ID, "kind", string(ev.Kind), "created", result.Created, "flags", ev.Flags)
	return result.Stored, nil
}

// previewOf says what would come of an entry and, where the same was logged a moment ago, of which event it may be a repeat.
func (h *hub) previewOf(d desk, src source) func(context.Context, events.Actor, phone.Entry) (phone.Plan, error) {
	return func(ctx context.Context, by events.Actor, e phone.Entry) (phone.Plan, error) {
		request := requestOf(e)
		request.DryRun = true
		result, err := h.intake.Log(ctx, by, request)
		if err != nil {
			return phone.Plan{}, err
		}
		plan := phone.Plan{Stored: result.Stored, About: result.About}
		if result.Stored.Record.Event.Has(events.FlagRepeat) {
			recent, err := src.Timeline(ctx, result.Stored.Record.Event.Patient, events.Place{}, 20)
			if err != nil {
				return phone.Plan{}, err
			}
			if i := slices.IndexFunc(recent, func(st events.Stored) bool { return st.Record.Event.Kind == e.Kind && !st.Record.Event.Test }); i >= 0 {
				plan.Same, plan.Seen = &recent[i].Record.Event, d.maySee(by, recent[i].Record)
			}
		}
		return plan, nil
	}
}

// lookedAfter are the patients that a carer may log for or see, by what they call them.
func (d desk) lookedAfter(by events.Actor) (all []phone.Patient) {
	called := map[string][]string{}
	for _, alias := range d.rules.Aliases(by.ID) {
		if patient, ok := d.rules.Resolve(by.ID, alias); ok {
			called[patient] = append(called[patient], alias)
		}
	}
	now := time.Now().In(d.hub.Location)
	for _, id := range d.rules.Patients() {
		logs, sees := d.rules.May(by.ID, id, routing.Log, now), d.rules.May(by.ID, id, routing.See, now)
		if logs == routing.No && sees != routing.Allowed {
			continue
		}
		p := d.patients[id]
		one := phone.Patient{ID: id, As: called[id], Log: logs != routing.No, See: sees == routing.Allowed, Ended: logs == routing.Ended}
		if logs == routing.Allowed || sees == routing.Allowed {
			one.Name, one.Born, one.Died = p.Name, string(p.Born), string(p.Deceased)
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b phone.Patient) int {
		return strings.Compare(strings.Join(a.As, " "), strings.Join(b.As, " "))
	})
	return all
}

// findFor is an event that somebody may see.
func findFor(ctx context.Context, d desk, src source, by events.Actor, id string) (events.Stored, error) {
	st, err := src.Find(ctx, id)
	if err == nil && !d.maySee(by, st.Record) {
		return events.Stored{}, &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
	}
	return st, err
}

// ownFor is an event that somebody has logged.
func ownFor(ctx context.Context, src source, by events.Actor, id string) (events.Stored, error) {
	st, err := src.Find(ctx, id)
	if err == nil && st.Record.Event.By != by {
		return events.Stored{}, &events.Error{Kind: events.NotFound, Message: "There is no such event here."}
	}
	return st, err
}

// askAdmin has the alarm recipients look at whom a patient's rules name, once a day for each carer who asks.
func (h *hub) askAdmin(ctx context.Context, by events.Actor, patient string) error {
	about := events.About{Event: "missing-" + patient + time.Now().UTC().Format("-20060102"), Recipient: by.ID, Reason: events.ReasonMissing, Patients: patient}
	words := fmt.Sprintf("%s says that somebody is missing among those who are told of %s. Please phone them, and look at routing/%s.yaml.", by.ID, patient, patient)
	fresh, err := storeAlarm(ctx, h.current(), h.archive, about, words)
	if fresh {
		h.meter.alarmed(about)
	}
	return err
}

// recentFor are a patient's newest events that somebody may see: of the last hundred, most at the most.
func recentFor(ctx context.Context, d desk, src source, by events.Actor, patient string, most int) (seen []events.Stored, err error) {
	all, err := src.Timeline(ctx, patient, events.Place{}, 100)
	for _, st := range all {
		if d.maySee(by, st.Record) && len(seen) < most {
			seen = append(seen, st)
		}
	}
	return seen, err
}

// contacts are whom to phone about a patient: everyone that any rule names, and the hub itself.
func (d desk) contacts(patient string) (all []phone.Contact) {
	for _, id := range d.rules.Recipients(patient, d.today()) {
		if s, ok := d.register.Lookup(id); ok && s.Phone != "" && !s.Carer {
			all = append(all, phone.Contact{Name: s.Name, Phone: s.Phone})
		}
	}
	return append(all, phone.Contact{Name: d.hub.Name, Phone: d.hub.Contact.Phone})
}

// pushes reports whether notes are a way in which the hub may tell a carer.
func (d desk) pushes(by events.Actor) bool {
	s, ok := d.register.Lookup(by.ID)
	return ok && slices.ContainsFunc(s.Channels, func(c subscribers.Channel) bool { return c.Type == "push" })
}

// nameOf is what somebody who logs is called.
func (d desk) nameOf(by events.Actor) string {
	p, _ := d.register.Person(by.ID)
	s, _ := d.register.Lookup(by.ID)
	return cmp.Or(p.Name, s.Name, by.ID)
}
