package intake

import (
	"slices"
	"strings"
	"time"

	"carehub/events"
)

// Phrase is what a carer's sentence was understood to say.
type Phrase struct {
	Patient  string // the hub's pseudonym
	Alias    string // what this carer calls the patient, as set up
	Kind     events.Kind
	Because  events.Kind
	Place    string
	Occurred time.Time // zero when no time was given, or "now": then the hub's clock counts, not the phone's
}

// String says the phrase in its plainest form. Parsed again under the same context it gives the same Phrase.
func (p Phrase) String() string {
	parts := []string{p.Alias, plainest[p.Kind]}
	if p.Because == events.Fall {
		parts = append(parts, "after a fall")
	}
	if p.Place != "" {
		parts = append(parts, `at "`+p.Place+`"`)
	}
	if !p.Occurred.IsZero() {
		parts = append(parts, p.Occurred.Format(time.RFC3339))
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// PhraseContext is what a phrase is read against.
type PhraseContext struct {
	Aliases map[string]string // what this one carer calls people -> patient; no two alike but for case
	Now     time.Time         // of the hub
	Zone    *time.Location    // that local times are in
}

// Refusal is a request that was not understood or not allowed as it stands. Its text is safe to log. Understood and
// Suggestion may repeat what a carer calls people: they go into that carer's own answer and nowhere else.
type Refusal struct {
	Reason     *events.Error
	Understood string
	Suggestion string
}

func (r *Refusal) Error() string { return r.Reason.Message }

func (r *Refusal) Unwrap() error { return r.Reason }

// Parse reads a sentence such as
//
//	dad was admitted to "Riverside Hospital" 20m ago
//
// It takes one person by an exact alias, one thing that happened, and at the most one place and one time. It never
// guesses: anything else in the sentence (another event, a doubt, a time it cannot pin down, a word left over) is a
// *Refusal of kind events.Invalid that says what it understood and what to write instead.
func Parse(text string, ctx PhraseContext) (Phrase, error) {
	words, refusal := split(text)
	if refusal != nil {
		return Phrase{}, refusal
	}
	p := newParser(words, ctx)
	p.sentence()
	if p.wrong != nil {
		return Phrase{}, p.wrong
	}
	return p.said, nil
}

// parser walks over the words once, from left to right.
type parser struct {
	now    time.Time
	people people
	words  []word
	next   int // index of the word to read
	said   Phrase
	timed  bool     // a time was given, be it "now"
	places []string // prepositions that may lead to the place of what happened
	settle bool     // seen, and it is certain that there was no admission
	wrong  *Refusal // the first thing found wrong
}

// people are the patients by their folded aliases.
type people struct {
	known   map[string]called
	longest int // words of an alias
}

type called struct{ alias, patient string }

func newParser(words []word, ctx PhraseContext) *parser {
	p := &parser{now: ctx.Now.In(ctx.Zone).Truncate(time.Second), words: words, people: people{known: map[string]called{}}}
	for alias, patient := range ctx.Aliases {
		parts := strings.Fields(fold(alias))
		p.people.known[strings.Join(parts, " ")] = called{alias, patient}
		p.people.longest = max(p.people.longest, len(parts))
	}
	return p
}

// sentence reads all there is: who, what, then where and when in any order.
func (p *parser) sentence() {
	known := p.person()
	if !known && p.when() { // "yesterday at 23:15, dad fell"
		p.take(",")
		known = p.person()
	}
	switch {
	case p.wrong != nil:
	case !known:
		p.wrong = p.noPerson()
	case !p.report():
		p.wrong = p.noReport()
	default:
		p.ledTo()
		p.details()
		p.check()
	}
}

// person takes the longest alias that stands here word for word, also as in "dad's had a fall".
func (p *parser) person() bool {
	for n := min(p.people.longest, len(p.words)-p.next); n > 0; n-- {
		words := p.words[p.next : p.next+n]
		if n > 1 && slices.ContainsFunc(words, func(w word) bool { return w.quoted }) {
			continue
		}
		name := join(words)
		for _, name := range []string{name, strings.TrimSuffix(name, "'s")} {
			if who, ok := p.people.known[name]; ok {
				p.said.Alias, p.said.Patient = who.alias, who.patient
				p.next += n
				return true
			}
		}
	}
	return false
}

// report takes what happened.
func (p *parser) report() bool {
	start := p.next
	over := false // "was in hospital": and may be out again
	for p.takeAny(auxiliaries) {
		over = over || slices.Contains([]string{"was", "been"}, p.words[p.next-1].low)
	}
	for _, f := range forms {
		if over && f.words[0] == "in" {
			continue
		}
		if p.take(f.words...) {
			p.said.Kind, p.places = f.kind, f.places
			return true
		}
	}
	if p.attendance() {
		return true
	}
	p.next = start
	return false
}

// attendance takes "at frailty unit, not admitted": without its last words that would be no more than a place.
func (p *parser) attendance() bool {
	before := *p
	p.said.Kind, p.places = events.Attendance, []string{"at", "in"}
	if p.where() {
		p.take(",")
		if p.notAdmitted() {
			return true
		}
	}
	*p = before
	return false
}

// ledTo takes the second half of "dad fell and was admitted": one event, because of a fall.
func (p *parser) ledTo() {
	if p.said.Kind != events.Fall {
		return
	}
	before := *p
	comma, and := p.take(","), p.take("and")
	if !comma && !and && !p.peek("now", "in", "hospital") {
		return
	}
	if p.report() && p.said.Kind.OpensStay() {
		p.said.Because = events.Fall
		return
	}
	*p = before
}

// details takes the place, the time, the cause and "not admitted", each once, in any order.
func (p *parser) details() {
	for p.wrong == nil {
		start := p.next
		p.take(",")
		if !p.when() && !p.where() && !p.cause() && !p.notAdmitted() {
			p.next = start
			return
		}
	}
}

func (p *parser) cause() bool {
	if !p.said.Kind.OpensStay() || p.said.Because != "" {
		return false
	}
	for _, c := range causes {
		if p.take(c...) {
			p.said.Because = events.Fall
			return true
		}
	}
	return false
}

func (p *parser) notAdmitted() bool {
	if p.said.Kind != events.Attendance || p.settle {
		return false
	}
	for _, n := range notAdmitted {
		if p.take(n...) {
			p.settle = true
			return true
		}
	}
	return false
}

// check refuses what reads well word by word and still cannot stand.
func (p *parser) check() {
	switch {
	case p.wrong != nil:
	case p.next < len(p.words):
		p.wrong = p.leftOver()
	case p.said.Kind == events.Attendance && !p.settle && !emergency(p.said.Place):
		p.wrong = p.refuse("It does not say whether the person was admitted.",
			`If so, write "admitted"; if not, add "not admitted".`)
	case p.said.Occurred.After(p.now.Add(events.MaxFuture)):
		p.wrong = p.refuse("That time has not come yet.",
			`Give the day too, such as "yesterday at 23:15", or leave the time out if it has just happened.`)
	}
}
