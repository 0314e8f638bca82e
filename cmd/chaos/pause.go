package main

import "time"

// trouble is a time in which a recipient could not be told as it should be: in a mood, dead, or its wire cut or slow.
type trouble struct {
	of          string // a recipient; "": all of them
	from, until time.Time
}

// troubled notes what has been done to a recipient since from.
func (s *storm) troubled(of string, from, until time.Time) {
	s.troubles = append(s.troubles, trouble{of, from, until})
}

// pauses finds the longest time from one event to the next that reached a recipient about one patient, whose partition it
// speaks for, and notes those above the bound, if there is one. Repeats are no news. What overlaps a trouble of the recipient
// is left out, so that the tries after it are too: whoever hung is not tried again at once.
// Hubs are no excuse: while events cannot be logged there is a pause as well, with -faults all also where a logger waits for a
// hub that is paused.
func (f *findings) pauses(r *record, troubles []trouble, struck []time.Time, bound time.Duration) {
	last := map[string]arrival{} // by recipient and patient
	for _, a := range r.all {
		if a != r.first[key(a.To, a.Event)] {
			continue
		}
		k := key(a.To, a.Patient)
		before, ok := last[k]
		last[k] = a
		gap := time.Duration(a.At - before.At)
		tooLong := bound > 0 && gap > bound
		if !ok || gap <= f.Single && !tooLong || overlaps(troubles, before, a) {
			continue
		}
		within := faultsIn(struck, before, a)
		if within <= 1 {
			f.Single = max(f.Single, gap)
		}
		if gap > f.Pause {
			f.Pause, f.Within = gap, within
		}
		if tooLong {
			f.note(&f.Stood, "%s had nothing of %s for %s, until %s", a.To, a.Patient, gap.Round(time.Millisecond), time.Unix(0, a.At).UTC().Format(time.TimeOnly))
		}
	}
}

// underWay is how long deliveries still arrive after a fault that stops them.
const underWay = time.Second

// faultsIn counts the faults that began between two arrivals, or just before the first.
func faultsIn(struck []time.Time, before, a arrival) (n int) {
	for _, at := range struck {
		if at.UnixNano() > before.At-int64(underWay) && at.UnixNano() < a.At {
			n++
		}
	}
	return n
}

// overlaps reports whether the recipient of two arrivals was in trouble between them.
func overlaps(troubles []trouble, before, a arrival) bool {
	for _, t := range troubles {
		if (t.of == "" || t.of == a.To) && t.from.UnixNano() <= a.At && t.until.UnixNano() >= before.At {
			return true
		}
	}
	return false
}
