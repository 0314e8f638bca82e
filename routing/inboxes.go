package routing

import (
	"slices"

	"carehub/config/strict"
	"carehub/events"
)

// inboxes warns of urgent kinds of which, on some occasion, only people with an inbox hear, none of whom has to answer.
func (c *checker) inboxes() {
	if c.unknown {
		return
	}
	var occasions []string // in the order in which they are found
	unread := map[string][]events.Kind{}
	for _, kind := range events.Kinds {
		if !c.known.Urgent[kind] || c.noticed(kind, steady) {
			continue
		}
		if when, found := c.unreadWhen(kind); found {
			occasions = union(occasions, []string{when})
			unread[when] = append(unread[when], kind)
		}
	}
	for _, when := range occasions {
		c.folder.Warn(strict.OnlyInboxes, c.top.Locate("rules"),
			"of %s, which cannot wait, only inboxes hear%s, and nobody would notice one that is not read: let a rule ask for an answer (acknowledge)", join(unread[when]), when)
	}
}

// unreadWhen names the first sort of occasion on which only inboxes hear of a kind: now or after the end of a rule, and of those first
// the one of an event that says no place and class. when is empty if it is every hour.
func (c *checker) unreadWhen(kind events.Kind) (when string, found bool) {
	times := c.moments()
	for _, day := range append([]strict.Date{""}, c.lastDays(kind)...) {
		for _, at := range c.cells(kind) {
			var spans []span
			for i, from := range times {
				if c.unnoticed(kind, func(r *rule) bool { return c.outlasting(day)(r) && r.only.open(from) && at.within(r.only) }) {
					spans = append(spans, between(times, i))
				}
			}
			if len(spans) == 0 {
				continue
			}
			hours := hoursInWords(spans)
			if hours == "at any hour" {
				hours = ""
			}
			words := named(hours, at.place, at.class)
			if words != "" {
				words = " " + words
			}
			if day != "" {
				words += " after " + string(day)
			}
			return words, true
		}
	}
	return "", false
}

// unnoticed reports whether only inboxes hear of a kind by the rules that hold. Where nobody does, or only whoever logged it, reach and
// silences say so.
func (c *checker) unnoticed(kind events.Kind, holds func(*rule) bool) bool {
	return c.deaf(kind, holds) == "" && !c.noticed(kind, holds)
}

// noticed reports whether a rule that holds tells somebody of a kind who has more than inboxes, or asks for an answer.
func (c *checker) noticed(kind events.Kind, holds func(*rule) bool) bool {
	return slices.ContainsFunc(c.rules, func(r *rule) bool { return r.ask != nil && r.covers(kind, "") && holds(r) }) ||
		slices.ContainsFunc(c.told(kind, holds), func(id string) bool { return !c.known.Inboxes[id] })
}
