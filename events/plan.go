package events

import (
	"slices"
	"strings"
	"time"
)

// Content says how much a message may tell. The default is the least: a link.
type Content string

const (
	ContentLink    Content = "link"    // that there is a message, and an unguessable link to it
	ContentSummary Content = "summary" // initials, year of birth, what happened and when
	ContentFull    Content = "full"    // everything; only to verified domains
)

// Contents are the levels from the least on.
var Contents = []Content{ContentLink, ContentSummary, ContentFull}

// Below reports whether c is a level, and less than another.
func (c Content) Below(other Content) bool {
	return c != "" && slices.Index(Contents, c) < slices.Index(Contents, other)
}

// Within is c, or ceiling where that is less. No ceiling leaves c as it is; a channel without levels has none to lower.
func (c Content) Within(ceiling Content) Content {
	if c != "" && ceiling.Below(c) {
		return ceiling
	}
	return c
}

// Urgency of a kind of event.
type Urgency string

const (
	Urgent  Urgency = "urgent"
	Routine Urgency = "routine"
)

// RecordVersion is the version of the Record written by this build.
const RecordVersion = 1

// Record is what the hub stores beside an event's FHIR message in the same write: the event and its frozen plan.
type Record struct {
	V     int   `json:"v"`
	Event Event `json:"event"`
	Plan  Plan  `json:"plan"`
}

// Plan is who is told of one event, decided and frozen when the event is accepted. A later edit of the rules does not
// change it. Addresses, credentials and revocation are looked up when sending; they are not frozen.
type Plan struct {
	Rules    string  `json:"rules"`   // hash of the rules that chose the recipients
	Request  string  `json:"request"` // hash of what the logger asked, to tell a repeat from a reused key
	Hub      string  `json:"hub"`     // base URL of the hub when accepted
	Renderer int     `json:"renderer"`
	Urgency  Urgency `json:"urgency"`
	// FallbackAfter is how long the first channel may fail before the next is also tried; AlarmAfter how long anyone may
	// stay untold before the alarm recipients hear of it; GiveUpAfter when retrying ends. All count from Event.Recorded.
	FallbackAfter time.Duration `json:"fallback_after"`
	AlarmAfter    time.Duration `json:"alarm_after"`
	GiveUpAfter   time.Duration `json:"give_up_after"`
	// Hold is how long the event was kept, after it was recorded, before it was accepted.
	Hold       time.Duration `json:"hold,omitempty"`
	Recipients []Recipient   `json:"recipients"`
	// About is set on alarms: the delivery that the alarm is about.
	About *About `json:"about,omitempty"`
}

// Renderer is the version of the code that turns a stored event into the bytes a recipient gets. It is raised when those
// bytes change, so that what was frozen under an older one can be told apart. A part that only a message with something new in it
// has, such as the family's summary, changes no bytes of any stored before.
const Renderer = 1

// Recipient is one row of a plan.
type Recipient struct {
	ID       string    `json:"id"`            // of a subscriber, or of a FHIR Subscription
	For      string    `json:"for,omitempty"` // on the row of a Subscription: the subscriber whose it is
	Name     string    `json:"name"`
	Phone    string    `json:"phone,omitempty"`
	Rule     string    `json:"rule"`     // routing/p-7f3k.yaml:4, or hub.yaml:9 for alarms
	Channels []Channel `json:"channels"` // in order of preference; empty: known by phone only
	// Acknowledge is set where a person there is to answer.
	Acknowledge *Acknowledge `json:"acknowledge,omitempty"`
	// Step says that the row is told only if others do not answer in time. Until then it is Spared.
	Step bool `json:"step,omitempty"`
	// Attach are the kinds of documents that the recipient may have, on the rows of events with documents.
	Attach []DocumentKind `json:"attach,omitempty"`
	// Content is the most that a message may tell, where the rules set a ceiling. The content of the channels is within it.
	Content Content `json:"content,omitempty"`
	// Quiet is when this can wait, on the rows of events that are not urgent.
	Quiet *Quiet `json:"quiet,omitempty"`
	// Language is the one they are written to in, as the register has it; empty: English.
	Language string `json:"language,omitempty"`
}

// Is reports whether the row tells a subscriber, by the admin's channels or by a subscription of their own.
func (r Recipient) Is(subscriber string) bool { return r.ID == subscriber || r.For == subscriber }

// Channel is one way of reaching a recipient. Key names it within the recipient: its type, and from the second channel
// of one type on a number (email, email-2).
type Channel struct {
	Key     string  `json:"key"`
	Type    string  `json:"type"`
	Content Content `json:"content,omitempty"`
}

// About is what an alarm is about.
type About struct {
	Event     string `json:"event"`
	Recipient string `json:"recipient,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Reason    Reason `json:"reason"`
	// Patients are those whom the words of an alarm name that is about no event of theirs: it is erased with any of
	// them. They are separated by spaces, so that two of these can be compared.
	Patients string `json:"patients,omitempty"`
}

// Of reports whether is says yes to a patient whom the alarm names.
func (a About) Of(is func(patient string) bool) bool {
	return is(PatientOf(a.Event)) || slices.ContainsFunc(strings.Fields(a.Patients), is)
}

// OfProvider names the provider in place of a Subscription of theirs: however many they have, there is one alarm about an event
// and not a thousand, and one phone call to make.
func (a About) OfProvider(plan *Plan) About {
	for _, r := range plan.Recipients {
		if r.ID == a.Recipient && r.For != "" {
			a.Recipient = r.For
		}
	}
	return a
}

// LoggersRule stands in the plan of an alarm as the rule of whoever logged what it is about; others have the file and line that
// name them.
const LoggersRule = "who logged it"

// Heard reports whether an alarm with this plan has been taken by a channel of anybody of alarms.notify. Whoever hears of it
// because they logged what it is about counts for nothing here: it is to them that it is said.
func (p *Plan) Heard(outcomes []Outcome) bool {
	for i, r := range p.Recipients {
		if i < len(outcomes) && outcomes[i].State.Told() && r.Rule != LoggersRule {
			return true
		}
	}
	return false
}

// Notice reports whether the alarm is about the hub or an inbox, rather than about somebody who has not been told.
func (a About) Notice() bool { return a.Reason != ReasonLost && !ValidID(a.Event) }
