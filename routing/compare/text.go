package compare

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// shown is how many patients a line names.
const shown = 5

// titles are how each sort of change is introduced, for so many patients.
var titles = map[string][2]string{
	Nobody:     {"1 patient has events that reach nobody any more", "%d patients have events that reach nobody any more"},
	Must:       {"1 patient loses a mandatory recipient", "%d patients lose a mandatory recipient"},
	Accepted:   {"1 patient loses what was accepted by name", "%d patients lose what was accepted by name"},
	Lost:       {"1 patient loses a recipient", "%d patients lose a recipient"},
	Gained:     {"1 patient gains a recipient", "%d patients gain a recipient"},
	Mark:       {"for 1 patient somebody becomes mandatory, or no longer is", "for %d patients somebody becomes mandatory, or no longer is"},
	Escalation: {"for 1 patient who has to answer changes", "for %d patients who has to answer changes"},
	Channels:   {"for 1 patient channels or content change", "for %d patients channels or content change"},
}

func (r Report) title(what string) string {
	n := r.Counts[what]
	if n == 1 {
		return titles[what][0]
	}
	return fmt.Sprintf(titles[what][1], n)
}

// Summary is the report in one sentence.
func (r Report) Summary() string {
	var parts []string
	for _, what := range order {
		if r.Counts[what] > 0 {
			parts = append(parts, r.title(what))
		}
	}
	return cmp.Or(strings.Join(parts, "; "), "nobody is told more, less or otherwise") + fmt.Sprintf(" (%d compared).", r.Patients)
}

// Text writes the report for people.
func (r Report) Text(w io.Writer) {
	fmt.Fprintln(w, r.Summary())
	was := ""
	for _, c := range r.Changes {
		if c.What != was {
			fmt.Fprintf(w, "\n%s:\n", capital(r.title(c.What)))
		}
		was = c.What
		for i, e := range c.effects() {
			if i == 0 {
				fmt.Fprintf(w, "  %s %s: ", c.who(shown), c.When)
			} else {
				fmt.Fprint(w, ", ")
			}
			fmt.Fprint(w, e)
		}
		fmt.Fprintln(w, c.decided())
	}
	for _, name := range r.Unused {
		fmt.Fprintf(w, "\n%s was accepted, and loses nothing.\n", name)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// who are the patients of a change, up to so many by id.
func (c Change) who(most int) string {
	if len(c.Patients) <= most {
		return strings.Join(c.Patients, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(c.Patients[:most], ", "), len(c.Patients)-most)
}

// decided is the rule that decided for the first patient.
func (c Change) decided() string {
	if c.Rules[0] == "" {
		return ""
	}
	return "  [" + c.Rules[0] + "]"
}

// effects are a change in words.
func (c Change) effects() []string {
	all := make([]string, len(c.Effects))
	for i, e := range c.Effects {
		name := cmp.Or(e.Name, e.ID)
		switch {
		case e.Was == Nobody:
			all[i] = "reaches nobody"
		case e.Was == Must:
			all[i] = "− " + name + ", which is mandatory"
		case c.What == Lost:
			all[i] = "− " + name
		case c.What == Gained:
			all[i] = "+ " + name
		default:
			all[i] = fmt.Sprintf("%s: %s → %s", name, e.Was, e.Now)
		}
	}
	return all
}
