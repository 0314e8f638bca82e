package routing

import (
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// pair is a kind of event and somebody who is told of it.
type pair struct{ kind, recipient string }

func pairs(r ruleEntry) (all []pair) {
	for _, kind := range r.On.Values() {
		for _, id := range r.Notify.Values() {
			all = append(all, pair{kind, id})
		}
	}
	return all
}

// covered warns of rules that could be left out, all of them at once: everybody whom they name is named for the same kinds
// by rules that stay. One that asks for an answer adds that.
func (c *checker) covered() {
	named := map[pair]int{}    // by rules that always hold, without a ceiling
	stays := map[string]bool{} // rules that cannot be left out, by their place
	count := func(rule ruleEntry, n int) {
		if conditions(rule) == "" && rule.Content.V == "" {
			for _, p := range pairs(rule) {
				named[p] += n
			}
		}
	}
	for _, rule := range c.sound {
		count(rule.V, 1)
		stays[rule.Short()] = true
	}
	for _, d := range c.kept {
		count(d.entry.V, 1)
		stays[d.rule.place] = true
	}
	for _, rule := range slices.Backward(c.sound) {
		count(rule.V, -1)
		adds := rule.V.Acknowledge != nil || rule.V.Mandatory || len(rule.V.Attach) > 0
		if adds || slices.ContainsFunc(pairs(rule.V), func(p pair) bool { return named[p] == 0 && !c.coveredThen(rule, p, stays) }) {
			count(rule.V, 1)
			continue
		}
		delete(stays, rule.Short())
		c.folder.Warn(strict.Covered, rule.Pos, "this rule adds nothing: others name everybody here for the same kinds, so it can be left out")
	}
}

// coveredThen reports whether a rule that stays tells somebody of a kind whenever one that does not always hold would.
func (c *checker) coveredThen(entry strict.At[ruleEntry], p pair, stays map[string]bool) bool {
	if conditions(entry.V) == "" {
		return false
	}
	at := slices.IndexFunc(c.rules, func(r *rule) bool { return r.place == entry.Short() })
	return at >= 0 && slices.ContainsFunc(c.rules, func(r *rule) bool {
		return r.place != entry.Short() && stays[r.place] && r.content == "" && r.tells(p.recipient) && r.covers(events.Kind(p.kind), "") &&
			c.going(r) && r.only.covers(c.rules[at].only, c.moments())
	})
}

// soon is how long somebody may well need to see a message and to answer it.
const soon = 5 * time.Minute

// hasty warns of a within that is over before the next channel of a recipient is tried or, where there is none, before a person could
// be expected to have seen the message.
func (c *checker) hasty(rule strict.At[ruleEntry]) {
	within := rule.V.Acknowledge.Within
	for _, id := range rule.V.Notify.Values() {
		for _, kind := range rule.V.On.Values() {
			wait := c.known.FallbackAfter[events.Kind(kind)]
			if within.V < minWithin || within.V >= wait {
				continue
			}
			if !c.known.Several[id] {
				if within.V < soon && c.known.Reachable[id] {
					c.folder.Warn(strict.Hasty, within.Pos, "within is hardly time to see a message and answer it, and %s has no other channel: give 5m at least", id)
					return
				}
				continue
			}
			c.folder.Warn(strict.Hasty, within.Pos, "within is over before another channel of %s is tried: fallback_after of %s is %s", id, kind, short(wait))
			return
		}
	}
}

// short writes a time as it is written in YAML: 5m and not 5m0s.
func short(d time.Duration) string {
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
