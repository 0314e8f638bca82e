package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/routing"
	"carehub/routing/compare"
)

// rulings are what a hub that runs by a folder would do with an event. Nothing is stored or sent. Every command that asks what
// the rules say asks here, and gets the plan that the doors would freeze.
type rulings struct {
	*folder
	now time.Time
}

// Patients are those that have rules.
func (r rulings) Patients() []string { return r.rules.Patients() }

// Plan is who is told of e.
func (r rulings) Plan(e events.Event) events.Plan { return desk{r.folder, nil}.Plan(e) }

// Occasions are the circumstances in which the rules of a patient may name others.
func (r rulings) Occasions(patient string) []routing.Occasion {
	return r.rules.Occasions(patient, r.now)
}

// WhyNot says why somebody is not told of an event.
func (r rulings) WhyNot(e events.Event, id string) string {
	x, known := r.rules.Explain(askedOf(&e), []string{id})
	switch {
	case !known:
		return "this patient has no rules"
	case len(x.NotTold) > 0:
		return x.NotTold[0].Why
	}
	return ""
}

// Rows are who is told of a kind of event, as far as two folders can differ in it.
func (r rulings) Rows(patient string, kind events.Kind, on routing.Occasion) (rows []compare.Row) {
	e := events.Event{Patient: patient, Kind: kind, Place: on.Place, Class: on.Class, Occurred: on.At, Recorded: on.At}
	plan := r.Plan(e)
	matches, _ := r.rules.Match(askedOf(&e))
	for _, to := range plan.Recipients {
		i := slices.IndexFunc(matches, func(m routing.Match) bool { return m.Recipient == to.ID })
		if to.Step || i < 0 {
			continue
		}
		row := r.row(plan, to)
		row.Mandatory = matches[i].Mandatory
		row.Logs = r.rules.May(to.ID, patient, routing.Log, on.At) == routing.Allowed
		if attach := slices.Sorted(slices.Values(matches[i].Attach)); len(attach) > 0 {
			row.How = strings.TrimPrefix(row.How+", with "+strings.Join(attach, " and "), ", ")
		}
		rows = append(rows, row)
	}
	return rows
}

func (r rulings) row(plan events.Plan, to events.Recipient) compare.Row {
	row := compare.Row{ID: to.ID, Name: r.label(to.ID), Rule: to.Rule, Reachable: true}
	row.Times = fmt.Sprintf("%s, another channel after %s, an alarm after %s", plan.Urgency, short(plan.FallbackAfter), short(plan.AlarmAfter))
	if s, registered := r.register.Lookup(to.ID); registered && !s.Carer { // carers.yaml is not everywhere where rules are compared
		row.Reachable = len(s.Channels) > 0
		row.How = compare.Ways(to.Channels)
		if q := to.Quiet; q != nil {
			row.How += ", not from " + q.From + " to " + q.To + " (" + q.Zone + ")"
		}
	}
	if to.Content != "" {
		row.How = strings.TrimPrefix(row.How+", at most "+string(to.Content), ", ")
	}
	if ask := to.Acknowledge; ask != nil {
		row.Ask = "an answer within " + short(ask.Within)
		if ask.Any {
			row.Ask += " from anybody"
		}
		for i, step := range ask.Steps {
			row.Ask += []string{", else ", ", then "}[min(i, 1)] + r.label(plan.Recipients[step].ID)
		}
	}
	return row
}

// label is the name of an organisation, which may stand anywhere; of anybody else it is the id.
func (r rulings) label(id string) string {
	if s, registered := r.register.Lookup(id); registered && !s.Carer && s.Name != "" {
		return s.Name
	}
	return id
}

// around reports whether all that two folders say beside their rules, as far as it decides who is told how, is the same.
func (r rulings) around(other rulings) bool {
	return r.hub.Timezone == other.hub.Timezone && maps.Equal(r.hub.Kinds, other.hub.Kinds) && slices.Equal(r.providers(), other.providers())
}

// providers are what the register says of organisations, a line for each.
func (r rulings) providers() (lines []string) {
	for _, s := range r.register.All() {
		if s.Carer {
			continue
		}
		to, _ := r.recipient(s.ID, "")
		line := s.ID + " " + r.label(s.ID) + " " + compare.Ways(to.Channels)
		if q := r.quietHours(s); q != nil {
			line += strings.Join([]string{"", q.From, q.To, q.Zone}, " ")
		}
		lines = append(lines, line)
	}
	return lines
}
