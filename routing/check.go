package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// check finds what is wrong with the rules of one patient beyond their form: rules that do nothing and events that would
// reach nobody. The rules of p are all that apply, with the defaults that are kept.
func (l *loader) check(top strict.Node, f file, kept []*inherited, p patient) {
	c := checker{loader: l, top: top, at: top.Locate("rules"), kept: kept, rules: p.rules, grants: p.grants, earlier: map[string]strict.Pos{}, unknown: l.misspelt}
	for _, rule := range f.Rules {
		c.judge(rule)
	}
	c.loggers()
	c.reach()
	if !l.known.Restricted[f.Patient.V] { // of whom others are left to tell
		c.silences()
	}
	c.covered()
	c.inboxes()
}

type checker struct {
	*loader
	top     strict.Node
	at      strict.Pos // of what is wrong with all the rules together
	kept    []*inherited
	rules   []*rule
	grants  []grant
	earlier map[string]strict.Pos  // rules by what they say
	sound   []strict.At[ruleEntry] // rules that tell somebody something
	times   []time.Time            // moments, once somebody asked for them
	unknown bool                   // a kind of some rule is misspelt, so it cannot be said what reaches nobody
}

// judge finds what is wrong with one rule.
func (c *checker) judge(rule strict.At[ruleEntry]) {
	c.kinds(rule)
	c.recipients(rule)
	c.acknowledge(rule)
	c.class(rule)
	c.effect(rule)
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
		if reachable, known := c.known.Reachable[recipient.V]; known && !reachable {
			c.folder.Warn(strict.NoChannel, recipient.Pos, "%s has no channel: each event will be an alarm that somebody must phone them", recipient.V)
		}
		channel, limit := c.known.Whole[recipient.V], rule.V.Content
		if channel != "" && limit.V != "" && limit.V != string(events.ContentFull) {
			c.folder.Warn(strict.WholeMessage, limit.Pos, "%s is told by %s, which carries the whole message whatever content says", recipient.V, channel)
		}
	}
}

// class warns of a rule that asks a fall for what it does not have.
func (c *checker) class(rule strict.At[ruleEntry]) {
	if when := rule.V.When; when != nil && len(when.Class) > 0 && slices.Contains(rule.V.On.Values(), string(events.Fall)) {
		c.folder.Warn(strict.FallClass, when.Class[0].Pos, "a fall has no class: of falls, this rule holds only for what they led to, such as an admission")
	}
}

// effect reports a rule that can never tell anyone anything.
func (c *checker) effect(rule strict.At[ruleEntry]) {
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
	if first, same := c.earlier[key]; same {
		c.folder.Report(strict.AddsNothing, rule.Pos, "this rule adds nothing: the one on line %d says the same", first.Line)
		return
	}
	c.earlier[key] = rule.Pos
	c.sound = append(c.sound, rule)
}

// signature is the same for rules that name the same kinds and recipients in whatever order.
func signature(r ruleEntry) string {
	on, notify := slices.Sorted(slices.Values(r.On.Values())), slices.Sorted(slices.Values(r.Notify.Values()))
	ask := ""
	if r.Acknowledge != nil {
		ask = fmt.Sprint(r.Acknowledge.Within.V, r.Acknowledge.Else.Values(), r.Acknowledge.Any)
	}
	return strings.Join(on, " ") + "\n" + strings.Join(notify, " ") + "\n" + ask + "\n" + conditions(r) +
		fmt.Sprint(r.Content.V, r.Attach.Values(), r.Mandatory)
}

// conditions is the same for rules that hold at the same times and places, as far as they are written alike.
func conditions(r ruleEntry) (all string) {
	for _, h := range r.Hours {
		all += fmt.Sprintln(h.V.Days.Values(), h.V.From.V, h.V.To.V, h.V.Zone.V)
	}
	if r.When != nil {
		all += fmt.Sprintln("when", r.When.Place.Values(), r.When.Class.Values())
	}
	if r.Until.V != "" {
		all += fmt.Sprintln("until", r.Until.V)
	}
	return all
}

// mayLog returns who may log for this patient.
func (c *checker) mayLog() []string {
	var ids []string
	for _, g := range c.grants {
		if slices.Contains(g.may, Log) {
			ids = append(ids, g.actor)
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
	for _, kind := range events.Kinds {
		switch told := c.told(kind, c.going); {
		case len(told) == 0:
			c.folder.Gap(strict.ReachesNobody, c.at, "%s would reach nobody: no rule names anyone with a channel for it", article(kind))
		case len(told) == 1 && slices.Contains(c.mayLog(), told[0]):
			c.folder.Gap(strict.ReachesLogger, c.at, "%s that %s logs would reach nobody else", article(kind), told[0])
		}
	}
}

// told returns who would hear of a kind by the rules that hold, whoever logged it. Somebody unknown counts: that is another
// problem.
func (c *checker) told(kind events.Kind, holds func(*rule) bool) (told []string) {
	for _, rule := range c.rules {
		if !rule.covers(kind, "") || !holds(rule) {
			continue
		}
		for _, id := range rule.notify {
			if reachable, known := c.known.Reachable[id]; (reachable || !known) && !slices.Contains(told, id) {
				told = append(told, id)
			}
		}
	}
	return told
}

// going reports whether a rule has not ended.
func (c *checker) going(r *rule) bool { return !r.only.ended(c.now) }

func article(kind events.Kind) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + string(kind)
	}
	return "a " + string(kind)
}
