package main

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"carehub/config"
	"carehub/config/strict"
	"carehub/routing"
	"carehub/subscribers"
)

// private is what the private files say that no other file may repeat, for those are kept in version control.
type private struct {
	words  map[[2]string][]secretWords // by their first two words
	digits map[string]string           // what it is, by its digits: NHS numbers whole, phones by their last nine
}

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
	var names []string
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
	p := private{map[[2]string][]secretWords{}, map[string]string{}}
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

// addName takes a name in its own order and with the last name first. One of a single word could be any word.
func (p private) addName(name string) {
	words := wordsOf(name)
	if len(words) < 2 {
		return
	}
	last := len(words) - 1
	p.add(aName, words)
	p.add(aName, append([]string{words[last]}, words[:last]...))
}

func (p private) addBirth(date string) {
	born, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return
	}
	for _, layout := range []string{"2006 01 02", "02 01 2006", "2 1 2006", "2 January 2006", "2 Jan 2006", "January 2 2006", "Jan 2 2006"} {
		p.add(aBirth, wordsOf(born.Format(layout)))
	}
}

func (p private) add(what string, words []string) {
	key := [2]string(words)
	p.words[key] = append(p.words[key], secretWords{words, what})
}

// phoneDigits is how many of a phone's last digits tell it, whatever stands before them: 07700 or +44 7700.
const phoneDigits = 9

// numbers are digits with what people put between them.
var numbers = regexp.MustCompile(`\+?[0-9(][0-9 ().-]{7,}[0-9]`)

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// search reports what of p is in a file.
func (p private) search(source *strict.Folder, name, text string) {
	report := func(at int, what string) {
		source.Gap(strict.Identifies, place(name, text, at), "%s stands here: this file is not private", what)
	}
	words := split(text)
	for i := 0; i+1 < len(words); i++ {
		for _, s := range p.words[[2]string{words[i].text, words[i+1].text}] {
			if begins(words[i:], s.words) {
				report(words[i].at, s.what)
				break
			}
		}
	}
	for _, span := range numbers.FindAllStringIndex(text, -1) {
		number := text[span[0]:span[1]]
		digits := onlyDigits(number)
		switch {
		case p.digits[digits] == anNHS:
			report(span[0], anNHS)
		case len(digits) >= phoneDigits && p.digits[digits[len(digits)-phoneDigits:]] == aPhone:
			report(span[0], aPhone)
		case digits[0] != '0' && number[0] != '+' && config.ValidNHSNumber(digits):
			source.Warn(strict.LooksLikeNHS, place(name, text, span[0]), "this could be an NHS number, and this file is not private")
		}
	}
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

// word is letters and digits that stand together, without case.
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
			words = append(words, word{norm.NFC.String(strings.ToLower(text[start:i])), start})
			start = -1
		}
	}
	return words
}

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
