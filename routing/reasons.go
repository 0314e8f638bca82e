package routing

import (
	"slices"
	"strings"
)

// Reason says of one rule for an event whether it holds, and why not.
type Reason struct {
	Rule   string   // routing/p-7f3k.yaml:4
	Notify []string // whom it names
	Why    string   // such as "not at this hour" or "ended 2026-10-01"; empty if it holds
}

// Reasons goes through the rules of a patient for the kind of an event, and for what led to it, in their order.
func (r *Rules) Reasons(a Asked) (all []Reason) {
	for rule := range r.covering(&a) {
		all = append(all, Reason{rule.place, rule.notify, rule.only.withheld(&a, a.At.In(r.zone))})
	}
	return all
}

// withheld says why somebody is not told of an event although rules for it name them, all of which do not hold; "" if none
// does.
func (r *Rules) withheld(id string, a *Asked) string {
	var why []string
	for rule := range r.covering(a) {
		if reason := rule.only.withheld(a, a.At.In(r.zone)); reason != "" && (rule.tells(id) || rule.ask != nil && slices.Contains(rule.ask.Else, id)) {
			why = append(why, reason+" by "+rule.place)
		}
	}
	return strings.Join(why, "; ")
}
