package events

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State of one recipient of one event, or of an event with no recipient at all. The names are a promise to API clients.
type State string

const (
	Held           State = "held"
	Withdrawn      State = "withdrawn" // undone before it went
	Waiting        State = "waiting"   // quiet hours
	Trying         State = "trying"
	Retrying       State = "retrying"
	Sent           State = "sent"     // SMTP 250: handed over, nothing known beyond
	Received       State = "received" // a 2xx of the recipient's own system
	Acknowledged   State = "acknowledged"
	Declined       State = "declined"
	Unacknowledged State = "unacknowledged"
	Refused        State = "refused" // a permanent no: bounced, gone, no longer registered
	Failed         State = "failed"  // given up after days
	Unrouted       State = "unrouted"
	// Spared is who is only told if others do not answer, and has not been so far. It is not shown.
	Spared State = "spared"
)

// Final reports whether the hub makes no further attempt in this state.
func (s State) Final() bool {
	switch s {
	case "", Held, Waiting, Trying, Retrying:
		return false
	}
	return true
}

// Told reports whether the message has left the hub for good.
func (s State) Told() bool {
	switch s {
	case Sent, Received, Acknowledged, Declined, Unacknowledged:
		return true
	}
	return false
}

// Outcome is the stored result of telling one recipient so far.
type Outcome struct {
	State    State     `json:"state"`
	Channel  string    `json:"channel,omitempty"` // key of the channel that State speaks of
	At       time.Time `json:"at"`
	Attempts int       `json:"attempts,omitempty"`
	Reason   Reason    `json:"reason,omitempty"`
	Next     time.Time `json:"next,omitzero"` // of the next attempt, where one is planned
	// Alarmed says that an alarm about this is stored, or that none is needed. It says nothing of whether anybody has heard of it.
	Alarmed bool `json:"alarmed,omitempty"`
	// Alarm is the id of the alarm that is about this, or that stands for it. Outcomes of older builds have none.
	Alarm string `json:"alarm,omitempty"`
	// Ack is what a person there has answered.
	Ack *Ack `json:"ack,omitempty"`
	// Struck are the keys of channels that had taken the message, and of which a no came later, as a bounce does. They are
	// not tried again.
	Struck []string `json:"struck,omitempty"`
}

// Receipt is an Outcome as a carer reads it: whom it is about and by whose rule.
type Receipt struct {
	Recipient
	Outcome
	// Heard says that a channel of somebody of alarms.notify has taken the alarm about this. It is found out for whoever reads, and
	// stored nowhere.
	Heard bool
}

// Outcomes are what receipts say of the recipients, in the same order.
func Outcomes(receipts []Receipt) []Outcome {
	all := make([]Outcome, len(receipts))
	for i, r := range receipts {
		all[i] = r.Outcome
	}
	return all
}

// Shown are the receipts that people see: those of rows that were told, or are to be.
func Shown(receipts []Receipt) []Receipt {
	shown := make([]Receipt, 0, len(receipts))
	for _, r := range receipts {
		if r.State != Spared {
			shown = append(shown, r)
		}
	}
	return shown
}

// Delivery is what a channel is asked to send: one event to one recipient.
type Delivery struct {
	ID        string // stable for (event, recipient): webhook-id, X-Request-ID, local part of the Message-ID
	Event     string // event id
	Ref       string // four characters that a person can read out
	Kind      Kind
	Urgent    bool
	Test      bool
	Notice    bool   // of an alarm: About.Notice
	Recipient string // subscriber id
	Channel   string // key of the recipient's channel
	Name      string // of the recipient
	Language  string // they are written to in: en, cy; empty: English
	Content   Content
	Recorded  time.Time
	Attempt   int           // 1 is the first; never part of the bytes
	Link      func() string // address of the page for this recipient and event; the same each time
	// Return is where a mail server is to report that it could not deliver this: an address of this delivery alone, never part
	// of the bytes. It is nil, or returns "", where the hub has none.
	Return func() string
	// Message is the FHIR message Bundle addressed to this recipient, the same bytes at every attempt.
	Message []byte
	Hub     string // base URL of the hub, as frozen in the plan
	// Documents are those with the event that the recipient may have, and Open gives the content of one.
	Documents []Document
	Open      func(ctx context.Context, d Document) ([]byte, error)
	// Answered, if set, hears what an HTTP endpoint answered, within Send.
	Answered func(Reply)
}

// Leg is the part of a delivery that goes by one channel, named so that the store finds it: what a bounce is about.
type Leg struct {
	Place
	Index   int // of the recipient in the plan
	Channel int // of the channel among the recipient's
}

// Reason is a closed word for why an attempt did not work. It is safe to log, to store and to turn into a sentence.
type Reason string

const (
	ReasonTimeout     Reason = "timeout"      // no answer in time
	ReasonConnection  Reason = "connection"   // could not connect, or the connection broke
	ReasonTLS         Reason = "tls"          // no secure connection could be agreed
	ReasonBusy        Reason = "busy"         // asked to slow down
	ReasonServerError Reason = "server-error" // the other side failed
	ReasonAuth        Reason = "auth"         // our credentials were not taken
	ReasonAddress     Reason = "address"      // the address does not exist, or is not one we may dial
	ReasonGone        Reason = "gone"         // it says it is gone for good
	ReasonRejected    Reason = "rejected"     // it will never take this message
	ReasonBounced     Reason = "bounced"      // taken, and then returned as undeliverable
	ReasonRevoked     Reason = "revoked"      // no longer registered here
	ReasonUnverified  Reason = "unverified"   // nobody has shown yet that the address is theirs
	ReasonPaused      Reason = "paused"       // nothing is sent there for now; of an alarm: that it is so
	ReasonNoChannel   Reason = "no-channel"   // known by phone only
	ReasonNoDevice    Reason = "no-device"    // no phone of theirs has asked to be told
	ReasonNoRecipient Reason = "no-recipient" // no rule names anyone
	ReasonGaveUp      Reason = "gave-up"      // tried for days
	ReasonOverdue     Reason = "overdue"      // not told in time; still trying
	ReasonLost        Reason = "lost"         // the store no longer has it
	ReasonSuspended   Reason = "suspended"    // its subscription is in error, or not active yet
	ReasonDisk        Reason = "disk"         // of an alarm: the store is nearly full
	ReasonReload      Reason = "reload"       // of an alarm: the configuration on disk cannot be used
	ReasonMailbox     Reason = "mailbox"      // of an alarm: the mailbox for bounces cannot be read
	ReasonUnread      Reason = "unread"       // of an alarm: nobody seems to read an inbox
	ReasonLocked      Reason = "locked"       // of an alarm: too many wrong codes for an inbox
	ReasonHandover    Reason = "handover"     // of an alarm: an inbox goes to a colleague
	ReasonInternal    Reason = "internal"     // the hub's own fault
	ReasonDeclined    Reason = "declined"     // a person there says that it is not for them
	ReasonUnanswered  Reason = "unanswered"   // no person has answered in time
	ReasonHeld        Reason = "held"         // of an alarm: a message waits for a person to say whom it is about
	ReasonHeldEnding  Reason = "held-ending"  // of an alarm: it has waited for weeks, and is deleted in a week
	ReasonHeldEnded   Reason = "held-ended"   // of an alarm: it was deleted, and nobody was told
	ReasonMissing     Reason = "missing"      // of an alarm: a carer says that a rule should name somebody else too
	ReasonEnding      Reason = "ending"       // of an alarm: an authority or a basis ends, or has
	ReasonHeldFull    Reason = "held-full"    // of an alarm: so many wait that no more of this sender's are taken
)

// ErrRefused is matched by a Failure that no retry can mend.
var ErrRefused = errors.New("refused for good")

// Failure is why one attempt did not deliver. Everything not proven permanent is temporary.
type Failure struct {
	Reason     Reason
	Permanent  bool
	Status     int           // HTTP or SMTP status, 0 if there was none
	RetryAfter time.Duration // as the other side asked; 0 if it did not
	// Body says that the failure is about this message, not about the endpoint: the endpoint answered, other messages may pass.
	Body bool
	// Pause says that the endpoint asks not to be called again. Whoever can pause endpoints does, and the delivery waits;
	// to others the failure is permanent.
	Pause bool
	// Err is detail for the hub's log. It must not hold addresses, credentials or anything of the message.
	Err error
}

func (f *Failure) Error() string {
	if f.Status != 0 {
		return fmt.Sprintf("%s (status %d)", f.Reason, f.Status)
	}
	return string(f.Reason)
}

func (f *Failure) Unwrap() error { return f.Err }

// Is makes errors.Is(err, ErrRefused) true for a permanent failure.
func (f *Failure) Is(target error) bool { return target == ErrRefused && f.Permanent }
