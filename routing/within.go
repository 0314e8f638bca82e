package routing

import (
	"slices"
	"time"
)

// covers reports whether a condition holds whenever another does, at these moments of the week at which any hours begin or end.
func (c *condition) covers(other *condition, times []time.Time) bool {
	switch {
	case c == nil:
		return true
	case other == nil:
		return false
	case c.until != "" && (other.until == "" || other.until > c.until):
		return false
	}
	return contains(c.places, other.places) && contains(c.classes, other.classes) &&
		!slices.ContainsFunc(times, func(at time.Time) bool { return other.open(at) && !c.open(at) })
}

// contains reports whether a list has all of another; none is anything.
func contains(list, other []string) bool {
	return len(list) == 0 || len(other) > 0 && !slices.ContainsFunc(other, func(s string) bool { return !slices.Contains(list, s) })
}
