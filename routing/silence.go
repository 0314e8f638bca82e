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
	if c.unknown {
		return
	}
	for _, kind := range events.Kinds {
		if c.deaf(kind, steady) != "" && c.deaf(kind, c.going) == "" { // it reaches somebody, not on every occasion
			c.silence(kind)
		}
	}
}

// steady reports whether a rule holds on every occasion.
func steady(r *rule) bool { return r.only == nil }

// silence asks on every occasion, today and after the last day of each rule, and warns of the first that is worse than today.
func (c *checker) silence(kind events.Kind) {
	always, plain := c.quiet(kind, c.going)
	if always.hours != "" {
		c.folder.Warn(strict.SilentHours, c.at, "%s %s %s: no rule that tells anyone else holds then", article(kind), always.words, always.hours)
	}
	if plain.hours != always.hours {
		c.folder.Warn(strict.SilentElsewhere, c.at, "%s %s %s, unless the event says a place or class that a rule asks for (when)", article(kind), plain.words, plain.hours)
	}
	for _, day := range c.lastDays(kind) {
		after, said := c.quiet(kind, c.outlasting(day))
		switch {
		case after.hours != always.hours:
			c.folder.Warn(strict.SilentHours, c.at, "after %s %s %s %s: the rules that tell others end (until)", day, article(kind), after.words, after.hours)
		case said.hours != plain.hours:
			c.folder.Warn(strict.SilentElsewhere, c.at, "after %s %s %s %s, unless the event says a place or class that a rule asks for (when)", day, article(kind), said.words, said.hours)
		default:
			continue
		}
		return
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

// quiet is when a kind is heard of nowhere, and when it is not heard of if the event says no place and class.
func (c *checker) quiet(kind events.Kind, holds func(*rule) bool) (always, plain silence) {
	var everywhere, unsaid []span
	cells, times := c.cells(kind), c.moments()
	for i, from := range times {
		for n, at := range cells {
			words := c.deaf(kind, func(r *rule) bool { return holds(r) && r.only.open(from) && at.within(r.only) })
			if words == "" {
				break
			}
			if n == 0 {
				unsaid = append(unsaid, between(times, i))
				plain.add(words)
			}
			if n == len(cells)-1 {
				everywhere = append(everywhere, between(times, i))
				always.add(words)
			}
		}
	}
	always.hours, plain.hours = hoursInWords(everywhere), hoursInWords(unsaid)
	return always, plain
}

func (s *silence) add(words string) {
	if s.words == "" || words == "would reach nobody" {
		s.words = words
	}
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

// outlasting reports whether a rule holds after a day, too.
func (c *checker) outlasting(day strict.Date) func(*rule) bool {
	return func(r *rule) bool { return c.going(r) && (r.only.last() == "" || r.only.last() > day) }
}

// cell is a place and a class of encounter that an event may say, folded as in rules.
type cell struct{ place, class string }

// cells are what events of a kind may say as far as its rules ask for it: first nothing, then every place with every class. A fall has
// no class.
func (c *checker) cells(kind events.Kind) (all []cell) {
	places, classes := []string{""}, []string{""}
	for _, r := range c.rules {
		if !r.covers(kind, "") || !r.only.says() {
			continue
		}
		places = union(places, r.only.places)
		if kind != events.Fall {
			classes = union(classes, r.only.classes)
		}
	}
	for _, place := range places {
		for _, class := range classes {
			all = append(all, cell{place, class})
		}
	}
	return all
}

// within reports whether an event that says so is what a condition asks for.
func (at cell) within(c *condition) bool {
	return c == nil || (len(c.places) == 0 || slices.Contains(c.places, at.place)) && (len(c.classes) == 0 || slices.Contains(c.classes, at.class))
}

// moments are those of the week at which hours of the rules begin or end.
func (c *checker) moments() []time.Time {
	if c.times == nil {
		c.times = moments(c.rules, monday(c.now))
	}
	return c.times
}
