package inbox

import (
	"context"
	"fmt"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
)

// Which mail: these stand in records.
const (
	wordsVerify   = "verify"
	wordsWaiting  = "waiting"
	wordsHandover = "handover"
	wordsBeat     = "heartbeat"
	wordsReminder = "reminder"
)

// mail is the text of a mail. It is constant but for the hub's name and phone: it may go to a stranger.
func (k *Keeper) mail(which string) subscribers.Note {
	hub := k.Hub()
	notYours := "If this means nothing to you, please do nothing: then no such message is ever sent here. We would be glad of a word, so that we can correct the address."
	how := "Please open the link, choose a code there and press the button. The link works once, for seven days."
	n := map[string]subscribers.Note{
		wordsVerify: {
			Subject: "please verify this address", Title: "Please verify this address", Action: "Verify this address",
			Paragraphs: []string{hub.Name + " has this address down to send messages to. They are about people in somebody's care, so none is sent before the address is verified.", how, notYours},
		},
		wordsWaiting: {
			Subject: "something is waiting for you", Title: "We have something for you", Action: "Verify this address",
			Paragraphs: []string{hub.Name + " has something for you and cannot send it until this address is verified.", how, notYours},
		},
		wordsHandover: {
			Subject: "please verify this address", Title: "A colleague is handing their inbox to you", Action: "Verify this address",
			Paragraphs: []string{"A colleague of yours has asked " + hub.Name + " to send here from now on what they were sent before: messages about people in your team's care. Until this address is verified everything goes to them as before.", how, notYours},
		},
		wordsBeat: {
			Subject: "does anybody read this inbox?", Title: "Does anybody still read this inbox?", Action: "Yes, somebody reads it",
			Paragraphs: []string{"Once a month " + hub.Name + " makes sure that somebody reads what it sends here. Please open the link and press the button."},
		},
		wordsReminder: {
			Subject: "does anybody read this inbox? (again)", Title: "Does anybody still read this inbox?", Action: "Yes, somebody reads it",
			Paragraphs: []string{hub.Name + " asked four days ago whether somebody reads what it sends here, and has had no answer. Please open the link and press the button. Without it we shall have to phone you in three days."},
		},
	}[which]
	n.Foot = "Reply to this message to reach a person at " + hub.Name + "."
	if hub.Phone != "" {
		n.Foot = "Phone " + hub.Phone + " or reply to this message to reach a person at " + hub.Name + "."
	}
	return n
}

// alarm tells the alarm recipients what has become of an inbox. what makes it another alarm than the last of its reason.
func (k *Keeper) alarm(ctx context.Context, b box, what string, reason events.Reason, detail string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	about := events.About{Event: "inbox-" + what, Recipient: b.subscriber, Channel: b.channel, Reason: reason}
	return k.Alarm(ctx, about, alarmWords(b, reason, detail))
}

// alarmWords says what a person should do. The address is not in it. detail is the end of a pause, or of a handover "now".
func alarmWords(b box, reason events.Reason, detail string) string {
	name, phone := b.who.Name, "phone them"
	if b.who.Phone != "" {
		phone = "phone them on " + b.who.Phone
	}
	switch reason {
	case events.ReasonPaused:
		return fmt.Sprintf("%s has paused their inbox (%s) until %s. Nothing about a patient is sent there meanwhile: it goes by their next channel, "+
			"or you are told to phone. If you did not expect this, please %s.", name, b.channel, detail, phone)
	case events.ReasonUnread:
		return fmt.Sprintf("Nobody seems to read the inbox of %s (%s): a mail that asks for a click had no answer for a week, nor had its reminder. "+
			"Messages are still sent there. Please %s.", name, b.channel, phone)
	case events.ReasonLocked:
		return fmt.Sprintf("Somebody has given %d wrong codes for messages to %s (%s). No more are taken for a day. Please %s and ask whether it was them. "+
			"\"carehub subscriber verify\" sends them a link to choose a new code.", endpoints.MaxGuesses, name, b.channel, phone)
	case events.ReasonHandover:
		if detail == "now" {
			return fmt.Sprintf("%s has handed their inbox (%s) to a colleague, who has verified the new address: messages go there now. \"carehub subscriber "+
				"list\" shows it. Please put it into their file. If you did not expect this, please %s; \"carehub subscriber resume\" undoes it.", name, b.channel, phone)
		}
		return fmt.Sprintf("%s hands their inbox (%s) to a colleague at another address of the same domain. It counts once it is verified there, "+
			"and you will be told. If you did not expect this, please %s; \"carehub subscriber resume\" undoes it.", name, b.channel, phone)
	}
	return fmt.Sprintf("A mail from the hub to the inbox of %s (%s) did not get through: %s. Please %s, and check the address.", name, b.channel, reason, phone)
}

// day is a date as people read it.
func (k *Keeper) day(t time.Time) string { return t.In(k.Zone()).Format("Monday 2 January 2006") }

// stamp names a moment of an inbox in the id of an alarm.
func stamp(at place, t time.Time) string {
	return events.Hash([]byte(at.subscriber + "." + at.channel + " " + t.UTC().Format(time.RFC3339)))
}
