package email

import (
	"strings"
	"unicode/utf8"
)

// columns that plain text keeps to, except where a word alone is longer.
const columns = 72

// text lays the letter out as plain text.
func (l letter) text() string {
	var b strings.Builder
	paragraph := func(s string) { b.WriteString(wrap(s, "", "") + "\n") }
	paragraph(l.Title)
	for _, s := range l.Lead {
		paragraph(s)
	}
	if l.Family != nil {
		b.WriteString(wrap(l.Family.Title, "", ""))
		for _, f := range l.Family.Facts {
			if f.Value != "" {
				b.WriteString(wrap(f.Label+": "+f.Value, "  ", "    "))
			}
		}
		b.WriteString("\n")
	}
	for _, f := range l.Facts {
		if f.Value != "" {
			b.WriteString(wrap(f.Label+": "+f.Value, "", "  "))
		}
	}
	if len(l.Facts) > 0 {
		b.WriteString("\n")
	}
	if l.Quoted != "" {
		paragraph(l.Quoted)
		for _, line := range l.Words {
			b.WriteString(wrap(line, "> ", "> "))
		}
		b.WriteString("\n")
	}
	for _, s := range l.Notes {
		b.WriteString(wrap(s, "! ", "  "))
	}
	if len(l.Notes) > 0 {
		b.WriteString("\n")
	}
	if l.Link != "" {
		b.WriteString(l.Action + ":\n" + l.Link + "\n\n")
	}
	b.WriteString("--------\n")
	for _, s := range l.Foot {
		b.WriteString(wrap(s, "", ""))
	}
	return b.String()
}

// wrap breaks s into lines, the first after prefix, the others after more. White space of any kind is one space: nothing
// that was typed can begin a line of its own.
func wrap(s, prefix, more string) string {
	var b strings.Builder
	line, width := prefix, utf8.RuneCountInString(prefix)
	empty := true
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		if !empty && width+1+n > columns {
			b.WriteString(line + "\n")
			line, width, empty = more, utf8.RuneCountInString(more), true
		}
		if !empty {
			line, width = line+" ", width+1
		}
		line, width, empty = line+word, width+n, false
	}
	return b.String() + line + "\n"
}
