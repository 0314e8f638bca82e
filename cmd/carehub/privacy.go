package main

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"carehub/config/strict"
	"carehub/routing"
	"carehub/subscribers"
)

// private is what the private files say that no other file may repeat, for those are kept in version control.
type private struct {
	words  map[[2]string][]secretWords // by their first two words
	single map[string]bool             // birth dates that are written as one: 19380205
	digits map[string]string           // what it is, by its digits: NHS numbers whole, phones by their last nine

	contact string // the last digits of the phone that hub.yaml says for all to read, which may be a carer's
}

// found is how it is said that something is where it does not belong.
const found = "%s stands here: this file is not private"

const hubFile = "hub.yaml"

// secretWords is a name or a birth date, as words.
type secretWords struct {
	words []string
	what  string
}

// The words in which findings say what was found.
const (
	aName  = "the name of a patient"
	aBirth = "the birth date of a patient"
	anNHS  = "the NHS number of a patient"
	aPhone = "the phone of a carer"
)

// checkPrivacy reports what identifies a patient, or a carer's phone, anywhere in the files that are not private, comments
// too. It quotes nothing. A hub can run with it: to tell nobody would be worse.
func (f *folder) checkPrivacy(source *strict.Folder) {
	p := f.private()
	names := []string{hubFile}
	if source.Has(routing.DefaultsFile) {
		names = append(names, routing.DefaultsFile)
	}
	for _, sub := range []string{routing.Folder, subscribers.Folder} {
		if !source.Has(sub) {
			continue // reported
		}
		names = append(names, source.List(sub)...)
	}
	p.searchAll(source, names)
}

// searchAll reports what of p is in files of a folder.
func (p private) searchAll(source *strict.Folder, names []string) {
	for _, name := range names {
		data, err := source.Data(name)
		if err == nil && utf8.Valid(data) {
			p.search(source, name, string(data))
		}
	}
}

func (f *folder) private() private {
	p := private{words: map[[2]string][]secretWords{}, single: map[string]bool{}, digits: map[string]string{}}
	if contact := onlyDigits(f.hub.Contact.Phone); len(contact) >= phoneDigits {
		p.contact = contact[len(contact)-phoneDigits:]
	}
	for _, patient := range f.patients {
		p.addName(patient.Name)
		p.addBirth(string(patient.Born))
		if patient.NHSNumber != "" {
			p.digits[patient.NHSNumber] = anNHS
		}
	}
	for _, s := range f.register.All() {
		if digits := onlyDigits(s.Phone); s.Carer && len(digits) >= phoneDigits {
			p.digits[digits[len(digits)-phoneDigits:]] = aPhone
		}
	}
	return p
}

// addName takes a name in its own order and with the last name first, and what has a hyphen or an apostrophe also written as one word.
// One of a single word could be any word.
func (p private) addName(name string) {
	parts := strings.Fields(name)
	if len(parts) == 0 {
		return
	}
	last := len(parts) - 1
	orders := []string{strings.Join(parts, " "), strings.Join(append([]string{parts[last]}, parts[:last]...), " ")}
	seen := map[string]bool{}
	for _, text := range orders {
		for _, written := range []string{text, hyphens.Replace(text), apostrophes.Replace(text), hyphens.Replace(apostrophes.Replace(text))} {
			if words := wordsOf(written); len(words) > 1 && !seen[written] {
				seen[written] = true
				p.add(aName, words)
			}
		}
	}
}

var (
	hyphens     = strings.NewReplacer("-", "", "‐", "", "‑", "")
	apostrophes = strings.NewReplacer("'", "", "’", "", "‘", "", "ʼ", "")
)

func (p private) addBirth(date string) {
	born, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return
	}
	year, month, day := date[:4], date[5:7], date[8:]
	name := strings.ToLower(born.Month().String())
	shortDay, shortMonth := strings.TrimPrefix(day, "0"), strings.TrimPrefix(month, "0")
	for _, words := range [][]string{{year, month, day}, {day, month, year}, {shortDay, shortMonth, year}, {shortDay, name, year}, {day, name, year},
		{shortDay, name[:3], year}, {day, name[:3], year}, {name, shortDay, year}, {name[:3], shortDay, year}} {
		p.add(aBirth, words)
	}
	p.single[year+month+day], p.single[day+month+year] = true, true
}

func (p private) add(what string, words []string) {
	key := [2]string(words)
	p.words[key] = append(p.words[key], secretWords{words, what})
}

// search reports what of p is in a file.
func (p private) search(source *strict.Folder, name, text string) {
	report := func(at int, what string) { source.Gap(strict.Identifies, place(name, text, at), found, what) }
	words := split(text)
	for i := range words {
		if p.single[words[i].text] {
			report(words[i].at, aBirth)
		}
		if i+1 == len(words) {
			break
		}
		for _, s := range p.words[[2]string{words[i].text, words[i+1].text}] {
			if begins(words[i:], s.words) {
				report(words[i].at, s.what)
				break
			}
		}
	}
	p.searchNumbers(source, name, text)
}

func begins(words []word, with []string) bool {
	if len(words) < len(with) {
		return false
	}
	for i, text := range with {
		if words[i].text != text {
			return false
		}
	}
	return true
}

// word is letters and digits that stand together, without case and accents.
type word struct {
	text string
	at   int // byte
}

func split(text string) (words []word) {
	start := -1
	for i, r := range text + " " {
		switch part := unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r); {
		case part && start < 0:
			start = i
		case !part && start >= 0:
			words = append(words, word{plainly(text[start:i]), start})
			start = -1
		}
	}
	return words
}

// plainly is a word in small letters without accents.
func plainly(word string) string {
	word = strings.ToLower(word)
	if !strings.ContainsFunc(word, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return word
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(letters.Replace(word)))
}

// letters are those whose strokes are no accents to Unicode.
var letters = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "æ", "ae", "œ", "oe", "ß", "ss")

func wordsOf(text string) (all []string) {
	for _, w := range split(text) {
		all = append(all, w.text)
	}
	return all
}

// place is where a byte of a text stands.
func place(file, text string, at int) strict.Pos {
	before := text[:at]
	line := strings.LastIndexByte(before, '\n') + 1
	return strict.Pos{File: file, Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[line:]) + 1}
}
