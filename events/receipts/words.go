// Package receipts says who has been told: the fixed words for each state, the answer of GET /events/{id}, the same live
// as server-sent events, and the page behind a recipient's link. Reading changes nothing.
package receipts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/events"
)

// Words is what a carer reads about one recipient, as of now, in times of zone. The words are fixed: none of them says
// more than the hub knows (hazard: false reassurance). That a mail server or a system took the message is not that
// anybody has read it.
func Words(r events.Receipt, now time.Time, zone *time.Location) string {
	at := func(t time.Time) string { return clock(t, now, zone) }
	switch r.State {
	case events.Held:
		return say("Saved. We will tell "+r.Name, by(" at ", at(r.Next)))
	case events.Withdrawn:
		return say("Undone before it went. " + r.Name + " has not been told")
	case events.Waiting:
		return say("Quiet hours. We will tell "+r.Name, by(" at ", at(r.Next)))
	case events.Trying:
		return "Telling " + r.Name + "…"
	case events.Retrying:
		if r.Reason == events.ReasonGone || r.Reason == events.ReasonPaused { // nothing is tried until a person has seen to it
			return say("We could not tell "+r.Name+" yet", because(r)) + call(r) + alarmed(r)
		}
		if r.Reason == events.ReasonBounced {
			return say("We could not tell "+r.Name+" by email: "+reasons[r.Reason]) + " Trying another way." + call(r) + alarmed(r)
		}
		return say("Still trying "+r.Name) + sentence(" Trying again at ", at(r.Next)) + call(r) + alarmed(r)
	case events.Sent:
		return say("Sent to "+r.Name+by(" by ", means(r)), by(" at ", at(r.At))) +
			" We can't tell yet if it arrived or if anyone has read it."
	case events.Received:
		return say("Received by the "+strings.TrimPrefix(r.Name, "The ")+" system", by(" at ", at(r.At)))
	case events.Acknowledged:
		return say("Seen by a named person at " + r.Name + " (" + at(r.At) + ")")
	case events.Declined:
		return say(r.Name+" answered", by(" at ", at(r.At)), " that they will not act on this") + call(r)
	case events.Unacknowledged:
		return say("No one at "+r.Name+" has confirmed yet") + sentence(" We'll try the next step at ", at(r.Next)) + call(r)
	case events.Refused:
		if r.Reason == events.ReasonNoChannel {
			return say("We cannot tell "+r.Name+": they can only be phoned") + call(r)
		}
		return say("We could not tell "+r.Name, because(r)) + call(r) + alarmed(r)
	case events.Failed:
		return say("We have given up trying to tell "+r.Name, because(r)) + call(r) + alarmed(r)
	}
	return say("We do not know whether "+r.Name+" has been told") + call(r)
}

// say joins the parts of a sentence.
func say(parts ...string) string { return strings.Join(parts, "") + "." }

// by puts one word before another that may be missing.
func by(before, word string) string {
	if word == "" {
		return ""
	}
	return before + word
}

// sentence is a whole one, of a word that may be missing.
func sentence(before, word string) string {
	if word == "" {
		return ""
	}
	return before + word + "."
}

// clock is the time of day, with its day when that is not today; "" for no time.
func clock(t, now time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	t, now = t.In(zone), now.In(zone)
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("15:04 on Monday 2 January")
}

// means names the way a message went, "" where the state speaks of none.
func means(r events.Receipt) string {
	i := slices.IndexFunc(r.Channels, func(c events.Channel) bool { return c.Key == r.Channel })
	if i < 0 {
		return ""
	}
	return r.Channels[i].Type
}

var reasons = map[events.Reason]string{
	events.ReasonTimeout:     "their system did not answer in time",
	events.ReasonConnection:  "their system could not be reached",
	events.ReasonTLS:         "no secure connection could be made",
	events.ReasonBusy:        "their system was too busy",
	events.ReasonServerError: "their system failed",
	events.ReasonAuth:        "their system did not accept us",
	events.ReasonAddress:     "the address doesn't work",
	events.ReasonGone:        "the address is no longer in use",
	events.ReasonRejected:    "their system did not accept the message",
	events.ReasonBounced:     "the mail came back",
	events.ReasonRevoked:     "they are no longer registered here",
	events.ReasonGaveUp:      "it did not work for days",
	events.ReasonInternal:    "something is wrong with this hub",
	events.ReasonPaused:      "nothing is sent there for now",
	events.ReasonUnverified:  "their address has not been verified yet",
}

func because(r events.Receipt) string { return by(": ", reasons[r.Reason]) }

func call(r events.Receipt) string { return sentence(" Call ", r.Phone) }

func alarmed(r events.Receipt) string {
	if r.Alarmed {
		return " Your admin has been told."
	}
	return ""
}

// notes are what a logger should know of how the event came in.
var notes = []struct {
	flag  events.Flag
	words string
}{
	{events.FlagClock, "The time you gave cannot be right, so the time of saving was used. Please check the clock of your phone or computer."},
	{events.FlagRepeat, "The same was logged less than 15 minutes before. It may be the same event."},
	{events.FlagAuthorityEnded, "Your permission to log for this person has ended. Your message is passed on with that remark."},
}

// Message is what the logger reads about the event as a whole. phones are whom to call when nobody can be told.
func Message(e events.Event, phones []string) string {
	said := []string{"Saved."}
	if e.Has(events.FlagUnrouted) {
		said[0] = fmt.Sprintf("Saved, but no team is set up to be told. Please phone %s.", cmp.Or(strings.Join(phones, " or "), "them yourself"))
	}
	for _, n := range notes {
		if e.Has(n.flag) {
			said = append(said, n.words)
		}
	}
	return strings.Join(said, " ")
}
