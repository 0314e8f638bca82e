package routing

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Occasion is one of the circumstances in which the rules of a patient may name others: a time, a place and a class of
// encounter. Name says what it stands for; it is empty where the rules make no difference.
type Occasion struct {
	Name         string
	Hours        string // the part of Name that is about time
	At           time.Time
	Place, Class string
}

// Occasions returns circumstances that between them stand for all in which the rules of a patient differ, in any of the
// others as well: the hours of the week from now on, each with every place and class that a rule asks for, and with none.
func (r *Rules) Occasions(patient string, now time.Time, others ...*Rules) (all []Occasion) {
	var rules []*rule
	for _, set := range append(others, r) {
		rules = append(rules, set.patients[patient].rules...)
	}
	now = now.In(r.zone)
	hours := classes(rules, now)
	places, codes := []string{""}, []string{""}
	for _, rule := range rules {
		if rule.only != nil {
			places, codes = union(places, rule.only.places), union(codes, rule.only.classes)
		}
	}
	for _, h := range hours {
		for _, place := range places {
			for _, code := range codes {
				all = append(all, Occasion{named(h.name, place, code), h.name, h.at, place, code})
			}
		}
	}
	return all
}

// LastDays are those of rules of a patient, in any of the others as well, that are not over at now, in order.
func (r *Rules) LastDays(patient string, now time.Time, others ...*Rules) (days []string) {
	for _, set := range append(others, r) {
		for _, rule := range set.patients[patient].rules {
			if last := string(rule.only.last()); last != "" && !rule.only.ended(now.In(r.zone)) && !slices.Contains(days, last) {
				days = append(days, last)
			}
		}
	}
	slices.Sort(days)
	return days
}

func named(hours, place, class string) string {
	var words []string
	if hours != "" {
		words = append(words, hours)
	}
	if place != "" {
		words = append(words, "at "+place)
	}
	if class != "" {
		words = append(words, "class "+class)
	}
	return strings.Join(words, ", ")
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// hourClass is the hours of a week at which the same rules hold, and one moment in them.
type hourClass struct {
	name string // empty where hours make no difference
	at   time.Time
}

// classes are the sorts of hours that rules tell apart, those of now first. Their names are of a week from a Monday on; the moment is the
// next one from now on, for by Monday a rule may have ended.
func classes(rules []*rule, now time.Time) (all []hourClass) {
	times := moments(rules, monday(now))
	var keys []string
	spans := map[string][]span{}
	state := func(at time.Time) string {
		var open strings.Builder
		for _, r := range rules {
			if r.only.open(at) {
				open.WriteByte('1')
			} else {
				open.WriteByte('0')
			}
		}
		return open.String()
	}
	keys = append(keys, state(now))
	for i, from := range times {
		key := state(from)
		spans[key] = append(spans[key], between(times, i))
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	next := map[string]time.Time{}
	for _, at := range moments(rules, now) {
		if key := state(at); next[key].IsZero() {
			next[key] = at
		}
	}
	for _, key := range keys {
		h := hourClass{at: next[key]}
		if h.at.IsZero() { // not within these days, for a clock is changed
			h.at = spans[key][0].from
		}
		if len(keys) > 1 {
			h.name = hoursInWords(spans[key])
		}
		all = append(all, h)
	}
	return all
}

// Same reports whether two sets of rules are the same for a patient, down to the lines that they stand on.
func (r *Rules) Same(other *Rules, patient string) bool {
	a, known := r.patients[patient]
	b, also := other.patients[patient]
	return known == also && reflect.DeepEqual(a, b)
}
