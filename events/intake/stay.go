package intake

import (
	"context"
	"errors"
	"time"

	"carehub/events"
)

const (
	sameStay   = 24 * time.Hour   // within which two reports of going in, or of coming out, are of one stay
	sameReport = 15 * time.Minute // within which two reports of one kind may be one event logged twice
)

// link gives the event its stay and marks a possible repeat. Test events and real ones do not touch each other.
func (n *entry) link(ctx context.Context, past past) error {
	e := &n.event
	if e.Kind == events.DocumentAdded { // belongs to no stay, and two letters are two
		return nil
	}
	if err := past.read(ctx, n.in.store, e.Patient, related(e.Kind), e.Test); err != nil {
		return err
	}
	newest := func(kind events.Kind) *report { return past[variety{kind, e.Test}] }
	if same := newest(e.Kind); same != nil && n.now.Sub(same.recorded) < sameReport {
		n.flag(events.FlagRepeat)
	}
	switch {
	case e.Kind.OpensStay():
		e.Stay = openedBy(*e, open(newest, e.Occurred.Add(sameStay)))
	case e.Kind == events.Discharge:
		begun := open(newest, e.Occurred)
		e.Stay = endedBy(*e, begun, newest(events.Discharge))
		if begun != nil && begun.kind == events.Attendance {
			e.Ends = events.Attendance
		}
	}
	return nil
}

// related are the kinds that an event of this kind is judged by.
func related(kind events.Kind) []events.Kind {
	if kind == events.Fall {
		return []events.Kind{events.Fall}
	}
	return []events.Kind{events.Admission, events.Attendance, events.Discharge}
}

// open is the newest admission or attendance, not later than latest, that no discharge has followed; nil if there is
// none. A discharge told late must not end the stay that began after it (hazard: stale event).
func open(newest func(events.Kind) *report, latest time.Time) *report {
	var last *report
	out := newest(events.Discharge)
	for _, kind := range []events.Kind{events.Admission, events.Attendance} {
		in := newest(kind)
		if in == nil || in.occurred.After(latest) {
			continue
		}
		ended := out != nil && (out.stay == in.stay || !out.occurred.Before(in.occurred))
		if !ended && (last == nil || in.occurred.After(last.occurred)) {
			last = in
		}
	}
	return last
}

// openedBy is the stay of an admission or attendance: that of the same reported by somebody else, or its own.
func openedBy(e events.Event, open *report) string {
	if open != nil && e.Occurred.Sub(open.occurred).Abs() <= sameStay {
		return open.stay
	}
	return e.ID
}

// endedBy is the stay of a discharge: the open one, or that of the same discharge reported by somebody else, or its own.
func endedBy(e events.Event, open, before *report) string {
	switch {
	case open != nil:
		return open.stay
	case before != nil && e.Occurred.Sub(before.occurred).Abs() <= sameStay:
		return before.stay
	}
	return e.ID
}

// report is what is remembered of events of one variety to judge the next one by.
type report struct {
	kind     events.Kind
	stay     string
	occurred time.Time
	recorded time.Time // of the newest that was logged, which may be another than the newest that happened
}

// variety is a kind of events, tests apart from real ones.
type variety struct {
	kind events.Kind
	test bool
}

// past is, of one patient, the newest event to have happened of each variety; nil where there is none, absent where it was
// not read yet.
type past map[variety]*report

// note takes in an event. One that is told late does not take the place of what happened after it.
func (p past) note(e events.Event) {
	key, fresh := variety{e.Kind, e.Test}, &report{kind: e.Kind, stay: e.Stay, occurred: e.Occurred, recorded: e.Recorded}
	if known := p[key]; known != nil {
		if known.recorded.After(fresh.recorded) {
			fresh.recorded = known.recorded
		}
		if known.occurred.After(e.Occurred) {
			fresh.stay, fresh.occurred = known.stay, known.occurred
		}
	}
	p[key] = fresh
}

// lookBack is how many events of a patient are read where the one that was logged last does not say enough.
const lookBack = 32

// read fills in what is absent. What was logged last also happened last, unless it was told late or is of the other variety.
func (p past) read(ctx context.Context, store Store, patient string, kinds []events.Kind, test bool) error {
	for _, kind := range kinds {
		key := variety{kind, test}
		if _, known := p[key]; known {
			continue
		}
		e, found, err := store.Latest(ctx, patient, kind)
		if err != nil {
			return err
		}
		p[key] = nil
		if found && e.Test == test && e.Correction == "" {
			p.note(e)
		}
		if found && (e.Test != test || e.Has(events.FlagLate) || e.Correction != "") {
			if err := p.readBack(ctx, store, patient, key); err != nil {
				delete(p, key)
				return err
			}
		}
	}
	return nil
}

// readBack notes all events of one variety among the patient's newest, but for those that were taken back or put right. What
// puts one right stands in its place.
func (p past) readBack(ctx context.Context, store Store, patient string, of variety) error {
	all, err := store.Timeline(ctx, patient, events.Place{}, lookBack)
	corrected := map[string]bool{}
	for _, stored := range all { // the newest first, and so each correction before what it corrects
		e := stored.Record.Event
		if e.Corrects != "" {
			corrected[e.Corrects] = true
		}
		if e.Kind == of.kind && e.Test == of.test && !corrected[e.ID] && !e.Correction.Retracts() {
			p.note(e)
		}
	}
	return err
}

const (
	stripes   = 1024
	perStripe = 16 // patients remembered; beyond that a stripe starts afresh
)

// stripe is the patients of one hash. Holding it, an event and the one before it cannot overtake each other.
type stripe struct {
	held  chan struct{} // a lock that can be given up on
	pasts map[string]past
}

func (in *Intake) stripe(patient string) *stripe {
	return &in.stripes[events.PartitionOf(patient, stripes)]
}

func (s *stripe) lock(ctx context.Context) error {
	select {
	case s.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &events.Error{
			Kind:    events.Unavailable,
			Message: "The hub is too busy. Nothing was saved.",
			Err:     errors.Join(errors.New("waiting for another event of this patient"), ctx.Err()),
		}
	}
}

func (s *stripe) unlock() { <-s.held }

// past is what is remembered of a patient: nothing where other processes log events too.
func (s *stripe) past(patient string, shared bool) past {
	if shared {
		return past{}
	}
	if known, ok := s.pasts[patient]; ok {
		return known
	}
	if s.pasts == nil || len(s.pasts) >= perStripe {
		s.pasts = map[string]past{}
	}
	s.pasts[patient] = past{}
	return s.pasts[patient]
}

// Forget has what came before read again for the patient's next event: something was taken back.
func (in *Intake) Forget(ctx context.Context, patient string) error {
	s := in.stripe(patient)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	s.forget(patient)
	return nil
}

func (s *stripe) forget(patient string) { delete(s.pasts, patient) }

func asError(err error) (*events.Error, bool) { return errors.AsType[*events.Error](err) }
