package routing

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"carehub/config/strict"
	"carehub/events"
)

// alias is what one carer calls one patient.
type alias struct {
	text    string // as written
	folded  string
	patient string
}

// Resolve returns the patient that actor means by a patient's id or by one of actor's own aliases. An alias must be exact
// but for case and kinds of spaces, hyphens and apostrophes; nothing is guessed. It says nothing of what actor may do.
func (r *Rules) Resolve(actor, ref string) (patient string, ok bool) {
	if _, known := r.patients[ref]; known {
		return ref, true
	}
	folded := fold(ref)
	for _, a := range r.aliases[actor] {
		if a.folded == folded {
			return a.patient, true
		}
	}
	return "", false
}

// Aliases returns what actor calls their patients, as written, in the order of the files.
func (r *Rules) Aliases(actor string) []string {
	texts := make([]string, len(r.aliases[actor]))
	for i, a := range r.aliases[actor] {
		texts[i] = a.text
	}
	return texts
}

var plain = strings.NewReplacer("’", "'", "‘", "'", "ʼ", "'", "‐", "-", "‑", "-")

// fold makes equal what people mean to be equal: case (Unicode's full folding), composed and decomposed letters, spaces,
// and the apostrophes and hyphens that phones put in.
func fold(s string) string {
	words := strings.Fields(plain.Replace(norm.NFC.String(s)))
	return norm.NFC.String(cases.Fold().String(strings.Join(words, " ")))
}

// maxAlias is the most characters of an alias.
const maxAlias = 40

// reserved are words that say what happened, when or where. An alias that holds one could be read two ways.
var reserved = strings.Fields(`
	admitted admit admission went taken attended attendance seen discharged discharge fell fallen fall falls
	at in into to from on by with of home hospital ward
	today yesterday tonight now just ago since minute minutes min mins hour hours day days am pm
	and or but not no never because after is was has had been`)

// aliasProblem says in words that follow "an alias" why a carer could not use this one, "" if they can.
func aliasProblem(text string) string {
	switch {
	case events.ValidPatient(text):
		return "must not look like a patient's id"
	case len([]rune(text)) > maxAlias:
		return "must be at most 40 characters"
	case strings.ContainsFunc(plain.Replace(norm.NFC.String(text)), unspeakable):
		return "may hold letters, digits, spaces, apostrophes and hyphens only"
	case !strings.ContainsFunc(text, unicode.IsLetter):
		return "must hold a letter"
	}
	for _, word := range strings.Fields(fold(text)) {
		for _, r := range reserved {
			if word == r {
				return "must not hold the word " + r + ", which says what happened, when or where"
			}
		}
	}
	return ""
}

func unspeakable(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && r != ' ' && r != '\'' && r != '-'
}

// alias checks and adds one alias of actor. An alias means one patient, over all files.
func (l *loader) alias(actor, patient string, written strict.At[string]) {
	if problem := aliasProblem(written.V); problem != "" {
		l.folder.Report(strict.Alias, written.Pos, "an alias %s", problem)
		return
	}
	folded := fold(written.V)
	key := [2]string{actor, folded}
	if first, taken := l.aliases[key]; taken {
		l.folder.Report(strict.Alias, written.Pos, "%s already uses this alias, at %s: an alias means one patient", actor, first)
		return
	}
	l.aliases[key] = written.Pos
	l.rules.aliases[actor] = append(l.rules.aliases[actor], alias{written.V, folded, patient})
}
