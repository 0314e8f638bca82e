// Package routing decides who is told of an event, and by which rule; who may log for which patient; and what each carer
// calls their patients. It is read from routing/*.yaml, one file for each patient. Deciding is pure: no network, no disk,
// no clock but the one that is passed in.
package routing

import (
	"iter"
	"slices"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// Rules are the rules of all patients. They do not change and are safe for concurrent use.
type Rules struct {
	zone     *time.Location // of the hub
	patients map[string]patient
	aliases  map[string][]alias // by who uses them
	keptOut  []Exclusion
	hash     string
}

// patient is one routing file, compiled.
type patient struct {
	rules  []*rule // in the order of the file, then the defaults, which all patients share
	grants []grant
}

type rule struct {
	kinds  []events.Kind
	notify []string
	ask    *Ask       // nil: nobody has to answer
	only   *condition // nil: it always holds
	place  string     // routing/p-7f3k.yaml:4, or routing.yaml:9 of a default

	content   events.Content // empty: no ceiling
	attach    []string
	mandatory bool
}

// grant is what one carer or system may do for a patient.
type grant struct {
	actor string
	may   []Right
	until strict.Date
}

// Asked is an event as far as the rules look at it.
type Asked struct {
	Patient  string
	Kind     events.Kind
	Because  events.Kind // what led to it; empty if nothing did
	LoggedBy string      // is not told of it
	// At is when the hub takes the event in, not when it happened: whoever is on duty is told.
	At    time.Time
	Place string // as the event says; empty if it does not
	Class string // of the encounter, a code of HL7 v3 ActCode such as IMP or EMER; empty if the event does not say
}

// Match is one recipient of an event and the rule that chose it: file and line, such as routing/p-7f3k.yaml:4, the file
// relative to the configuration folder.
type Match struct {
	Recipient string
	Rule      string
	Ask       *Ask           // that a person there answers; nil if nobody has to
	Content   events.Content // the most that a message may tell; empty: as much as the channel's own setting
	Attach    []string       // kinds of document that may go to them, or all; nil: none
	Mandatory bool           // the admin lets no patient's file take this away
}

// Match returns who is told of an event. All rules for its kind, and for what led to it, apply: the recipients are
// their union, each with the first rule that names them: those of the patient's file come before the defaults. Whoever
// logged the event is not told of it. known is false for a patient without rules, which is not the same as one whose rules
// name nobody.
func (r *Rules) Match(a Asked) (matches []Match, known bool) {
	_, known = r.patients[a.Patient]
	at := map[string]int{}
	today := a.At.In(r.zone)
	for rule := range r.covering(&a) {
		if rule.only.withheld(&a, today) != "" {
			continue
		}
		for _, recipient := range rule.notify {
			i, seen := at[recipient]
			switch {
			case recipient == a.LoggedBy:
			case seen:
				matches[i].add(rule)
			default:
				at[recipient] = len(matches)
				matches = append(matches, Match{Recipient: recipient, Rule: rule.place, Ask: rule.ask, Content: rule.content,
					Attach: rule.attach, Mandatory: rule.mandatory})
			}
		}
	}
	return matches, known
}

// covering yields the rules of a patient for the kind of an event, and for what led to it.
func (r *Rules) covering(a *Asked) iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for _, rule := range r.patients[a.Patient].rules {
			if rule.covers(a.Kind, a.Because) && !yield(rule) {
				return
			}
		}
	}
}

// add is what another rule gives the same recipient.
func (m *Match) add(r *rule) {
	m.Ask = m.Ask.stricter(r.ask)
	m.Content = wider(m.Content, r.content)
	m.Mandatory = m.Mandatory || r.mandatory
	for _, kind := range r.attach {
		if !slices.Contains(m.Attach, kind) {
			m.Attach = append(slices.Clip(m.Attach), kind) // what it has is the first rule's own
		}
	}
}

// wider is the ceiling that lets through more; none lets everything through.
func wider(a, b events.Content) events.Content {
	if a == "" || b == "" {
		return ""
	}
	if a.Within(b) == a {
		return b
	}
	return a
}

// Names reports whether the rules still tell somebody of such events, counting those that had not ended at a time: for an
// event the one at which it was taken in, so that the end of a rule takes back nothing. Whether they did of this one, at its
// hour and place, is frozen in its plan.
func (r *Rules) Names(who string, a Asked, at time.Time) bool {
	for rule := range r.covering(&a) {
		if who != a.LoggedBy && !rule.only.ended(at.In(r.zone)) && rule.tells(who) {
			return true
		}
	}
	return false
}

// Recipients returns everybody who is told of some event of a patient, whatever the hour and place, by the rules that have
// not ended at a time.
func (r *Rules) Recipients(patient string, at time.Time) (ids []string) {
	for _, kind := range events.Routed {
		for _, rule := range r.patients[patient].rules {
			for _, id := range rule.notify {
				if rule.covers(kind, "") && !rule.only.ended(at.In(r.zone)) && !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

func (r *rule) tells(id string) bool { return slices.Contains(r.notify, id) }

func (r *rule) covers(kind, because events.Kind) bool {
	return slices.Contains(r.kinds, kind) || because != "" && slices.Contains(r.kinds, because)
}

// Hash identifies the rules: it changes with what any routing file says and with who is restricted or has died. Nothing else decides who
// is told.
func (r *Rules) Hash() string { return r.hash }

// Patients returns the ids of all patients that have rules, sorted.
func (r *Rules) Patients() []string { return sortedKeys(r.patients) }

// Named returns everybody whom any routing file names: to be told, to be told if others do not answer, or to log or see.
func (r *Rules) Named() map[string]bool {
	named := map[string]bool{}
	for _, p := range r.patients {
		for _, g := range p.grants {
			named[g.actor] = true
		}
		for _, rule := range p.rules {
			for _, id := range rule.notify {
				named[id] = true
			}
			if rule.ask == nil {
				continue
			}
			for _, id := range rule.ask.Else {
				named[id] = true
			}
		}
	}
	return named
}

// Right is something that a carer or system may do for a patient.
type Right string

// The rights that logged_by gives.
const (
	Log Right = "log" // log events
	See Right = "see" // see what was logged and who was told
)

// Authority is whether somebody has a right.
type Authority int

// The values of Authority.
const (
	No      Authority = iota
	Ended             // had it until a day that is over
	Allowed           //
)

// May reports whether actor, a carer's or system's id, has a right over a patient at now, which is in the hub's time zone:
// a right lasts through the day of its until.
func (r *Rules) May(actor, patient string, what Right, now time.Time) Authority {
	for _, g := range r.patients[patient].grants {
		switch {
		case g.actor != actor || !slices.Contains(g.may, what):
		case g.until.Past(now):
			return Ended
		default:
			return Allowed
		}
	}
	return No
}
