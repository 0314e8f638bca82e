package main

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"carehub/config"
	"carehub/events"
)

// registrar knows which patient another system means. It is made once for a configuration.
type registrar struct{ known []identity }

// identity is an entry of patients.yaml in the form in which it is compared.
type identity struct {
	patient, number, born string
	name                  string   // all of it, folded
	families              []string // what may be the family name: the last words of the name, folded, most of them first
}

func newRegistrar(patients config.Patients) registrar {
	var r registrar
	for id, p := range patients {
		words := strings.Fields(p.Name)
		i := identity{patient: id, number: p.NHSNumber, born: string(p.Born), name: fold(p.Name)}
		for n := min(1, len(words)-1); n < len(words); n++ {
			i.families = append(i.families, fold(strings.Join(words[n:], "")))
		}
		r.known = append(r.known, i)
	}
	slices.SortFunc(r.known, func(a, b identity) int { return cmp.Compare(a.patient, b.patient) })
	return r
}

// Registered reports whether a system is in subscribers/.
func (d desk) Registered(by events.Actor) bool { return d.isSystem(by.ID) }

// Match is the one patient whom details mean.
func (d desk) Match(of events.Details) string { return d.registrar.Match(of) }

// agreement is which details agree with an entry.
type agreement struct{ Number, Born, Family bool }

// compare looks at every detail, whatever the others say. A number in patients.yaml has a valid check digit, so one without
// agrees with none.
func (i identity) compare(d events.Details) agreement {
	family, name, same := fold(d.Family), fold(d.Name), false
	for _, f := range i.families {
		same = same || f == family
	}
	return agreement{
		Number: i.number != "" && i.number == d.NHSNumber,
		Born:   i.born != "" && i.born == d.Born,
		Family: same && family != "" || family == "" && name != "" && name == i.name,
	}
}

// Match is the one patient with whom everything agrees. Every entry is compared in full, so that an answer takes as long
// whether or not somebody is known here.
func (r registrar) Match(d events.Details) string {
	found, n := "", 0
	for _, i := range r.known {
		if i.compare(d) == (agreement{true, true, true}) {
			found, n = i.patient, n+1
		}
	}
	if n != 1 {
		return ""
	}
	return found
}

var caseFold = cases.Fold()

// fold takes from a name what people write differently: case, accents, hyphens, apostrophes and spaces.
func fold(name string) string {
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, norm.NFKD.String(name))
	return caseFold.String(letters)
}
