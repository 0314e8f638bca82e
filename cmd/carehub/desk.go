package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/intake"
	"carehub/routing"
	"carehub/subscribers/signup"
)

// desk is what the doors ask of the configuration in force. It joins what routing, the register and patients.yaml know,
// which know nothing of each other.
type desk struct {
	*folder
	subs *signup.Service // nil where nobody subscribes: in a bench of parts
}

// Resolve returns the patient that by means.
func (d desk) Resolve(by events.Actor, who string) (string, error) {
	if patient, ok := d.rules.Resolve(by.ID, who); ok {
		return patient, nil
	}
	return "", &events.Error{Kind: events.Invalid, Message: "Nobody is known to you by that name."}
}

// Aliases are what by calls people.
func (d desk) Aliases(by events.Actor) map[string]string {
	aliases := map[string]string{}
	for _, text := range d.rules.Aliases(by.ID) {
		if patient, ok := d.rules.Resolve(by.ID, text); ok {
			aliases[text] = patient
		}
	}
	return aliases
}

// May says whether by may log events about the patient.
func (d desk) May(by events.Actor, patient string, now time.Time) intake.Authority {
	switch d.rules.May(by.ID, patient, routing.Log, now) {
	case routing.Allowed:
		return intake.Allowed
	case routing.Ended:
		return intake.Ended
	}
	return intake.No
}

// maySee says whether by may see who was told of an event: who logged it, a system that was told of it and would be today
// (of an alarm, which no rule sends, that was told), or who may see the patient.
func (d desk) maySee(by events.Actor, rec events.Record) bool {
	if _, registered := d.register.Lookup(by.ID); !registered {
		return false
	}
	now := d.today()
	if rec.Event.By == by {
		return d.rules.May(by.ID, rec.Event.Patient, routing.Log, now) == routing.Allowed
	}
	alarmed := rec.Event.Kind == events.Alarm && slices.ContainsFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.Is(by.ID) })
	if by.Kind == events.System && (alarmed || d.told(by, &rec)) {
		return true
	}
	return d.rules.May(by.ID, rec.Event.Patient, routing.See, now) == routing.Allowed
}

// mayBeTold says whether a recipient of a frozen plan may still be told. A provider may as long as it is registered: what
// it was to know of does not change with the rules. A carer taken off the patient is told nothing more, and neither is a
// system that subscribed by itself.
func (d desk) mayBeTold(rec *events.Record, recipient string) bool {
	if events.IsSubscription(recipient) {
		return d.subs != nil && d.subs.MayBeTold(rec, recipient)
	}
	s, registered := d.register.Lookup(recipient)
	e := rec.Event
	if !registered || !s.Carer {
		return registered
	}
	if e.Kind == events.Alarm {
		return d.mayHear(rec, recipient)
	}
	return d.namesFor(recipient, &e) || d.isStepFor(recipient, &e)
}

// mayHear says whether a carer may still hear of an alarm: whoever hears of it because they logged what it is about, as long as they may.
func (d desk) mayHear(alarm *events.Record, carer string) bool {
	asLogger := slices.ContainsFunc(alarm.Plan.Recipients, func(r events.Recipient) bool { return r.ID == carer && r.Rule == events.LoggersRule })
	return !asLogger || alarm.Plan.About == nil ||
		d.rules.May(carer, events.PatientOf(alarm.Plan.About.Event), routing.Log, d.today()) == routing.Allowed
}

// barred says whether the rules no longer let a carer be told of an event whose plan names them.
func (d desk) barred(rec *events.Record, recipient string) bool {
	s, registered := d.register.Lookup(recipient)
	return registered && s.Carer && !d.mayBeTold(rec, recipient)
}

// Plan freezes who is told of e.
func (d desk) Plan(e events.Event) events.Plan {
	kind := d.hub.Kinds[e.Kind]
	plan := events.Plan{Rules: d.hash(), Hub: d.hub.URL, Renderer: events.Renderer, Urgency: kind.Urgency,
		FallbackAfter: kind.FallbackAfter, AlarmAfter: kind.AlarmAfter, GiveUpAfter: giveUpAfter}
	if because, ok := d.hub.Kinds[e.Because]; ok { // the stricter of the two
		plan.FallbackAfter = min(plan.FallbackAfter, because.FallbackAfter)
		plan.AlarmAfter = min(plan.AlarmAfter, because.AlarmAfter)
		if because.Urgency == events.Urgent {
			plan.Urgency = events.Urgent
		}
	}
	matches, _ := d.rules.Match(askedOf(&e))
	for _, m := range matches {
		plan.Recipients = append(plan.Recipients, attached(&e, m, d.rows(&e, m))...)
	}
	d.asked(&plan, &e, matches)
	if plan.Urgency != events.Urgent {
		d.hush(plan.Recipients)
	}
	return plan
}

// People are whom a message names.
func (d desk) People(e events.Event) (events.Patient, events.Person, events.Sender) {
	by, ok := d.register.Person(e.By.ID)
	if !ok {
		s, _ := d.register.Lookup(e.By.ID)
		by = events.Person{ID: e.By.ID, Kind: e.By.Kind, Name: cmp.Or(s.Name, e.By.ID), Phone: s.Phone}
	}
	return d.patients[e.Patient].Events(e.Patient), by, d.sender()
}

// Zone is where the hub is.
func (d desk) Zone() *time.Location { return d.hub.Location }

// Phones are whom to phone about the patient when nobody can be told: everyone that any rule names, and the hub itself.
func (d desk) Phones(patient string) (phones []string) {
	for _, c := range d.contacts(patient) {
		phones = append(phones, c.Name+" "+c.Phone)
	}
	return phones
}

// recipient is a registered subscriber as a plan names them.
func (f *folder) recipient(id, rule string) (events.Recipient, bool) {
	s, ok := f.register.Lookup(id)
	r := events.Recipient{ID: id, Name: cmp.Or(s.Name, id), Phone: s.Phone, Rule: rule, Language: s.Language}
	for _, c := range s.Channels {
		r.Channels = append(r.Channels, c.Channel)
	}
	return r, ok
}

// matched is a registered subscriber with what a rule gives them: the channels tell no more than it lets them.
func (f *folder) matched(id string, m routing.Match) (events.Recipient, bool) {
	r, ok := f.recipient(id, m.Rule)
	r.Content = m.Content
	for i, c := range r.Channels {
		r.Channels[i].Content = c.Content.Within(m.Content)
	}
	return r, ok
}

// sender is the hub as recipients see it.
func (f *folder) sender() events.Sender {
	return events.Sender{Name: f.hub.Name, URL: f.hub.URL, Phone: f.hub.Contact.Phone, Email: f.hub.Contact.Email, Version: version}
}

// hash names the rules in force.
func (f *folder) hash() string { return f.rules.Hash() }

// holder is who a token is for.
func (f *folder) holder(id string, system bool) (events.Actor, error) {
	s, ok := f.register.Lookup(id)
	switch {
	case !ok:
		return events.Actor{}, fmt.Errorf("%q is neither in carers.yaml nor in subscribers/%s", id, strict.DidYouMean(id, f.everyone()))
	case s.Carer && system:
		return events.Actor{}, fmt.Errorf("%s is a carer, not a system", id)
	case s.Carer:
		return events.Actor{Kind: events.Carer, ID: id}, nil
	}
	return events.Actor{Kind: events.System, ID: id}, nil
}
