package intake

import (
	"slices"
	"strings"

	"carehub/config/strict"
)

// refuse says what was understood so far, what is wrong and what to write instead. The message holds none of the
// carer's words.
func (p *parser) refuse(message, suggestion string) *Refusal {
	return &Refusal{Reason: invalid(message), Understood: p.said.String(), Suggestion: suggestion}
}

// noPerson explains a sentence that does not begin with one of this carer's names for somebody.
func (p *parser) noPerson() *Refusal {
	r := p.refuse("It does not begin with a name that you use for somebody here.", knownAs(p.whom(), p.aliases()))
	if p.whom() == "" {
		r.Reason = invalid("It does not say who.")
	}
	return r
}

// whom returns the words that stand where a name should: those before what happened, or else the first.
func (p *parser) whom() string {
	for i := p.next; i < len(p.words); i++ {
		if ahead := p.from(i); ahead.report() {
			return join(p.words[p.next:i])
		}
	}
	return join(p.words[p.next:min(p.next+1, len(p.words))])
}

func (p *parser) aliases() []string {
	var names []string
	for _, who := range p.people.known {
		names = append(names, who.alias)
	}
	return names
}

// knownAs suggests what to write instead of a name that is not among names: the one it was probably meant to be, else
// all that there are. It is for the carer's own screen only.
func knownAs(who string, names []string) string {
	slices.Sort(names)
	if hint := strict.DidYouMean(who, names); hint != "" {
		return strings.TrimPrefix(hint, "; ")
	}
	if len(names) == 0 {
		return "No names are set up for you. Please ask whoever runs this hub."
	}
	return `You call people here: "` + strings.Join(names, `", "`) + `".`
}

// noReport explains a sentence in which nothing known happens.
func (p *parser) noReport() *Refusal {
	if p.next == len(p.words) {
		return p.refuse("It does not say what happened.", p.examples())
	}
	if r := p.doubtOrTime(); r != nil {
		return r
	}
	return p.refuse("It does not say what happened in words that this hub knows.", p.examples())
}

// leftOver explains words at the end that fit nowhere.
func (p *parser) leftOver() *Refusal {
	rest := p.words[p.next:]
	if r := p.doubtOrTime(); r != nil {
		return r
	}
	if slices.ContainsFunc(rest, among(happenings)) || p.speaksOfSomebody() {
		return p.refuse("It seems to say more than one thing.",
			`Log one thing at a time. A fall that led to an admission is one: "`+p.said.Alias+` fell and was admitted".`)
	}
	return p.refuse("Some of it could not be used.",
		`Put a place in double quotes, as in at "Riverside Hospital", and anything else in "words".`)
}

// doubtOrTime explains doubts and vague times among the words not yet read; nil if there are none.
func (p *parser) doubtOrTime() *Refusal {
	rest := p.words[p.next:]
	switch {
	case slices.ContainsFunc(rest, doubtful):
		return p.refuse("It seems to say that something did not happen, has yet to happen, or may not have happened.",
			`Log only what has happened. Somebody seen and not admitted is "`+p.said.Alias+` seen in A&E, not admitted".`)
	case slices.ContainsFunc(rest, among(vague)):
		return p.unclearTime()
	}
	return nil
}

func (p *parser) unclearTime() *Refusal {
	return p.refuse("The time cannot be pinned down.",
		`Write "20m ago", "2 hours ago", "at 14:30", "at 2pm", "yesterday at 23:15" or "on Sunday at 9am", or leave the time out.`)
}

// from is a parser that has read nothing and looks ahead from word i.
func (p *parser) from(i int) *parser {
	return &parser{now: p.now, people: p.people, words: p.words, next: i}
}

func (p *parser) speaksOfSomebody() bool {
	for i := p.next; i < len(p.words); i++ {
		if ahead := p.from(i); ahead.person() {
			return true
		}
	}
	return false
}

func (p *parser) examples() string {
	a := p.said.Alias
	return `Write "` + a + ` admitted", "` + a + ` discharged", "` + a + ` fell" or "` + a + ` seen in A&E, not admitted".`
}
