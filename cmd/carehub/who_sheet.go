package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/routing"
)

// sheet writes a plan for people: of an event that might come, or of one that came.
type sheet struct {
	w        io.Writer // of columns
	plan     events.Plan
	alarms   string           // who they are, and where that is said
	times    *times           // nil: lengths of time are shown in place of times
	outcomes []events.Outcome // what became of the rows; nil before anything did
	heard    []bool           // of the rows: the alarm recipients know that they were not told
}

// told writes who is told at once, or when their quiet hours end.
func (s sheet) told() {
	fmt.Fprintln(s.w, "\nTold:")
	nobody := true
	for i, r := range s.plan.Recipients {
		if r.Step {
			continue
		}
		nobody = false
		columns := []string{"  " + r.ID, s.ways(r), r.Rule}
		if s.times != nil {
			columns = []string{"  " + r.ID, s.times.first(r), s.ways(r), r.Rule}
		}
		if s.outcomes != nil {
			columns = append(columns, s.became(i))
		}
		fmt.Fprintln(s.w, strings.Join(columns, "\t"))
	}
	if nobody {
		fmt.Fprintln(s.w, "  nobody; the event is stored and the alarm recipients are told")
	}
}

// escalation writes who is told if nobody answers, and by when somebody should have.
func (s sheet) escalation() {
	for i, r := range s.plan.Recipients {
		ask := r.Acknowledge
		if ask == nil {
			continue
		}
		who := "at " + r.ID
		if ask.Any {
			who += " or elsewhere"
		}
		line := fmt.Sprintf("\nIf nobody %s answers within %s: ", who, short(ask.Within))
		var at time.Time
		if s.times != nil {
			at = s.passed(i, s.times.at, ask.Within)
			line = fmt.Sprintf("\nIf nobody %s answers by %s: ", who, s.times.clock(at))
		}
		for _, step := range ask.Steps {
			to := s.plan.Recipients[step]
			line += to.ID + ", "
			if s.times != nil {
				at = s.passed(step, at, ask.Within)
				line += "then at " + s.times.clock(at) + " "
			} else {
				line += "then "
			}
		}
		fmt.Fprintf(s.w, "%sthe alarm recipients (%s)\n", line, r.Rule)
	}
	for i, r := range s.plan.Recipients {
		if r.Step && s.outcomes != nil {
			fmt.Fprintf(s.w, "  %s\t%s\n", r.ID, s.became(i))
		}
	}
}

// notTold writes who is not told, and why.
func (s sheet) notTold(all []routing.NotTold) {
	fmt.Fprintln(s.w, "\nNot told:")
	for _, n := range all {
		fmt.Fprintf(s.w, "  %s\t%s\n", n.ID, n.Why)
	}
}

// untold writes who hears of it when somebody is not told in time.
func (s sheet) untold() {
	by := "within " + short(s.plan.AlarmAfter)
	if s.times != nil {
		by = "by " + s.times.clock(s.times.at.Add(s.plan.AlarmAfter))
	}
	if slices.ContainsFunc(s.plan.Recipients, func(r events.Recipient) bool { return r.Quiet != nil }) {
		by += ", quiet hours not counted"
	}
	fmt.Fprintf(s.w, "\nIf somebody is not told %s: %s\n", by, s.alarms)
}

// ways says how somebody is told: "webhook, then email (link) after 5m".
func (s sheet) ways(r events.Recipient) string {
	if len(r.Channels) == 0 {
		return "by phone only"
	}
	words := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		words[i] = c.Key
		if c.Content != "" {
			words[i] += " (" + string(c.Content) + ")"
		}
		switch later := time.Duration(i) * s.plan.FallbackAfter; {
		case i > 0 && s.times != nil:
			words[i] = "then " + words[i] + " at " + s.times.clock(s.times.after(r.Quiet, s.times.at, later))
		case i > 0:
			words[i] = "then " + words[i] + " after " + short(later)
		}
	}
	line := strings.Join(words, ", ")
	if r.Quiet != nil && s.times == nil {
		line += ", not from " + r.Quiet.From + " to " + r.Quiet.To + " (" + r.Quiet.Zone + ")"
	}
	return line
}

// became is how telling a recipient went: "received at 14:32 by webhook", "failed at 15:00: gave-up".
func (s sheet) became(i int) string {
	if i >= len(s.outcomes) {
		return "nothing is known yet"
	}
	o := s.outcomes[i]
	words := string(cmp.Or(o.State, events.Trying))
	if cmp.Or(o.State, events.Spared) == events.Spared && s.plan.Recipients[i].Step {
		if at, comes := s.turn(i); comes {
			return "not told so far: it is their turn at " + s.times.clock(at) + ", if nobody answers before"
		}
		return "spared: it was not their turn"
	}
	if !o.At.IsZero() {
		words += " at " + s.times.clock(o.At)
	}
	if o.Channel != "" {
		words += " by " + o.Channel
	}
	if o.Reason != "" {
		words += ": " + string(o.Reason)
	}
	if o.Ack != nil {
		words += fmt.Sprintf("; a person answered %s at %s", o.Ack.Answer, s.times.clock(o.Ack.At))
	}
	if !o.Next.IsZero() {
		words += ", next try at " + s.times.clock(o.Next)
	}
	switch {
	case i < len(s.heard) && s.heard[i]:
		words += ", the alarm recipients were told"
	case o.Alarm != "":
		words += ", the alarm recipients have not been told yet"
	}
	return words
}

// turn is when a step is told if nobody answers before; false if somebody has, or that time is over.
func (s sheet) turn(step int) (at time.Time, comes bool) {
	is := func(row int, state events.State) bool { return row < len(s.outcomes) && s.outcomes[row].State == state }
	answered := slices.ContainsFunc(s.outcomes, func(o events.Outcome) bool { return o.State == events.Acknowledged })
	for i, r := range s.plan.Recipients {
		if r.Acknowledge == nil || !slices.Contains(r.Acknowledge.Steps, step) || r.Acknowledge.Any && answered {
			continue
		}
		at := s.times.at
		for _, row := range append([]int{i}, r.Acknowledge.Steps...) {
			if row == step && at.Add(time.Minute).After(time.Now()) { // the hub looks every few seconds
				return at, true
			}
			if row == step || is(row, events.Acknowledged) {
				break
			}
			at = s.passed(row, at, r.Acknowledge.Within)
		}
	}
	return at, false
}

// passed is when the turn of a row that began at a time goes to the next, as package answers has it: it lasts from when they were
// told, and whoever can only be phoned, or could not be told, has none.
func (s sheet) passed(row int, from time.Time, within time.Duration) time.Time {
	r := s.plan.Recipients[row]
	var o events.Outcome
	if row < len(s.outcomes) {
		o = s.outcomes[row]
	}
	switch o.State {
	case events.Sent, events.Received, events.Unacknowledged:
		from = latest(from, o.At)
	case events.Refused, events.Failed, events.Declined:
		return latest(from, o.At)
	default:
		if len(r.Channels) == 0 {
			return from
		}
	}
	return s.times.after(r.Quiet, from, within)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// times are those of one event, by the clock where the hub is.
type times struct{ at time.Time }

func (t *times) whole() string {
	return t.at.Format("Mon 2 Jan 2006 15:04") + " (" + t.at.Location().String() + ")"
}

// clock is a time of day, with the day where it is another than the event's.
func (t *times) clock(when time.Time) string {
	when = when.In(t.at.Location())
	if when.Format(time.DateOnly) == t.at.Format(time.DateOnly) {
		return when.Format("15:04")
	}
	return when.Format("Mon 2 Jan 15:04")
}

// first is when somebody is told first.
func (t *times) first(r events.Recipient) string {
	at := t.after(r.Quiet, t.at, 0)
	if at.Equal(t.at) {
		return t.clock(at)
	}
	return t.clock(at) + ", after their quiet hours"
}

// after is when a length of time is over that runs only outside of somebody's quiet hours, as the hub counts it.
func (t *times) after(q *events.Quiet, from time.Time, length time.Duration) time.Time {
	if q != nil {
		if hours, err := q.Hours(); err == nil {
			return hours.After(from, length)
		}
	}
	return from.Add(length)
}
