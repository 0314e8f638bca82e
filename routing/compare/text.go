package compare

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// shown is how many patients a line names.
const shown = 5

// titles are how each sort of change is introduced, for so many patients.
var titles = map[string][2]string{
	Nobody:     {"1 patient has events that reach nobody any more", "%d patients have events that reach nobody any more"},
	Must:       {"1 patient loses what is mandatory", "%d patients lose what is mandatory"},
	Accepted:   {"1 patient loses what was accepted by name", "%d patients lose what was accepted by name"},
	Lost:       {"1 patient loses a recipient", "%d patients lose a recipient"},
	Gained:     {"1 patient gains a recipient", "%d patients gain a recipient"},
	Mark:       {"for 1 patient somebody becomes mandatory", "for %d patients somebody becomes mandatory"},
	Escalation: {"for 1 patient who has to answer changes", "for %d patients who has to answer changes"},
	Times:      {"for 1 patient urgency or times change", "for %d patients urgency or times change"},
	Channels:   {"for 1 patient channels or content change", "for %d patients channels or content change"},
}

func (r Report) title(what string) string {
	n := r.Counts[what]
	if n == 1 {
		return titles[what][0]
	}
	return fmt.Sprintf(titles[what][1], n)
}

// uncompared is what a report says nothing of.
const uncompared = "Who may log or see, addresses and alarm recipients are not compared."

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
	fmt.Fprintln(w, capital(r.Summary()))
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
				fmt.Fprint(w, "; ")
			}
			fmt.Fprint(w, e)
		}
		fmt.Fprintln(w, c.decided())
	}
	if r.Refused {
		fmt.Fprintf(w, "\nIf it is meant: %s\n", r.acceptance())
	}
	fmt.Fprintf(w, "\n%s\n", uncompared)
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
	var all []string
	for i, e := range c.Effects {
		name := cmp.Or(e.Name, e.ID)
		switch {
		case e.Now == Nobody:
			all = append(all, "reaches nobody any more")
		case (c.What == Must || c.What == Accepted) && e.Now == "lost":
			all = append(all, "− "+name+", which is mandatory")
		case c.What == Lost:
			all = append(all, "− "+name)
		case c.What == Gained:
			all = append(all, "+ "+name)
		case i > 0 && c.Effects[i-1].Was == e.Was && c.Effects[i-1].Now == e.Now:
			last := len(all) - 1
			names, words, _ := strings.Cut(all[last], ": ")
			all[last] = names + ", " + name + ": " + words
		default:
			all = append(all, fmt.Sprintf("%s: %s → %s", name, cmp.Or(e.Was, "no limit"), cmp.Or(e.Now, "no limit")))
		}
	}
	return all
}

// acceptance is the flags that accept what is refused, or the first of them.
func (r Report) acceptance() string {
	var flags []string
	for _, c := range r.Changes {
		if c.What != Nobody && c.What != Must {
			continue
		}
		kinds, _, _ := strings.Cut(c.When, " (")
		for _, patient := range c.Patients {
			for kind := range strings.SplitSeq(kinds, ", ") {
				flag := "--accept " + patient
				if kind != everything {
					flag += "/" + kind
				}
				if !slices.Contains(flags, flag) {
					flags = append(flags, flag)
				}
			}
		}
	}
	if len(flags) > shown {
		flags = append(flags[:shown], "…")
	}
	return strings.Join(flags, " ")
}
