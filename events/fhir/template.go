package fhir

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// template is JSON with slots, made by the models once and then only filled. It is safe for concurrent use.
type template struct {
	pieces []piece
	rest   string // after the last slot
}

// piece is JSON and the slot after it.
type piece struct {
	before string
	value  int  // which value fills the slot
	xhtml  bool // within a narrative
}

// A slot, while a template is made, is a character that no text holds after clean, a character that a narrative escapes,
// and the number of a value. So nothing that anyone typed can look like a slot, and a narrative's are known.
const (
	slotMark     = "\uFFFF"
	inText       = "<"
	inNarrative  = "&lt;"
	slotDigits   = 2
	maxTemplated = 64 // values of one template
)

func slot(value int) string { return fmt.Sprintf("%s%s%0*d", slotMark, inText, slotDigits, value) }

// newTemplate marshals v, some of whose texts hold slots.
func newTemplate(v any) (*template, error) {
	b, err := marshal(v)
	if err != nil {
		return nil, err
	}
	before, slots, _ := strings.Cut(string(b), slotMark)
	t := &template{rest: before}
	for slots != "" {
		after, more, _ := strings.Cut(slots, slotMark)
		after, xhtml := strings.CutPrefix(after, inNarrative)
		after = strings.TrimPrefix(after, inText)
		n, err := strconv.Atoi(after[:slotDigits])
		if err != nil {
			return nil, err
		}
		t.pieces = append(t.pieces, piece{t.rest, n, xhtml})
		t.rest, slots = after[slotDigits:], more
	}
	return t, nil
}

// filling is the values of a template as they stand in JSON, by themselves and in a narrative.
type filling [maxTemplated]struct{ text, xhtml string }

// fill works out the values that t needs, and returns how many bytes the whole will have.
func (t *template) fill(f *filling, value func(int) string) int {
	size := len(t.rest)
	for _, p := range t.pieces {
		v := &f[p.value]
		if v.text == "" {
			v.text = escape(value(p.value))
		}
		if p.xhtml && v.xhtml == "" {
			v.xhtml = escape(html.EscapeString(value(p.value)))
		}
		size += len(p.before) + len(f.in(p))
	}
	return size
}

func (f *filling) in(p piece) string {
	if p.xhtml {
		return f[p.value].xhtml
	}
	return f[p.value].text
}

// append writes the template with its values in the slots.
func (t *template) append(out []byte, f *filling) []byte {
	for _, p := range t.pieces {
		out = append(append(out, p.before...), f.in(p)...)
	}
	return append(out, t.rest...)
}

// escape writes s as it stands between the quotation marks of a JSON string: as marshal does.
func escape(s string) string {
	if plain(s) && !strings.ContainsAny(s, `"\`) {
		return s
	}
	b, _ := marshal(s) // a string always marshals
	return string(b[1 : len(b)-1])
}
