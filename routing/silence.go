package routing

import (
	"slices"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// silences warns of kinds that reach nobody at some hours of the week, once rules have ended, or unless an event says more
// than it need.
func (c *checker) silences() {
	if c.unknown || !slices.ContainsFunc(c.rules, func(r *rule) bool { return r.only != nil }) {
		return
	}
	times := moments(c.rules, monday(c.now))
	for _, kind := range events.Kinds {
		if c.deaf(kind, c.going) == "" { // it reaches somebody, at some hour
			c.silence(kind, times)
		}
	}
}

func (c *checker) silence(kind events.Kind, times []time.Time) {
	always := c.quietest(kind, times, c.going)
	if always.hours != "" {
		c.folder.Warn(strict.SilentHours, c.at, "%s %s %s: no rule that tells anyone else holds then", article(kind), always.words, always.hours)
	}
	plain := c.quietest(kind, times, func(r *rule) bool { return c.going(r) && !r.only.says() })
	if plain.hours != always.hours {
		c.folder.Warn(strict.SilentElsewhere, c.at, "%s %s %s, unless the event says a place or class that a rule asks for (when)", article(kind), plain.words, plain.hours)
	}
	for _, day := range c.lastDays(kind) {
		after := c.quietest(kind, times, func(r *rule) bool { return c.going(r) && (r.only.last() == "" || r.only.last() > day) })
		if after.hours != always.hours {
			c.folder.Warn(strict.SilentHours, c.at, "after %s %s %s %s: the rules that tell others end (until)", day, article(kind), after.words, after.hours)
			return
		}
	}
}

// deaf says that nobody hears of a kind but, perhaps, whoever logged it; "" if others do.
func (c *checker) deaf(kind events.Kind, holds func(*rule) bool) string {
	switch told := c.told(kind, holds); {
	case len(told) == 0:
		return "would reach nobody"
	case len(told) == 1 && slices.Contains(c.mayLog(), told[0]):
		return "that " + told[0] + " logs would reach nobody else"
	}
	return ""
}

// silence is the hours of the week at which a kind is not heard of, in words; empty if there are none.
type silence struct{ words, hours string }

func (c *checker) quietest(kind events.Kind, times []time.Time, holds func(*rule) bool) (s silence) {
	var spans []span
	for i, from := range times {
		words := c.deaf(kind, func(r *rule) bool { return holds(r) && r.only.open(from) })
		if words == "" {
			continue
		}
		if s.words == "" || words == "would reach nobody" {
			s.words = words
		}
		spans = append(spans, between(times, i))
	}
	s.hours = hoursInWords(spans)
	return s
}

// lastDays are the last days of rules for a kind, the first one first.
func (c *checker) lastDays(kind events.Kind) (days []strict.Date) {
	for _, r := range c.rules {
		if last := r.only.last(); last != "" && c.going(r) && r.covers(kind, "") && !slices.Contains(days, last) {
			days = append(days, last)
		}
	}
	slices.Sort(days)
	return days
}
