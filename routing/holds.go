package routing

import (
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// whenEntry is what an event must say for a rule to hold: one of the places, and one of the classes.
type whenEntry struct {
	Place strict.List[string] `yaml:"place"`
	Class strict.List[string] `yaml:"class"`
}

// condition is when a rule holds. Rules that hold always have none.
type condition struct {
	hours   []window // none: at any hour
	places  []string // folded; none: anywhere
	classes []string // none: of any class, and of none
	until   strict.Date
}

// The reasons for which a rule does not hold.
const (
	notNow   = "not at this hour"
	notHere  = "not at this place"
	notClass = "not in this class of care"
)

// withheld says why a rule does not hold for an event on a day; "" if it does.
func (c *condition) withheld(a *Asked, today time.Time) string {
	switch {
	case c == nil:
		return ""
	case c.until.Past(today):
		return "ended " + string(c.until)
	case !c.open(a.At):
		return notNow
	case len(c.places) > 0 && (a.Place == "" || !slices.Contains(c.places, fold(a.Place))):
		return notHere
	case len(c.classes) > 0 && !slices.Contains(c.classes, a.Class):
		return notClass
	}
	return ""
}

// open reports whether any of the hours are.
func (c *condition) open(at time.Time) bool {
	return c == nil || len(c.hours) == 0 || slices.ContainsFunc(c.hours, func(w window) bool { return w.open(at) })
}

// says reports whether the condition is about what an event says, which it need not say.
func (c *condition) says() bool { return c != nil && len(c.places)+len(c.classes) > 0 }

// ended reports whether the last day of a rule is over.
func (c *condition) ended(today time.Time) bool { return c != nil && c.until.Past(today) }

// last is the last day; "" for none.
func (c *condition) last() strict.Date {
	if c == nil {
		return ""
	}
	return c.until
}

// condition checks and compiles when a rule holds.
func (l *loader) condition(rule *strict.At[ruleEntry]) *condition {
	entry := &rule.V
	if len(entry.Hours) == 0 && entry.When == nil && entry.Until.V == "" {
		return nil
	}
	c := &condition{hours: l.hours(entry.Hours), until: entry.Until.V}
	if entry.When != nil {
		l.when(c, rule.Pos, *entry.When)
	}
	switch {
	case c.until.Past(l.now):
		l.folder.Warn(strict.RuleEnded, entry.Until.Pos, "this rule has ended, and tells nobody: take it out, or give it another day")
	case c.until.Soon(l.now):
		l.folder.Warn(strict.RuleEnding, entry.Until.Pos, "this rule ends within 30 days")
	}
	return c
}

func (l *loader) when(c *condition, at strict.Pos, entry whenEntry) {
	if l.whole && len(entry.Place)+len(entry.Class) == 0 {
		l.folder.Report(strict.Conflict, at, "when needs a place or a class")
	}
	for _, place := range entry.Place {
		if strings.TrimSpace(place.V) == "" {
			l.folder.Report(strict.NoValue, place.Pos, "place needs a value")
		}
		c.places = append(c.places, fold(place.V))
	}
	for _, class := range entry.Class {
		if !slices.Contains(events.Classes, class.V) {
			l.folder.Report(strict.BadValue, class.Pos, "class takes %s%s", strings.Join(events.Classes, ", "), strict.DidYouMean(class.V, events.Classes))
		}
		c.classes = append(c.classes, l.word(class.V))
	}
}
