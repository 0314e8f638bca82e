package routing

import (
	"fmt"
	"slices"
	"strings"

	"carehub/config/strict"
	"carehub/events"
)

// Exclusion is a carer whom the rules of a patient name, and who is left out because the patient is restricted.
type Exclusion struct{ Carer, Patient string }

// KeptOut returns every exclusion, by patient and carer.
func (r *Rules) KeptOut() []Exclusion { return r.keptOut }

// exceptions makes the compiled rules follow what patients.yaml says of a patient, whatever their file says. Of one who is
// restricted no carer is told, and none may log or see: whoever sets the key must be able to rely on it at once. For one who
// has died nobody has to answer, so nobody is told because others did not.
func (l *loader) exceptions() {
	for _, id := range sortedKeys(l.known.Restricted) {
		if p, ruled := l.rules.patients[id]; ruled && l.known.Restricted[id] {
			l.restrict(id, p)
		}
	}
	for _, id := range sortedKeys(l.known.Deceased) {
		p, ruled := l.rules.patients[id]
		if !ruled || !l.known.Deceased[id] {
			continue
		}
		p.rules = slices.Clone(p.rules)
		for i, shared := range p.rules {
			r := *shared
			r.ask = nil
			p.rules[i] = &r
		}
		l.rules.patients[id] = p
	}
}

// restrict takes the carers out of a patient's rules, which others may share.
func (l *loader) restrict(id string, p patient) {
	var out []string
	carer := func(who string) bool {
		if l.known.Carers[who] && !slices.Contains(out, who) {
			out = append(out, who)
		}
		return l.known.Carers[who]
	}
	p.grants = slices.DeleteFunc(slices.Clone(p.grants), func(g grant) bool { return carer(g.actor) })
	p.rules = slices.Clone(p.rules)
	for i, shared := range p.rules {
		r := *shared
		r.notify = slices.DeleteFunc(slices.Clone(r.notify), carer)
		if r.ask != nil {
			ask := *r.ask
			ask.Else = slices.DeleteFunc(slices.Clone(ask.Else), carer)
			r.ask = &ask
			if len(r.notify) == 0 && len(ask.Else) > 0 { // nobody is left to wait for
				r.notify, r.ask = ask.Else, nil
			}
		}
		p.rules[i] = &r
	}
	l.rules.patients[id] = p
	for _, who := range out {
		l.rules.aliases[who] = slices.DeleteFunc(l.rules.aliases[who], func(a alias) bool { return a.patient == id })
	}
	c := checker{loader: l, rules: p.rules, grants: p.grants, at: l.places[id], unknown: l.misspelt}
	c.silences()
	if len(out) == 0 {
		return
	}
	slices.Sort(out)
	for _, who := range out {
		l.rules.keptOut = append(l.rules.keptOut, Exclusion{who, id})
	}
	l.folder.Warn(strict.Restricted, l.places[id], "%s is restricted, so %s: carers are told nothing, and may neither log nor see", id, lose(out))
	for _, kind := range events.Kinds {
		if len(c.told(kind, c.going)) == 0 {
			l.folder.Gap(strict.ReachesNobody, l.places[id], "%s would reach nobody: %s is restricted, and no rule names anyone else with a channel for it", article(kind), id)
		}
	}
}

func lose(ids []string) string {
	if len(ids) == 1 {
		return ids[0] + " is left out"
	}
	return strings.Join(ids[:len(ids)-1], ", ") + " and " + ids[len(ids)-1] + " are left out"
}

// exceptional is what of patients.yaml decides who is told, for the hash of the rules.
func (k Known) exceptional() string {
	var b strings.Builder
	for what, ids := range map[string]map[string]bool{"restricted": k.Restricted, "deceased": k.Deceased} {
		for id, is := range ids {
			if is {
				fmt.Fprintln(&b, what, id)
			}
		}
	}
	lines := strings.SplitAfter(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}
