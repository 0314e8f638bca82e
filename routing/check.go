package routing

import (
	"fmt"
	"slices"
	"strings"

	"carehub/config/strict"
	"carehub/events"
)

// check finds what is wrong with the rules of one patient beyond their form: names that nobody has, rules that do nothing
// and events that would reach nobody.
func (l *loader) check(top strict.Node, f file) {
	c := checker{loader: l, file: f, top: top}
	earlier := map[string]strict.Pos{}
	for _, rule := range f.Rules {
		c.kinds(rule)
		c.recipients(rule)
		c.acknowledge(rule)
		c.effect(rule, earlier)
	}
	c.loggers()
	c.reach()
	c.covered()
	c.inboxes()
}

type checker struct {
	*loader
	file    file
	top     strict.Node
	sound   []strict.At[ruleEntry] // rules that tell somebody something
	unknown bool                   // a kind of some rule is misspelt, so it cannot be said what reaches nobody
}

func (c *checker) kinds(rule strict.At[ruleEntry]) {
	var names []string
	for _, k := range events.Routed {
		names = append(names, string(k))
	}
	for _, kind := range rule.V.On {
		if !events.Kind(kind.V).Known() {
			c.unknown = true
			c.folder.Report(strict.UnknownKind, kind.Pos, "this build does not know the kind %q%s", kind.V, strict.DidYouMean(kind.V, names))
		}
	}
}

func (c *checker) recipients(rule strict.At[ruleEntry]) {
	for _, recipient := range rule.V.Notify {
		switch reachable, known := c.known.Reachable[recipient.V]; {
		case !c.registered(recipient.V):
			c.folder.Report(strict.UnknownRecipient, recipient.Pos, "unknown recipient %q%s", recipient.V, c.suggest(recipient.V))
		case known && !reachable:
			c.folder.Warn(strict.NoChannel, recipient.Pos, "%s has no channel: each event will be an alarm that somebody must phone them", recipient.V)
		}
	}
}

// registered reports whether id is somebody's. Where carers.yaml is missing a logger is taken to be a carer.
func (c *checker) registered(id string) bool {
	_, known := c.known.Reachable[id]
	return known || c.known.NoCarers && slices.ContainsFunc(c.file.LoggedBy, func(e strict.Entry[grantEntry]) bool {
		return e.Key == id
	})
}

// effect reports a rule that can never tell anyone anything.
func (c *checker) effect(rule strict.At[ruleEntry], earlier map[string]strict.Pos) {
	switch sole, alone := c.soleLogger(); {
	case len(rule.V.On) == 0:
		c.folder.Report(strict.DeadRule, rule.Pos, "this rule can never match: it names no kind of event")
		return
	case len(rule.V.Notify) == 0:
		c.folder.Report(strict.DeadRule, rule.Pos, "this rule tells nobody")
		return
	case alone && len(rule.V.Notify) == 1 && rule.V.Notify[0].V == sole:
		c.folder.Report(strict.DeadRule, rule.Pos, "this rule can never tell anyone: only %s logs for this patient, and whoever logged is not told", sole)
	}
	key := signature(rule.V)
	if first, same := earlier[key]; same {
		c.folder.Report(strict.AddsNothing, rule.Pos, "this rule adds nothing: the one on line %d says the same", first.Line)
		return
	}
	earlier[key] = rule.Pos
	c.sound = append(c.sound, rule)
}

// signature is the same for rules that name the same kinds and recipients in whatever order.
func signature(r ruleEntry) string {
	on, notify := slices.Sorted(slices.Values(r.On.Values())), slices.Sorted(slices.Values(r.Notify.Values()))
	ask := ""
	if r.Acknowledge != nil {
		ask = fmt.Sprint(r.Acknowledge.Within.V, r.Acknowledge.Else.Values(), r.Acknowledge.Any)
	}
	return strings.Join(on, " ") + "\n" + strings.Join(notify, " ") + "\n" + ask
}

// mayLog returns who may log for this patient.
func (c *checker) mayLog() []string {
	var ids []string
	for _, entry := range c.file.LoggedBy {
		if slices.Contains(entry.V.May.Values(), string(Log)) {
			ids = append(ids, entry.Key)
		}
	}
	return ids
}

func (c *checker) soleLogger() (id string, alone bool) {
	ids := c.mayLog()
	if len(ids) != 1 {
		return "", false
	}
	return ids[0], true
}

func (c *checker) loggers() {
	if len(c.mayLog()) == 0 {
		c.top.Report(strict.NobodyLogs, "logged_by", "lets nobody log for this patient, so no rule can ever match")
	}
}

// reach reports every kind of event that would reach nobody, or nobody but whoever logged it.
func (c *checker) reach() {
	if c.unknown {
		return
	}
	at := c.top.Locate("rules")
	for _, kind := range events.Kinds {
		switch told := c.told(kind); {
		case len(told) == 0:
			c.folder.Gap(strict.ReachesNobody, at, "%s would reach nobody: no rule names anyone with a channel for it", article(kind))
		case len(told) == 1 && slices.Contains(c.mayLog(), told[0]):
			c.folder.Gap(strict.ReachesLogger, at, "%s that %s logs would reach nobody else", article(kind), told[0])
		}
	}
}

// told returns who would hear of a kind, whoever logged it. Somebody unknown counts: that is another problem.
func (c *checker) told(kind events.Kind) []string {
	var told []string
	seen := map[string]bool{}
	for _, rule := range c.file.Rules {
		if !slices.Contains(rule.V.On.Values(), string(kind)) {
			continue
		}
		for _, id := range rule.V.Notify.Values() {
			reachable, known := c.known.Reachable[id]
			if (reachable || !known) && !seen[id] {
				seen[id] = true
				told = append(told, id)
			}
		}
	}
	return told
}

func article(kind events.Kind) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + string(kind)
	}
	return "a " + string(kind)
}
