// Package events holds the nouns of carehub: what happened (Event), who is told and by whose rule (Plan), how telling
// them went (Outcome, Receipt), and the ids and subjects all of these are stored under. It imports nothing of ours.
package events

import "time"

// Kind says what happened. Admission, Discharge, Fall and Attendance are built in.
type Kind string

// The built-in kinds. Alarm is the hub's own: it tells the people named in hub.yaml that somebody could not be told; no
// rule routes it and no door takes it in.
const (
	Admission  Kind = "admission"
	Attendance Kind = "attendance" // seen but not admitted: A&E, ambulatory care, frailty unit
	Discharge  Kind = "discharge"
	Fall       Kind = "fall"
	// DocumentAdded is a letter, result or the like that somebody passes on and that belongs to no other event. It comes by a carer's
	// page only, and waits: nothing needs to be done at once.
	DocumentAdded Kind = "document"
	Alarm         Kind = "alarm"
)

// Kinds lists what a person or a system may log by words alone, in the order that help texts show them. Somebody must hear of each.
var Kinds = []Kind{Admission, Attendance, Discharge, Fall}

// Routed lists the kinds that a rule may name.
var Routed = []Kind{Admission, Attendance, Discharge, Fall, DocumentAdded}

// Known reports whether k is a kind that can be logged.
func (k Kind) Known() bool { return k == DocumentAdded || k.OfStay() || k == Fall }

// OfStay reports whether an event of this kind begins or ends a stay.
func (k Kind) OfStay() bool { return k.OpensStay() || k == Discharge }

// OpensStay reports whether an event of this kind begins a stay that a discharge ends.
func (k Kind) OpensStay() bool { return k == Admission || k == Attendance }

// Limits on what a person types. Longer input is refused, never cut: a cut sentence can say the opposite.
const (
	MaxWords = 1000 // runes of Event.Words
	MaxPlace = 120  // runes of Event.Place
	MaxKey   = 128  // bytes of an idempotency key
)

// MaxFuture is how far ahead of the hub's clock an event may be said to have happened before the phone's clock is not
// believed (hazard: wrong time).
const MaxFuture = 15 * time.Minute

// Event is something that happened to a patient, as logged once through one of the doors.
type Event struct {
	ID      string `json:"id"`
	Patient string `json:"patient"` // the hub's own pseudonym, p-…
	Kind    Kind   `json:"kind"`
	Because Kind   `json:"because,omitempty"` // fall: an admission or attendance that a fall led to
	// Stay ties an admission or attendance to its discharge. It is the id of the event that opened the stay.
	Stay string `json:"stay,omitempty"`
	// Ends is Attendance on a discharge that ends one: nobody was an inpatient. Empty where an admission ends, or where the
	// hub knows of neither.
	Ends Kind `json:"ends,omitempty"`
	// Corrects is the id of an event that this one takes back or puts right, and Correction says what was wrong with it.
	Corrects   string     `json:"corrects,omitempty"`
	Correction Correction `json:"correction,omitempty"`

	Occurred time.Time `json:"occurred"` // when it happened, in the zone it was told in
	Recorded time.Time `json:"recorded"` // when the hub took it in
	// Said is the time the logger gave where Occurred is not it: a clock ahead of the hub's. Both are kept.
	Said *time.Time `json:"said,omitempty"`

	By    Actor  `json:"by"`
	Place string `json:"place,omitempty"`
	// Class of the encounter where the message of another system says it, one of Classes; see EncounterClass.
	Class string `json:"class,omitempty"`
	Words string `json:"words,omitempty"` // the carer's own, never parsed into codes
	Flags []Flag `json:"flags,omitempty"`
	Test  bool   `json:"test,omitempty"`
	// Documents are what is attached. A correction has those of what it corrects.
	Documents []Document `json:"documents,omitempty"`
	// From is the message that another system told it by; nil where it was logged at the hub's own doors.
	From *Origin `json:"from,omitempty"`
}

// Origin names a message that the hub took in from another system, and whose message it says it is. Nothing of it is checked.
type Origin struct {
	Message string `json:"message"`          // the identifier that its sender gave it
	Sender  string `json:"sender,omitempty"` // name of the organisation that sent it
	ODS     string `json:"ods,omitempty"`    // its NHS organisation code
}

// MaxName is the most runes of a name that another system's message gives.
const MaxName = 120

// Details are how a message of another system says whom it is about. They identify a patient, and may be wrong.
type Details struct {
	NHSNumber string `json:"nhs_number,omitempty"` // without spaces and hyphens; empty where there is none, or more than one
	Born      string `json:"born,omitempty"`       // YYYY-MM-DD; empty where it is missing or not a whole date
	Family    string `json:"family,omitempty"`
	Name      string `json:"name,omitempty"` // the whole name as one text
}

// Has reports whether the event carries the flag.
func (e Event) Has(f Flag) bool {
	for _, have := range e.Flags {
		if have == f {
			return true
		}
	}
	return false
}

// Flag marks something a reader must know about how an event came in. An event is flagged where refusing it would harm.
type Flag string

const (
	FlagClock          Flag = "clock"           // the logger's clock was ahead; Occurred is the hub's time
	FlagLate           Flag = "late"            // it happened two hours or more before it was logged
	FlagRate           Flag = "rate"            // logged faster than this logger ever does
	FlagAuthorityEnded Flag = "authority-ended" // the logger's authority has run out
	FlagUnrouted       Flag = "unrouted"        // no rule names anyone to tell
	FlagRepeat         Flag = "possible-repeat" // the same kind was logged for this patient within 15 minutes
)

// FlagMatched marks what a person matched to the patient: the details that came with it did not agree with what the hub knows.
const FlagMatched Flag = "matched-by-hand"

// Late is how old an event is when it counts as late information.
const Late = 2 * time.Hour

// ActorKind says what sort of thing logs or reads.
type ActorKind string

const (
	Carer  ActorKind = "carer"
	System ActorKind = "system"
	Hub    ActorKind = "hub"
)

// Actor is who logged an event, or asks about one: an id from carers.yaml or subscribers/.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
}

// Patient is who an event is about, as patients.yaml describes them. Identifying: it goes into messages to recipients
// and nowhere else.
type Patient struct {
	ID        string // p-…
	Name      string
	Born      string   // YYYY-MM-DD
	NHSNumber string   // ten digits, mod 11 checked; may be empty
	Gender    string   // FHIR administrative-gender, may be empty
	Summary   *Summary // nil where the family has written none
}

// Person is a carer as carers.yaml describes them, or, with only ID and Name, a system that logs.
type Person struct {
	ID           string
	Kind         ActorKind
	Name         string
	Relationship string // daughter, neighbour, …
	Phone        string
}

// Sender is the hub itself as its recipients see it: hub.yaml's name, url and contact.
type Sender struct {
	Name    string
	URL     string // base, without a trailing slash
	Phone   string
	Email   string
	Version string // of the software
}
