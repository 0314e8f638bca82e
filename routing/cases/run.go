package cases

import (
	"iter"
	"slices"
	"strings"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
)

// Hub is the rules and the register, as a hub would use them.
type Hub interface {
	Patients() []string
	// Occasions are the circumstances in which the rules of a patient may name others.
	Occasions(patient string) []routing.Occasion
	// Plan is who is told of an event.
	Plan(e events.Event) events.Plan
	// WhyNot says why somebody is not told of an event.
	WhyNot(e events.Event, id string) string
}

// Failure is an expectation that the rules do not meet, for one event.
type Failure struct {
	strict.Pos        // of the case
	Case       string // its name
	Event      string // in words
	Problems   []Deviation
}

// Deviation is one difference from what is expected.
type Deviation struct {
	What string `json:"what"` // one of the words below
	ID   string `json:"id"`   // of a subscriber or carer; empty for Steps
	Why  string `json:"why"`  // of what is missing
	Rule string `json:"rule"` // file:line that decided; empty where none did
}

// What deviates.
const (
	Missing    = "missing"    // is not told
	Unexpected = "unexpected" // is told
	Channel    = "channel"    // is told otherwise
	Steps      = "steps"      // others are told if nobody answers
)

// Most is how many failures of one case are returned: one that fails for ten thousand patients has been understood by then.
const Most = 10

// Run returns which cases fail, in their order.
func Run(all []Case, hub Hub) []Failure {
	var failed []Failure
	for _, c := range all {
		most := len(failed) + Most
		for e, occasion := range c.events(hub) {
			problems := c.judge(hub, e)
			if len(problems) == 0 {
				continue
			}
			failed = append(failed, Failure{Pos: c.Pos, Case: c.title(), Event: words(e, occasion), Problems: problems})
			if len(failed) == most {
				break
			}
		}
	}
	return failed
}

// events are all that a case is about, each with the name of its occasion.
func (c Case) events(hub Hub) iter.Seq2[events.Event, string] {
	patients := c.patients
	if slices.Contains(patients, All) {
		patients = hub.Patients()
	}
	return func(yield func(events.Event, string) bool) {
		for _, patient := range patients {
			for _, o := range c.occasions(hub, patient) {
				for _, kind := range c.kinds {
					e := events.Event{Patient: patient, Kind: kind, Because: c.because, By: events.Actor{ID: c.by}, Place: o.Place, Class: o.Class, Occurred: o.At, Recorded: o.At}
					if !yield(e, o.Name) {
						return
					}
				}
			}
		}
	}
}

// occasions are when a case has to hold: at the time that it gives, or else whenever.
func (c Case) occasions(hub Hub, patient string) []routing.Occasion {
	if !c.at.IsZero() {
		return []routing.Occasion{{Name: c.at.Format("Mon 2 Jan 2006 15:04"), At: c.at, Place: c.place, Class: c.class}}
	}
	var all []routing.Occasion
	for _, o := range hub.Occasions(patient) {
		if o.Place == "" && o.Class == "" { // it stands for some hours
			o.Place, o.Class = c.place, c.class
			all = append(all, o)
		}
	}
	return all
}

func (c Case) judge(hub Hub, e events.Event) (d []Deviation) {
	plan := hub.Plan(e)
	rows := map[string]events.Recipient{}
	var told, steps []string
	for _, r := range plan.Recipients {
		rows[r.ID] = r
		if r.Step {
			steps = append(steps, r.ID)
		} else {
			told = append(told, r.ID)
		}
	}
	missing := func(id string) {
		if !slices.Contains(told, id) && !slices.ContainsFunc(d, func(d Deviation) bool { return d.What == Missing && d.ID == id }) {
			d = append(d, Deviation{What: Missing, ID: id, Why: hub.WhyNot(e, id), Rule: rows[id].Rule})
		}
	}
	expected := c.atLeast
	if c.told != nil {
		expected = *c.told
	}
	for _, id := range expected {
		missing(id)
	}
	for _, id := range told {
		if slices.Contains(c.none, id) || c.told != nil && !slices.Contains(*c.told, id) {
			d = append(d, Deviation{What: Unexpected, ID: id, Rule: rows[id].Rule})
		}
	}
	for _, by := range c.channels {
		if r, planned := rows[by.id]; !planned {
			missing(by.id)
		} else if keys := keys(r); !slices.Equal(keys[:min(len(keys), len(by.keys))], by.keys) {
			d = append(d, Deviation{What: Channel, ID: by.id, Why: "is told by " + list(keys) + ", not by " + list(by.keys), Rule: r.Rule})
		}
	}
	if c.steps != nil && !slices.Equal(steps, *c.steps) {
		d = append(d, Deviation{What: Steps, Why: "if nobody answers: " + list(steps) + ", not " + list(*c.steps), Rule: asking(plan)})
	}
	return d
}

// asking is the first rule of a plan that asks for an answer.
func asking(plan events.Plan) string {
	for _, r := range plan.Recipients {
		if r.Acknowledge != nil {
			return r.Rule
		}
	}
	return ""
}

func keys(r events.Recipient) []string {
	all := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		all[i] = c.Key
	}
	return all
}

// list says names in words: hospice, then ruth.
func list(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", then ")
}

// words says an event: p-7f3k, admission because of fall, logged by ruth (nights).
func words(e events.Event, occasion string) string {
	line := e.Patient + ", " + string(e.Kind)
	if e.Because != "" {
		line += " because of " + string(e.Because)
	}
	if e.By.ID != "" {
		line += ", logged by " + e.By.ID
	}
	if e.Place != "" {
		line += ", at " + e.Place
	}
	if e.Class != "" {
		line += ", class " + e.Class
	}
	if occasion != "" {
		line += " (" + occasion + ")"
	}
	return line
}

// Without leaves patients out of the cases, whatever is expected of them.
func Without(all []Case, hub Hub, out func(patient string) bool) []Case {
	left := slices.Clone(all)
	for i, c := range left {
		if slices.Contains(c.patients, All) {
			c.patients = hub.Patients()
		}
		left[i].patients = slices.DeleteFunc(slices.Clone(c.patients), out)
	}
	return left
}
