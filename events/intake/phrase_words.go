package intake

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"carehub/events"
)

// maxText is the length of a phrase in runes. Whatever needs more belongs into the event's words.
const maxText = 300

// word is one word of a phrase, a comma, a question mark, or all that stood between two quotation marks.
type word struct {
	text   string
	low    string // folded, for comparing
	quoted bool
}

// plain turns what phones make of quotation marks, apostrophes and hyphens back into what a keyboard has.
var plain = strings.NewReplacer("’", "'", "‘", "'", "ʼ", "'", "“", `"`, "”", `"`, "‐", "-", "‑", "-")

// fold makes equal what people mean to be equal: case (Unicode's full folding), composed and decomposed letters, and what
// phones put in.
func fold(s string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(plain.Replace(s))))
}

// split cuts a phrase into words. Full stops at its end are dropped.
func split(text string) ([]word, *Refusal) {
	if err := checkText("text", text, maxText, false); err != nil {
		return nil, &Refusal{Reason: err, Suggestion: `Keep it short, such as "dad admitted", and put the rest in "words".`}
	}
	text = norm.NFC.String(plain.Replace(text))
	if strings.Count(text, `"`)%2 != 0 {
		return nil, &Refusal{Reason: invalid("A quotation mark is not closed."), Suggestion: `Write a place as in: dad admitted to "Riverside Hospital"`}
	}
	var words []word
	for i, part := range strings.Split(strings.TrimRight(text, " .!,"), `"`) {
		if i%2 == 0 {
			words = append(words, bare(part)...)
			continue
		}
		part = strings.Join(strings.Fields(part), " ")
		words = append(words, word{text: part, low: fold(part), quoted: true})
	}
	return words, nil
}

// bare cuts what stands outside quotation marks.
func bare(part string) []word {
	var words []word
	for _, f := range strings.Fields(part) {
		text := strings.TrimRight(f, ",;?")
		if text == "-" || text == "–" || text == "—" {
			f, text = ",", ""
		}
		if text != "" {
			words = append(words, word{text: text, low: fold(text)})
		}
		switch marks := f[len(text):]; {
		case strings.Contains(marks, "?"):
			words = append(words, word{text: "?", low: "?"})
		case marks != "":
			words = append(words, word{text: ",", low: ","})
		}
	}
	return words
}

// checkText refuses what is too long, is not UTF-8, or holds control characters; lines allows line breaks and tabs. A
// replacement character is what a decoder leaves of broken UTF-8.
func checkText(field, s string, limit int, lines bool) *events.Error {
	control := func(r rune) bool {
		return unicode.IsControl(r) && (!lines || !strings.ContainsRune("\n\r\t", r))
	}
	switch {
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError):
		return invalid(`"` + field + `" is not valid UTF-8.`)
	case utf8.RuneCountInString(s) > limit:
		return invalid(`"` + field + `" is too long. It was not cut, because a cut sentence can say the opposite.`)
	case strings.ContainsFunc(s, control):
		return invalid(`"` + field + `" holds control characters.`)
	}
	return nil
}

func invalid(message string) *events.Error {
	return &events.Error{Kind: events.Invalid, Message: message}
}

func join(words []word) string {
	var low []string
	for _, w := range words {
		low = append(low, w.low)
	}
	return strings.Join(low, " ")
}

// peek reports whether these words stand here, outside quotation marks.
func (p *parser) peek(low ...string) bool {
	rest := p.words[p.next:]
	return len(rest) >= len(low) && slices.EqualFunc(rest[:len(low)], low,
		func(w word, l string) bool { return !w.quoted && w.low == l })
}

// take steps over these words if they stand here.
func (p *parser) take(low ...string) bool {
	if !p.peek(low...) {
		return false
	}
	p.next += len(low)
	return true
}

func (p *parser) takeAny(low []string) bool {
	return slices.ContainsFunc(low, func(l string) bool { return p.take(l) })
}

// What carers write, in lower case. Of two lists where one begins with the other, the longer comes first.
type form struct {
	words  []string
	kind   events.Kind
	places []string // words that may lead to the place
}

var (
	auxiliaries = []string{"was", "is", "has", "been", "got", "just", "now"}

	atInTo = []string{"at", "in", "to"}
	atIn   = []string{"at", "in"}
	from   = []string{"from", "at"} // not "to": where somebody was sent is not where it happened

	forms = []form{
		{[]string{"admitted"}, events.Admission, atInTo},
		{[]string{"in", "hospital"}, events.Admission, []string{"at"}},
		{[]string{"discharged", "home"}, events.Discharge, from},
		{[]string{"discharged"}, events.Discharge, from},
		{[]string{"came", "home", "from", "hospital"}, events.Discharge, nil},
		{[]string{"came", "home"}, events.Discharge, nil}, // nothing may follow: "from the shops"
		{[]string{"come", "home", "from", "hospital"}, events.Discharge, nil},
		{[]string{"home", "from", "hospital"}, events.Discharge, nil},
		{[]string{"back", "home", "from", "hospital"}, events.Discharge, nil},
		{[]string{"had", "a", "fall"}, events.Fall, atIn},
		{[]string{"fell", "over"}, events.Fall, atIn},
		{[]string{"fell"}, events.Fall, atIn},
		{[]string{"fallen", "over"}, events.Fall, atIn},
		{[]string{"fallen"}, events.Fall, atIn},
		{[]string{"seen"}, events.Attendance, atIn},
	}
	plainest = map[events.Kind]string{
		events.Admission: "admitted", events.Attendance: "seen but not admitted",
		events.Discharge: "discharged", events.Fall: "fell",
	}
	causes = [][]string{
		{"after", "a", "fall"}, {"following", "a", "fall"}, {"because", "of", "a", "fall"},
		{"after", "falling"}, {"because", "of", "falling"},
	}
	notAdmitted = [][]string{
		{"not", "admitted"}, {"but", "not", "admitted"}, {"and", "not", "admitted"}, {"and", "sent", "home"}, {"sent", "home"},
	}

	// doubts are words that make a sentence say that something did not, or may not have, or has yet to happen.
	doubts = []string{
		"not", "no", "never", "nearly", "almost", "might", "may", "maybe", "could", "would", "should", "will", "if", "perhaps",
		"possibly", "probably", "think", "unless", "hardly", "cannot", "denies", "suspected", "going", "gonna", "due",
		"tomorrow", "be", "being", "soon", "later", "?", "cancelled", "wrongly", "refused", "mistake", "didnt", "wasnt", "isnt",
		"hasnt",
	}
	// happenings are words that speak of an event.
	happenings = []string{"admitted", "discharged", "fell", "fall", "fallen", "seen", "came"}
	// vague are words of times that cannot be pinned down.
	vague = []string{
		"this", "last", "morning", "afternoon", "evening", "night", "tonight", "earlier", "recently", "today", "yesterday",
		"midnight", "around", "about", "ago", "when", "since", "on",
	}
	// small are words that stand in no name of a place; one of them ends a place that is not quoted.
	small = []string{
		"he", "she", "they", "i", "we", "it", "his", "her", "him", "them", "my", "is", "was", "has", "had", "have", "are", "were",
		"and", "but", "or", "because", "after", "following", "before", "while", "with", "without", "by", "as", "then", "so",
		"very", "now", "for", "to", "in", "into", "from", "still", "again", "sent", "gone", "went",
	}
	// units of care where people are seen without being admitted.
	units = []string{
		"a&e", "ae", "ed", "a & e", "casualty", "emergency", "urgent", "frailty", "ambulatory", "sdec", "minor injuries", "walk-in",
	}
)

// staying are words that leave open whether somebody who was seen was kept in, or worse.
var staying = []string{
	"ward", "admission", "admissions", "overnight", "kept", "bed", "waiting", "awaiting", "staying", "stayed", "transferred",
	"moved", "died", "dead", "resus", "theatre",
}

// doubtful reports whether a word says "not" or "perhaps".
func doubtful(w word) bool {
	return !w.quoted && (slices.Contains(doubts, w.low) || strings.HasSuffix(w.low, "n't") || strings.HasSuffix(w.low, "'ll"))
}

func among(list []string) func(word) bool {
	return func(w word) bool { return !w.quoted && slices.Contains(list, w.low) }
}

// emergency reports whether a place is one where people are seen without being admitted.
func emergency(place string) bool {
	padded := " " + strings.ToLower(place) + " "
	if slices.ContainsFunc(strings.Fields(padded), func(w string) bool { return slices.Contains(staying, w) }) {
		return false
	}
	return slices.ContainsFunc(units, func(u string) bool { return strings.Contains(padded, " "+u+" ") })
}
