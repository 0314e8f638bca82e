// Package intake is the doors in: it turns what a carer or a system says happened into an events.Event with its frozen
// plan, and stores both in one write. Whatever only makes an event doubtful (a wrong clock, too many at once, nobody to
// tell) is flagged and stored; what cannot be understood or is not allowed is refused and changes nothing.
package intake

import (
	"context"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// Store keeps events for good.
type Store interface {
	// Publish returns when the event is on disk. If its id is there already, created is false and stored is that one.
	Publish(ctx context.Context, rec events.Record, message []byte) (stored events.Stored, created bool, err error)
	// Find is the event with this id, an *events.Error of kind NotFound if there is none.
	Find(ctx context.Context, id string) (events.Stored, error)
	// Latest is the event of a kind about a patient that was stored last, if there is one: at least its Occurred, Recorded,
	// Stay, Test and whether it is late.
	Latest(ctx context.Context, patient string, kind events.Kind) (events.Event, bool, error)
	// Timeline is a patient's events before a place in the order of acceptance, newest first, at most limit of them.
	Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
}

// Desk is what the configuration in force says. One Desk does not change.
type Desk interface {
	Registrar
	// Resolve returns the patient that by means by an id or one of their own aliases.
	Resolve(by events.Actor, who string) (patient string, err error)
	// Aliases are what by calls people -> patient.
	Aliases(by events.Actor) map[string]string
	May(by events.Actor, patient string, now time.Time) Authority
	// Plan says who is told. Its Request is left empty.
	Plan(e events.Event) events.Plan
	People(e events.Event) (events.Patient, events.Person, events.Sender)
	Zone() *time.Location
	// Phones are whom to phone about the patient when nobody can be told.
	Phones(patient string) []string
}

// Authority says whether somebody may log events about a patient.
type Authority int

const (
	No      Authority = iota // never given, or withdrawn
	Ended                    // its end date has passed: what they log is stored, and marked
	Allowed                  // in force
)

// Intake takes events in. It is safe for concurrent use.
type Intake struct {
	// Shared says that other processes store events too, so that what came before is read again for each event. Two events
	// of one patient that two hubs take in at the same moment may then not know of each other.
	Shared bool

	store   Store
	desk    func() Desk
	clock   func() time.Time
	stripes [stripes]stripe
	pace    pace
}

// New returns an intake that stores in store what desk, asked once for each event, allows.
func New(store Store, desk func() Desk, clock func() time.Time) *Intake {
	in := &Intake{store: store, desk: desk, clock: clock}
	for i := range in.stripes {
		in.stripes[i].held = make(chan struct{}, 1)
	}
	return in
}

// Result is what became of a request.
type Result struct {
	Stored  events.Stored // after a dry run: what would be stored
	Created bool          // false when the key was seen before, and after a dry run
	// About is the patient, on a dry run by somebody whose authority is in force: to confirm that it is the right one.
	About events.Patient
	// Phones are whom to phone, on a dry run.
	Phones []string
}

// Log takes in one event, and returns when it is on disk. A key that by used for this patient before gives the first
// event again. Errors are *events.Error or *Refusal: Invalid, Forbidden, Conflict (the key stands for another request),
// TooLarge, Unavailable. After any of them nothing was saved, but for an Unavailable that says it does not know.
func (in *Intake) Log(ctx context.Context, by events.Actor, r Request) (Result, error) {
	r = r.trimmed()
	if err := r.check(); err != nil {
		return Result{}, err
	}
	n := entry{in: in, desk: in.desk(), by: by, request: r, asked: r.hash()}
	n.now = in.clock().In(n.desk.Zone()).Truncate(time.Millisecond)
	if err := n.understand(); err != nil {
		if stored, ok := n.understoodBefore(ctx); ok {
			return Result{Stored: stored}, nil
		}
		return Result{}, err
	}
	if err := n.authorise(); err != nil {
		return Result{}, err
	}
	n.time()
	if !r.DryRun && in.pace.over(by, n.now) {
		n.flag(events.FlagRate)
	}
	return n.store(ctx)
}

// ErrRepeat is the error of a request that is to be no repeat, where the same kind was logged for the patient a few minutes
// ago. Nothing was saved.
var ErrRepeat = &events.Error{Kind: events.Conflict, Message: "The same was logged less than 15 minutes ago. Nothing new was saved."}

// entry is the work on one request.
type entry struct {
	in        *Intake
	desk      Desk
	by        events.Actor
	request   Request
	asked     string // hash of the request, to tell a repeat from a reused key
	now       time.Time
	said      time.Time // when it happened as far as the logger said, else zero
	authority Authority
	event     events.Event
}

func (n *entry) flag(f events.Flag) { n.event.Flags = append(n.event.Flags, f) }

// understand fills in what happened and to whom.
func (n *entry) understand() error {
	r := n.request
	n.event = events.Event{Kind: r.Kind, Because: r.Because, Place: r.Place, Words: r.Words, Test: r.Test, By: n.by,
		Documents: r.Documents}
	if r.Text != "" {
		phrase, err := Parse(r.Text, PhraseContext{Aliases: n.desk.Aliases(n.by), Now: n.now, Zone: n.desk.Zone()})
		n.event.Patient, n.event.Kind, n.event.Because = phrase.Patient, phrase.Kind, phrase.Because
		n.event.Place, n.said = phrase.Place, phrase.Occurred
		return err
	}
	n.said, _ = r.occurred() // checked already
	patient, err := n.desk.Resolve(n.by, r.Patient)
	n.event.Patient = patient
	switch {
	case err == nil:
		return nil
	case events.ValidPatient(r.Patient):
		return forbidden() // as for a patient that exists: who is cared for here is nobody else's business
	}
	var names []string
	for alias := range n.desk.Aliases(n.by) {
		names = append(names, alias)
	}
	return &Refusal{Reason: invalid(`"patient" is neither an id nor a name that you use for somebody here.`), Suggestion: knownAs(r.Patient, names)}
}

// understoodBefore finds the event of a request that was understood when it first came: "at 23:50" is the future after
// midnight, but a repeat of the key is still the first event.
func (n *entry) understoodBefore(ctx context.Context) (events.Stored, bool) {
	if n.request.DryRun {
		return events.Stored{}, false
	}
	for _, patient := range n.desk.Aliases(n.by) {
		stored, err := n.in.store.Find(ctx, events.NewID(n.by, patient, n.request.Key))
		if err == nil && stored.Record.Plan.Request == n.asked && n.desk.May(n.by, patient, n.now) != No {
			return stored, true
		}
	}
	return events.Stored{}, false
}

func forbidden() error {
	return &events.Error{Kind: events.Forbidden, Message: "You cannot log for that person here. Nothing was saved. Please phone the team you want to tell."}
}

// authorise refuses who may not log, and marks what somebody logs whose time has run out (hazard: authority ends).
func (n *entry) authorise() error {
	n.authority = n.desk.May(n.by, n.event.Patient, n.now)
	switch n.authority {
	case Allowed:
	case Ended:
		n.flag(events.FlagAuthorityEnded)
	default:
		return forbidden()
	}
	n.event.ID = events.NewID(n.by, n.event.Patient, n.request.Key)
	return nil
}

// unset is the year before which a clock was never set: phones begin in 1970 or 1980.
const unset = 2000

// time decides when it happened. A clock that is wrong never refuses an event: the hub's time counts, and what was said
// is kept beside it (hazard: wrong time).
func (n *entry) time() {
	e := &n.event
	e.Recorded, e.Occurred = n.now, n.now
	switch {
	case n.said.IsZero():
		return
	case n.said.After(n.now) || n.said.Year() < unset:
		e.Said = new(n.said)
		if n.said.After(n.now.Add(events.MaxFuture)) || n.said.Year() < unset {
			n.flag(events.FlagClock)
		}
	default:
		e.Occurred = n.said
		if n.now.Sub(n.said) >= events.Late {
			n.flag(events.FlagLate)
		}
	}
}

// store ties the event to what came before, plans and saves it, one event of a patient at a time.
func (n *entry) store(ctx context.Context) (Result, error) {
	s := n.in.stripe(n.event.Patient)
	if err := s.lock(ctx); err != nil {
		return Result{}, unsaved(ctx, err)
	}
	defer s.unlock()
	past := s.past(n.event.Patient, n.in.Shared)
	if err := n.link(ctx, past); err != nil { // nothing has been sent to the store yet
		return Result{}, &events.Error{Kind: events.Unavailable, Message: "Nothing was saved. Please try again, or phone.", Err: err}
	}
	rec, message, err := n.record()
	if err != nil {
		return Result{}, err
	}
	if n.request.DryRun {
		return n.preview(rec, message), nil
	}
	if n.request.Single && rec.Event.Has(events.FlagRepeat) {
		if _, err := n.in.store.Find(ctx, rec.Event.ID); events.KindOf(err) == events.NotFound { // not the key seen again
			return Result{}, ErrRepeat
		}
	}
	stored, created, err := n.in.store.Publish(ctx, rec, message)
	switch {
	case err != nil:
		s.forget(n.event.Patient) // it may be there nonetheless
		return Result{}, unsaved(ctx, err)
	case created:
		past.note(rec.Event)
	case stored.Record.Plan.Request != rec.Plan.Request:
		return Result{}, &events.Error{
			Kind: events.Conflict, Event: stored.Record.Event.ID,
			Message: "This Idempotency-Key already stands for something else. Nothing new was saved.",
		}
	}
	return Result{Stored: stored, Created: created}, nil
}

// record freezes who is told, and writes the message.
func (n *entry) record() (events.Record, []byte, error) {
	plan := n.desk.Plan(n.event)
	plan.Request = n.asked
	if n.event.Kind != events.Fall {
		plan.Hold = n.request.Hold
	}
	if len(plan.Recipients) == 0 {
		n.flag(events.FlagUnrouted)
	}
	patient, by, hub := n.desk.People(n.event)
	message, err := fhir.Encode(fhir.Message{Event: n.event, Patient: patient, By: by, Hub: hub, Urgency: plan.Urgency})
	if err != nil {
		return events.Record{}, nil, &events.Error{Kind: events.Internal, Message: "The hub could not write this down. Nothing was saved. Please phone.", Err: err}
	}
	return events.Record{V: events.RecordVersion, Event: n.event, Plan: plan}, message, nil
}

func (n *entry) preview(rec events.Record, message []byte) Result {
	result := Result{Stored: events.Stored{Record: rec, Message: message}, Phones: n.desk.Phones(rec.Event.Patient)}
	if n.authority == Allowed {
		result.About, _, _ = n.desk.People(rec.Event)
	}
	return result
}

// unsaved turns the failure of the store into words. The store's own are kept: they know whether anything may be saved.
func unsaved(ctx context.Context, err error) error {
	kind, message := events.Unavailable, "Nothing was saved."
	switch known, ok := asError(err); {
	case ok:
		kind, message = known.Kind, known.Message
	case ctx.Err() != nil:
		message = "The store did not answer in time. Nothing is known to be saved; repeat with the same key."
	}
	if kind == events.Unavailable {
		message += " Please try again, or phone."
	}
	return &events.Error{Kind: kind, Message: message, Err: err}
}
