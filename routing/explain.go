package routing

import (
	"fmt"
	"slices"
	"strings"

	"carehub/events"
)

// Explanation says who would be told of an event and who would not, and why.
type Explanation struct {
	Told    []Match
	NotTold []NotTold // those whom the patient's rules name elsewhere first, then by id
}

// NotTold is somebody whom no rule chose.
type NotTold struct {
	ID  string
	Why string
}

// Explain is Match for people. everyone lists the ids of all who could have been chosen. known is false for a patient
// without rules.
func (r *Rules) Explain(a Asked, everyone []string) (e Explanation, known bool) {
	e.Told, known = r.Match(a)
	steps := r.Steps(a)
	var strangers []NotTold
	for _, id := range everyone {
		if slices.ContainsFunc(e.Told, func(m Match) bool { return m.Recipient == id }) {
			continue
		}
		elsewhere := r.patients[a.Patient].named(id)
		switch {
		case id == a.LoggedBy:
			e.NotTold = append(e.NotTold, NotTold{id, "logged it"})
		case slices.ContainsFunc(steps, func(m Match) bool { return m.Recipient == id }):
			e.NotTold = append(e.NotTold, NotTold{id, "only if others do not answer"})
		case r.withheld(id, &a) != "":
			e.NotTold = append(e.NotTold, NotTold{id, r.withheld(id, &a)})
		case len(elsewhere) > 0:
			why := fmt.Sprintf("no rule for %s names them; named for %s", kinds(a.Kind, a.Because), strings.Join(elsewhere, "; "))
			e.NotTold = append(e.NotTold, NotTold{id, why})
		default:
			strangers = append(strangers, NotTold{id, "no rule for this patient names them"})
		}
	}
	e.NotTold = append(e.NotTold, strangers...)
	return e, known
}

// named lists the kinds that name id, each with the rule: "fall at routing/p-7f3k.yaml:9".
func (p patient) named(id string) []string {
	var all []string
	for _, rule := range p.rules {
		if slices.Contains(rule.notify, id) {
			all = append(all, fmt.Sprintf("%s at %s", join(rule.kinds), rule.place))
		}
	}
	return all
}

func kinds(kind, because events.Kind) string {
	if because == "" {
		return string(kind)
	}
	return fmt.Sprintf("%s or %s", kind, because)
}

// join says a list in words: admission, attendance and fall.
func join(kinds []events.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
