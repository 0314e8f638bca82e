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
	named := map[pair]int{} // by rules that always hold, without a ceiling
	count := func(rule ruleEntry, n int) {
		if conditions(rule) == "" && rule.Content.V == "" {
			for _, p := range pairs(rule) {
				named[p] += n
			}
		}
	}
	for _, rule := range c.sound {
		count(rule.V, 1)
	}
	for _, d := range c.kept {
		count(d.entry.V, 1)
	}
	for _, rule := range slices.Backward(c.sound) {
		count(rule.V, -1)
		adds := rule.V.Acknowledge != nil || rule.V.Mandatory || len(rule.V.Attach) > 0
		if adds || slices.ContainsFunc(pairs(rule.V), func(p pair) bool { return named[p] == 0 }) {
			count(rule.V, 1)
			continue
		}
		c.folder.Warn(strict.Covered, rule.Pos, "this rule adds nothing: others name everybody here for the same kinds, so it can be left out")
	}
}

// hasty warns of a within that is over before the next channel of a recipient is tried.
func (c *checker) hasty(rule strict.At[ruleEntry]) {
	within := rule.V.Acknowledge.Within
	for _, id := range rule.V.Notify.Values() {
		for _, kind := range rule.V.On.Values() {
			wait := c.known.FallbackAfter[events.Kind(kind)]
			if !c.known.Several[id] || within.V < minWithin || within.V >= wait {
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
