package intake

import (
	"context"
	"time"

	"carehub/events"
)

// Registrar knows who sends, and whom details mean.
type Registrar interface {
	// Registered reports whether a system is one of the register now.
	Registered(by events.Actor) bool
	// Match is the one patient with whom number, date of birth and family name all agree; "" if there is none, or more than
	// one. It does the same work whatever the details are.
	Match(events.Details) (patient string)
}

// Receiver takes in what other systems tell in messages of their own, once each, and holds for a person what does not
// certainly mean a patient that its sender may log for. It is safe for concurrent use, and several may share a store.
type Receiver struct {
	intake  *Intake
	records Records
	// alarm tells the people named for alarms, durably, once for each About.
	alarm func(ctx context.Context, about events.About, test bool) error
}

// NewReceiver returns a receiver that stores events through in, and all else in records.
func NewReceiver(in *Intake, records Records, alarm func(context.Context, events.About, bool) error) *Receiver {
	return &Receiver{intake: in, records: records, alarm: alarm}
}

// Message is one that a system sent.
type Message struct {
	By       events.Actor
	Envelope string // id of what it came in, "" where there is none
	Report   Report
	// Form is what else decides the bytes of the answer: it is part of what tells a repeat from a reused id.
	Form string
	// Do, if set, is what becomes of the message, in place of an event of its Report: done twice it does no harm.
	Do func(ctx context.Context, now time.Time) (Verdict, error)
	// Answer writes what the sender is told once the message is safe.
	Answer func(Verdict) (Answer, error)
}

func (m Message) asked() string { return events.Hash([]byte(m.Report.hash() + " " + m.Form)) }

// Verdict is what became of a message: it is an event, it is held, or it was a person's answer.
type Verdict struct {
	Event    string // id of the event
	Held     string // id of what is held
	Answered bool
	At       time.Time
}

// how says which of these it is, for log and metrics.
func (v Verdict) how() string {
	switch {
	case v.Held != "":
		return "held"
	case v.Answered:
		return "answered"
	case v.Event == "":
		return "repeated"
	}
	return "created"
}

// Answer is what a sender is told, to the byte.
type Answer struct {
	Status int
	Media  string
	Body   []byte
}

// Receive takes in a message, and returns when it is on disk with its answer. A message that was received before gets its
// first answer again. Errors are *events.Error: Forbidden (the register does not have its sender), Conflict (an id stands
// for something else), Busy (too much of its sender's is held), Unavailable, Internal. Their words say what is known to be
// saved; to repeat the message is always safe.
//
// What is held is answered alike whatever the reason: that nobody here has the number, that a detail differs, and that the
// sender may not log for the patient take the same steps and cannot be told apart.
func (r *Receiver) Receive(ctx context.Context, m Message) (Answer, Verdict, error) {
	if m.By.Kind != events.System || !r.intake.desk().Registered(m.By) {
		return Answer{}, Verdict{}, &events.Error{Kind: events.Forbidden, Message: "Only the systems of registered organisations send messages. Nothing was saved."}
	}
	a, v, err := r.receive(ctx, m)
	if err != nil {
		return Answer{}, Verdict{}, unsaved(ctx, err)
	}
	return a, v, nil
}

func (r *Receiver) receive(ctx context.Context, m Message) (Answer, Verdict, error) {
	now := r.intake.clock().UTC().Truncate(time.Millisecond)
	s, revision, err := r.claim(ctx, m, now)
	if err != nil {
		return Answer{}, Verdict{}, err
	}
	if first, ok := s.answer(); ok {
		return first, Verdict{}, nil
	}
	do := m.Do
	if do == nil {
		do = func(ctx context.Context, now time.Time) (Verdict, error) { return r.decide(ctx, m, now) }
	}
	v, err := do(ctx, now)
	if err != nil {
		return Answer{}, Verdict{}, err
	}
	a, err := m.Answer(v)
	if err == nil {
		a, err = r.keep(ctx, m, s, revision, a)
	}
	return a, v, unfinished(err)
}

// decide makes an event of a message, or holds it.
func (r *Receiver) decide(ctx context.Context, m Message, now time.Time) (Verdict, error) {
	desk := r.intake.desk()
	patient, certain := match(desk, m, now)
	if !certain {
		held, err := r.hold(ctx, m, now)
		if events.KindOf(err) != events.Busy {
			err = unfinished(err)
		}
		return Verdict{Held: held, At: now}, err
	}
	result, err := r.intake.report(ctx, desk, m.By, patient, m.Report, false)
	if events.KindOf(err) == events.Conflict {
		err = errReused // from before what is remembered of it
	}
	return Verdict{Event: result.Stored.Record.Event.ID, At: now}, err
}

// unfinished is the error of a step after something was stored: the store's own words are about that step alone.
func unfinished(err error) error {
	if err == nil {
		return nil
	}
	return &events.Error{Kind: events.Unavailable, Message: "It may be saved, or not: repeat the message with the same ids.", Err: err}
}

// match is the patient, if the details are certain and the sender may log for them. It asks everything in any case.
func match(desk Desk, m Message, now time.Time) (string, bool) {
	patient := desk.Match(m.Report.Patient)
	authority := desk.May(m.By, patient, now.In(desk.Zone()))
	return patient, patient != "" && authority != No && !m.Report.Restricted
}
