package intake

import (
	"strings"
	"unicode"

	"carehub/events"
)

// maxPlaceWords is how many words a place may have without quotation marks. A longer one is likely half a sentence.
const maxPlaceWords = 6

// where takes a place: a preposition, then quoted text or the words up to a time, a comma or a word of another sort.
func (p *parser) where() bool {
	start := p.next
	if p.said.Place != "" || !p.takeAny(p.places) {
		return false
	}
	place := p.placeName()
	if place == "" || p.wrong != nil {
		p.next = start
		return false
	}
	if err := checkText("place", place, events.MaxPlace, false); err != nil {
		p.wrong = p.refuse(err.Message, `Shorten the place; details can go in "words".`)
		return false
	}
	p.said.Place = place
	return true
}

func (p *parser) placeName() string {
	if p.next < len(p.words) && p.words[p.next].quoted {
		p.next++
		return p.words[p.next-1].text
	}
	var name []string
	for len(name) < maxPlaceWords && !p.placeEnds() {
		name = append(name, p.words[p.next].text)
		p.next++
	}
	place := strings.Join(name, " ")
	if !strings.ContainsFunc(place, unicode.IsLetter) {
		return "" // "at 2" is half a time
	}
	return place
}

// placeEnds reports whether the next word cannot belong to the name of a place.
func (p *parser) placeEnds() bool {
	if p.next == len(p.words) {
		return true
	}
	w := p.words[p.next]
	if w.quoted || w.low == "," || doubtful(w) || among(small)(w) || among(vague)(w) || among(happenings)(w) {
		return true
	}
	ahead := p.from(p.next) // a time or a person may begin here
	return ahead.when() || ahead.wrong != nil || ahead.person()
}
