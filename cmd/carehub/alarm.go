package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/routing"
	"carehub/subscribers/signup"
)

// Alarms go out like any other event, through the same store and the same engine, to the people of hub.yaml's
// alarms.notify. They fall back to the next channel soon, are retried for as long as anything else, and raise no alarm of
// their own.
const (
	alarmFallback = time.Minute
	giveUpAfter   = 72 * time.Hour
	// alarmLate is when an alarm that nobody of alarms.notify has been told of is counted as unheard. It leaves time for a mail
	// server that has a new sender wait.
	alarmLate = 10 * time.Minute
)

// publisher is where alarms are stored.
type publisher interface {
	Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error)
}

// raiseAlarm stores one alarm, once for each trouble: fresh says that this was the first time.
func raiseAlarm(ctx context.Context, f desk, store publisher, about events.About, of events.Stored) (fresh bool, err error) {
	about = about.OfProvider(&of.Record.Plan)
	words := alarmWords(f, about, of)
	if of.Record.Event.Test {
		words = "TEST: this is about a test event; nothing has happened. " + words
	}
	return storeAlarm(ctx, f.folder, store, about, words, f.logger(of)...)
}

// logger is whoever logged an event from their phone, as long as they may: they are always told when somebody was not.
func (d desk) logger(of events.Stored) []events.Recipient {
	e := of.Record.Event
	if e.By.Kind != events.Carer || d.rules.May(e.By.ID, e.Patient, routing.Log, time.Now().In(d.hub.Location)) != routing.Allowed {
		return nil
	}
	r, registered := d.recipient(e.By.ID, "")
	if !registered || len(r.Channels) == 0 {
		return nil
	}
	r.Rule = events.LoggersRule
	return []events.Recipient{r}
}

// storeAlarm stores an alarm in given words, for those of alarms.notify and for others who are to hear of it, unless it is there already.
func storeAlarm(ctx context.Context, f *folder, store publisher, about events.About, words string, others ...events.Recipient) (fresh bool, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	id := events.AlarmID(about)
	message, err := fhir.EncodeAlarm(fhir.Alarm{ID: id, About: about, Words: words, Recorded: now, Hub: f.sender()})
	if err != nil {
		return false, fmt.Errorf("encode the alarm: %w", err)
	}
	rec := events.Record{V: events.RecordVersion,
		Event: events.Event{ID: id, Patient: events.HubPatient, Kind: events.Alarm, Occurred: now, Recorded: now,
			By: events.Actor{Kind: events.Hub, ID: events.HubPatient}, Words: words},
		Plan: events.Plan{Rules: f.hash(), Hub: f.hub.URL, Renderer: events.Renderer, Urgency: events.Urgent,
			FallbackAfter: alarmFallback, AlarmAfter: alarmLate, GiveUpAfter: giveUpAfter, About: &about}}
	for _, who := range f.hub.Alarms.Notify {
		if r, ok := f.recipient(who.V, who.Short()); ok {
			r.Channels = otherFirst(r.Channels, about.Channel)
			rec.Plan.Recipients = append(rec.Plan.Recipients, r)
		}
	}
	for _, r := range others {
		if !slices.ContainsFunc(rec.Plan.Recipients, func(named events.Recipient) bool { return named.ID == r.ID }) {
			rec.Plan.Recipients = append(rec.Plan.Recipients, r)
		}
	}
	_, fresh, err = store.Publish(ctx, rec, message)
	return fresh, err
}

// otherFirst puts the channels that are not the one in trouble first: news of a broken mail server should not wait for
// the mail server.
func otherFirst(channels []events.Channel, trouble string) []events.Channel {
	kind, _, _ := strings.Cut(trouble, "-") // email-2 is of type email
	sorted := slices.Clone(channels)
	slices.SortStableFunc(sorted, func(a, b events.Channel) int {
		switch {
		case (a.Type == kind) == (b.Type == kind):
			return 0
		case a.Type == kind:
			return 1
		}
		return -1
	})
	return sorted
}

// alarmWords says what a person should do, naming no patient.
func alarmWords(f desk, about events.About, of events.Stored) string {
	if words := heldWords(f.folder, about); words != "" {
		return words
	}
	ref := events.Ref(about.Event)
	if about.Reason == events.ReasonNoRecipient {
		return fmt.Sprintf("An event was logged (reference %s, %s) and no rule names anyone to tell. Nobody has been told. "+
			"Please phone the people who should know, and set up routing for %s.", ref, about.Event, of.Record.Event.Patient)
	}
	if about.Reason == events.ReasonOverdue && about.Recipient == "" {
		return fmt.Sprintf("An event (reference %s, %s) was saved on a carer's page and cannot be passed on: nobody has been told. The hub goes on "+
			"trying. Please ask whoever logged it, phone the people who should know, and look at the hub's log.", ref, about.Event)
	}
	if about.Reason == events.ReasonDisk {
		return "The store of this hub is more than 80 % full. Nothing is lost, but when it is full no event can be saved. " +
			"Please give it more room."
	}
	if strings.HasPrefix(about.Event, pausedPrefix) {
		return pauseWords(f.folder, about)
	}
	if about.Reason == events.ReasonReload {
		return "The configuration of this hub has been changed and cannot be used as it is. The hub goes on with the last one that was good. " +
			"What was changed, people taken out too, is not in force. Please run carehub check, and correct it."
	}
	if about.Reason == events.ReasonMailbox {
		return "The mailbox for bounces has not been read for an hour. Until it can be, nobody here learns of mails that do not arrive. " +
			"Please look at the hub's log, and at mail.bounces in hub.yaml."
	}
	if about.Recipient == "" {
		return fmt.Sprintf("A stored event (reference %s, %s) cannot be read any more, so nobody can be told of it. "+
			"Please ask whoever logged it.", ref, about.Event)
	}
	name, phone := about.Recipient, ""
	if s, ok := f.lookup(about.Recipient); ok {
		name, phone = s.Name, s.Phone
	}
	for _, r := range of.Record.Plan.Recipients {
		if r.ID == about.Recipient || r.For == about.Recipient {
			name, phone = r.Name, r.Phone
		}
	}
	if about.Reason == events.ReasonSuspended {
		return subscriptionWords(about.Recipient, name, phone)
	}
	if of.Record.Event.ID != "" && f.barred(&of.Record, about.Recipient) {
		return fmt.Sprintf("%s has not been told of a message (reference %s, %s): the rules no longer let them be told. "+
			"Please do not phone them about it.", name, ref, about.Event)
	}
	words := fmt.Sprintf("%s has not been told of a message (reference %s, %s): %s.", name, ref, about.Event, reasonWords(about.Reason))
	if about.Reason == events.ReasonDeclined || about.Reason == events.ReasonUnanswered {
		words = fmt.Sprintf("No person at %s has taken on a message (reference %s, %s): %s.", name, ref, about.Event, reasonWords(about.Reason))
	}
	if phone != "" {
		words += " Please phone them on " + phone + "."
	} else {
		words += " Please phone them."
	}
	if about.Channel == signup.ChannelType {
		words += " This is about what their own system has subscribed to; the channels of their file are told, or not, apart from that."
	}
	if about.Reason == events.ReasonBounced {
		words += " The hub goes on with their next channel if they have one. Please correct their address."
	}
	if about.Reason == events.ReasonOverdue {
		words += " For the next hour this stands for every other message that they wait for."
	}
	return words
}

// heldWords are for messages of other systems that wait for a person; "" for all else.
func heldWords(f *folder, about events.About) string {
	sender := about.Recipient
	if s, ok := f.register.Lookup(about.Recipient); ok {
		sender = s.Name
		if s.Phone != "" {
			sender += " (" + s.Phone + ")"
		}
	}
	switch about.Reason {
	case events.ReasonHeld:
		return fmt.Sprintf("A message of %s could not be matched to a patient with certainty, or they may not log for that patient. "+
			"Nobody has been told. Please look now: carehub held show %s", sender, about.Event)
	case events.ReasonHeldEnding:
		return fmt.Sprintf("A message of %s has waited for more than three weeks, and nobody has been told. "+
			"In a week it is deleted. Please decide: carehub held show %s", sender, about.Event)
	case events.ReasonHeldEnded:
		return fmt.Sprintf("A message of %s (%s) has waited for a month. It was deleted, and nobody was told.", sender, about.Event)
	case events.ReasonHeldFull:
		return fmt.Sprintf("So many messages of %s wait for a person that the hub takes no more of them that it cannot match. "+
			"Please phone them, and decide about those that wait: carehub held list", sender)
	}
	return ""
}

// subscriptionWords say that a Subscription is in error.
func subscriptionWords(id, name, phone string) string {
	words := fmt.Sprintf("A subscription of %s (%s) is in error: their system did not take what was sent to it. Only their system can start it "+
		"again; until then it is told nothing by it, and you will hear of each message that has waited too long. Please let them know", name, id)
	if phone != "" {
		words += " on " + phone
	}
	return words + "."
}

// reasonWords finishes the sentence "… has not been told of a message: …".
func reasonWords(r events.Reason) string {
	words := map[events.Reason]string{
		events.ReasonOverdue:    "it could not be delivered in time, and the hub keeps trying",
		events.ReasonGone:       "their system says that it is gone for good",
		events.ReasonAddress:    "the address does not work",
		events.ReasonRejected:   "their system will not take it",
		events.ReasonAuth:       "their system does not accept who we are",
		events.ReasonBounced:    "the mail that was sent to them came back",
		events.ReasonRevoked:    "they are no longer registered here",
		events.ReasonSuspended:  "their subscription is not active, and only their system can start it again",
		events.ReasonNoChannel:  "they can only be reached by phone",
		events.ReasonNoDevice:   "no phone of theirs is set up for notes",
		events.ReasonLost:       "it can no longer be read, and nobody here knows what it said",
		events.ReasonUnverified: "nobody there has confirmed yet that the address is theirs (carehub subscriber verify for an inbox, carehub endpoint test for a system)",
		events.ReasonPaused:     "they are away and have paused their inbox",
		events.ReasonDeclined:   "a person there answered that it is not for them",
		events.ReasonUnanswered: "nobody there, nor anybody who was told in their place, has answered in time",
		events.ReasonGaveUp:     "the hub has tried for three days and given up",
	}[r]
	if words == "" {
		return "it could not be delivered"
	}
	return words
}
