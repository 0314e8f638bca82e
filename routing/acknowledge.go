package routing

import (
	"slices"
	"time"

	"carehub/config/strict"
)

// acknowledgeEntry is what a rule asks of those that it names: that a person there answers.
type acknowledgeEntry struct {
	Within strict.At[time.Duration] `yaml:"within,required"`
	Else   strict.List[string]      `yaml:"else"`
	Any    bool                     `yaml:"any"`
}

// Bounds of within: less than a minute nobody can keep, and after three days a delivery is given up.
const (
	minWithin = time.Minute
	maxWithin = 72 * time.Hour
)

// Ask is what a rule asks of a recipient: that a person there answers within a time, or else others are told, one after
// another, each with the same time. Any: an answer of any recipient of the event is enough.
type Ask struct {
	Within time.Duration
	Else   []string
	Any    bool
}

func (l *loader) ask(entry *acknowledgeEntry) *Ask {
	if entry == nil {
		return nil
	}
	a := &Ask{Within: entry.Within.V, Any: entry.Any}
	for _, id := range entry.Else {
		a.Else = append(a.Else, l.word(id.V))
	}
	return a
}

// stricter is what two rules ask of the same recipient: the shorter time, and everybody whom either names.
func (a *Ask) stricter(b *Ask) *Ask {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	both := &Ask{Within: min(a.Within, b.Within), Any: a.Any && b.Any, Else: slices.Clone(a.Else)}
	for _, id := range b.Else {
		if !slices.Contains(both.Else, id) {
			both.Else = append(both.Else, id)
		}
	}
	return both
}

// Steps are those who are told of an event if others do not answer: each with the first rule that asks for it and, where
// several do, the widest ceiling. A rule that names nobody but whoever logged the event asks nobody.
func (r *Rules) Steps(a Asked) (steps []Match) {
	for rule := range r.covering(&a) {
		asked := slices.ContainsFunc(rule.notify, func(id string) bool { return id != a.LoggedBy })
		if rule.ask == nil || !asked || rule.only.withheld(&a, a.At.In(r.zone)) != "" {
			continue
		}
		for _, id := range rule.ask.Else {
			i := slices.IndexFunc(steps, func(m Match) bool { return m.Recipient == id })
			if i < 0 {
				steps = append(steps, Match{Recipient: id, Rule: rule.place, Content: rule.content})
				continue
			}
			steps[i].Content = wider(steps[i].Content, rule.content)
		}
	}
	return steps
}

// IsStep reports whether somebody is still told of such events if others do not answer, whatever the hour and place, counting
// the rules that had not ended at a time, as Names does.
func (r *Rules) IsStep(who string, a Asked, at time.Time) bool {
	for rule := range r.covering(&a) {
		if rule.ask != nil && !rule.only.ended(at.In(r.zone)) && slices.Contains(rule.ask.Else, who) {
			return true
		}
	}
	return false
}

// acknowledge finds what is wrong with what a rule asks for.
func (c *checker) acknowledge(rule strict.At[ruleEntry]) {
	ask := rule.V.Acknowledge
	if ask == nil {
		return
	}
	if w := ask.Within; w.V != 0 && (w.V < minWithin || w.V > maxWithin) {
		c.folder.Report(strict.BadValue, w.Pos, "within must be at least 1m and at most 72h")
	}
	c.hasty(rule)
	for _, id := range ask.Else {
		switch reachable, known := c.known.Reachable[id.V]; {
		case known && !reachable:
			c.folder.Warn(strict.NoChannel, id.Pos, "%s has no channel: when it is their turn, an alarm asks a person to phone them, and the next is told at once", id.V)
		case slices.Contains(rule.V.Notify.Values(), id.V):
			c.folder.Report(strict.Escalation, id.Pos, "%s is told of it anyway: name somebody else who is told when nobody answers", id.V)
		}
	}
	sole, alone := c.soleLogger()
	if last := len(ask.Else) - 1; alone && last == 0 && ask.Else[last].V == sole {
		c.folder.Warn(strict.Escalation, ask.Else[last].Pos, "only %s logs for this patient, and whoever logged it hears of it anyway: name somebody else", sole)
	}
}
