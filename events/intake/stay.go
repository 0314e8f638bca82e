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
	if err := past.read(ctx, n.in.store, e.Patient, related(e.Kind)); err != nil {
		return err
	}
	newest := func(kind events.Kind) *report {
		if found := past[kind]; found != nil && found.test == e.Test {
			return found
		}
		return nil
	}
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

// report is what is remembered of an event to judge the next one by.
type report struct {
	kind               events.Kind
	stay               string
	occurred, recorded time.Time
	test               bool
}

func reported(e events.Event) *report {
	return &report{kind: e.Kind, stay: e.Stay, occurred: e.Occurred, recorded: e.Recorded, test: e.Test}
}

// past is the newest event of each kind about one patient; nil where there is none, absent where it was not read yet.
type past map[events.Kind]*report

// read fills in what is absent.
func (p past) read(ctx context.Context, store Store, patient string, kinds []events.Kind) error {
	for _, kind := range kinds {
		if _, ok := p[kind]; ok {
			continue
		}
		stored, found, err := store.Latest(ctx, patient, kind)
		switch {
		case err != nil:
			return err
		case found:
			p[kind] = reported(stored.Record.Event)
		default:
			p[kind] = nil
		}
	}
	return nil
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

func (s *stripe) past(patient string) past {
	if known, ok := s.pasts[patient]; ok {
		return known
	}
	if s.pasts == nil || len(s.pasts) >= perStripe {
		s.pasts = map[string]past{}
	}
	s.pasts[patient] = past{}
	return s.pasts[patient]
}

func (s *stripe) forget(patient string) { delete(s.pasts, patient) }

func asError(err error) (*events.Error, bool) { return errors.AsType[*events.Error](err) }
