package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"carehub/events"
	"carehub/routing"
)

// findings are the differences for one patient: each with the kinds of event and the occasions that it holds for.
type findings struct {
	occasions []routing.Occasion
	kind      events.Kind // that is being looked at
	on        int         // and the occasion
	found     map[finding]*extent
}

type finding struct {
	what   string
	effect Effect
}

// extent is where a finding holds.
type extent struct {
	rule string                    // of the first
	on   map[events.Kind]occasions // in order
}

// occasions are some of those of a patient: a rune for each, which is its index.
type occasions string

func (f *findings) add(what string, row Row, effect Effect, rule string) {
	effect.ID, effect.Name = row.ID, row.Name
	at := f.found[finding{what, effect}]
	if at == nil {
		at = &extent{rule: rule, on: map[events.Kind]occasions{}}
		f.found[finding{what, effect}] = at
	}
	at.on[f.kind] += occasions(rune(f.on))
}

// everything stands for all kinds.
const everything = "every event"

// when says for which events a finding holds: one line for all kinds of which the same is said.
func (f *findings) when(at *extent) (lines []string) {
	by := map[string][]string{}
	var order []string
	for _, kind := range events.Routed {
		if at.on[kind] == "" {
			continue
		}
		name := f.named(at.on[kind])
		if by[name] == nil {
			order = append(order, name)
		}
		by[name] = append(by[name], string(kind))
	}
	for _, name := range order {
		line := strings.Join(by[name], ", ")
		if len(by[name]) == len(events.Routed) {
			line = everything
		}
		lines = append(lines, line+name)
	}
	return lines
}

// named names some of the occasions by what matters: hours, places or classes that make no difference are left out. It is nothing where
// it is all of them. A fall with a class stands for what a fall has led to, which the rules for falls hold for as well.
func (f *findings) named(on occasions) string {
	var some []routing.Occasion
	for _, i := range on {
		some = append(some, f.occasions[i])
	}
	if names := Names(f.occasions, some); len(names) > 0 {
		return " (" + strings.Join(names, "; ") + ")"
	}
	return ""
}

// collector gathers the findings of all patients, those of several patients together where they are the same.
type collector struct {
	accepted map[string]bool // what may be lost: whether it is
	changes  map[string]*Change
}

func (c *collector) accepts(patient string, kind events.Kind) bool {
	for _, name := range []string{patient, patient + "/" + string(kind)} {
		if _, ok := c.accepted[name]; ok {
			c.accepted[name] = true
			return true
		}
	}
	return false
}

// groups takes in the findings for a patient. Effects that hold for the same events stand on one line.
func (c *collector) groups(patient string, f *findings) {
	type line struct{ what, when string }
	effects, rules := map[line][]Effect{}, map[line]string{}
	for found, at := range f.found {
		for _, when := range f.when(at) {
			l := line{found.what, when}
			effects[l] = append(effects[l], found.effect)
			rules[l] = min(cmp.Or(rules[l], at.rule), cmp.Or(at.rule, rules[l]))
		}
	}
	if c.changes == nil {
		c.changes = map[string]*Change{}
	}
	for l, all := range effects {
		slices.SortFunc(all, func(a, b Effect) int {
			return cmp.Or(cmp.Compare(a.Was, b.Was), cmp.Compare(a.Now, b.Now), cmp.Compare(a.ID, b.ID))
		})
		key := fmt.Sprint(l, all)
		if c.changes[key] == nil {
			c.changes[key] = &Change{What: l.what, When: l.when, Effects: all}
		}
		c.changes[key].Patients = append(c.changes[key].Patients, patient)
		c.changes[key].Rules = append(c.changes[key].Rules, rules[l])
	}
}

// order is that of a report: what is refused first.
var order = []string{Nobody, Must, Accepted, Lost, Gained, Mark, Escalation, Times, Channels}

func (c *collector) report(patients int) Report {
	r := Report{Patients: patients, Counts: map[string]int{}, Changes: []Change{}, Unused: []string{}}
	of := map[string]map[string]bool{}
	for _, change := range c.changes {
		r.Changes = append(r.Changes, *change)
		if of[change.What] == nil {
			of[change.What] = map[string]bool{}
		}
		for _, patient := range change.Patients {
			of[change.What][patient] = true
		}
	}
	for what, some := range of {
		r.Counts[what] = len(some)
	}
	r.Refused = r.Counts[Nobody]+r.Counts[Must] > 0
	for name, used := range c.accepted {
		if !used {
			r.Unused = append(r.Unused, name)
		}
	}
	slices.Sort(r.Unused)
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.What), slices.Index(order, b.What)), slices.Compare(a.Patients, b.Patients),
			cmp.Compare(a.When, b.When), cmp.Compare(fmt.Sprint(a.Effects), fmt.Sprint(b.Effects)))
	})
	return r
}
