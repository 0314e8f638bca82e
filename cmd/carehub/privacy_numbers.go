package main

import (
	"regexp"
	"strings"

	"carehub/config"
	"carehub/config/strict"
)

// phoneDigits is how many of a phone's last digits tell it, whatever stands before them: 07700 or +44 7700.
const phoneDigits = 9

const nhsDigits = 10

// numbers are digits with what people put between them.
var numbers = regexp.MustCompile(`\+?[0-9(][0-9 \t\x{a0}()./_‐‑–-]{7,}[0-9]`)

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// run is digits of a file that stand together, with what is between them, such as a date and a number behind it.
type run struct {
	digits string
	at     []int  // the byte of each
	first  []bool // of a group, so that none stands right before it
	phone  []bool // of a group in what is written like a phone, from 0 or + on
}

// minPhone is how many digits a phone has at least, beginning with 0 or +.
const minPhone = 10

func runOf(text string, from, to int) (r run) {
	left := 0 // digits of a phone that are still to come
	for i := from; i < to; i++ {
		if text[i] < '0' || text[i] > '9' {
			continue
		}
		first := i == 0 || text[i-1] < '0' || text[i-1] > '9'
		if first && left <= 0 && (text[i] == '0' || i > 0 && text[i-1] == '+') {
			left = minPhone
		}
		r.at, r.first, r.phone = append(r.at, i), append(r.first, first), append(r.phone, left > 0 || !first && r.phone[len(r.phone)-1])
		r.digits += text[i : i+1]
		left--
	}
	return r
}

// whole reports whether n digits from i on are groups of their own, and no phone.
func (r run) whole(i, n int) bool {
	return r.first[i] && !r.phone[i] && (i+n == len(r.digits) || r.first[i+n])
}

// start is where a phone begins that has the digit i.
func (r run) start(i int, text string) int {
	for i > 0 && r.phone[i-1] {
		i--
	}
	if at := r.at[i]; at > 0 && text[at-1] == '+' {
		return at - 1
	}
	return r.at[i]
}

// searchNumbers reports numbers of p wherever they begin among digits, and what else could be an NHS number where it stands by itself.
func (p private) searchNumbers(source *strict.Folder, name, text string) {
	for _, span := range numbers.FindAllStringIndex(text, -1) {
		r := runOf(text, span[0], span[1])
		for i := 0; i+phoneDigits <= len(r.digits); i++ {
			phone, nhs := r.digits[i:i+phoneDigits], r.digits[i:min(i+nhsDigits, len(r.digits))]
			switch {
			case p.digits[nhs] == anNHS:
				source.Gap(strict.Identifies, place(name, text, r.at[i]), found, anNHS)
			case p.digits[phone] == aPhone && (name != hubFile || phone != p.contact):
				source.Gap(strict.Identifies, place(name, text, r.start(i, text)), found, aPhone)
			case len(nhs) == nhsDigits && r.whole(i, nhsDigits) && config.ValidNHSNumber(nhs):
				source.Warn(strict.LooksLikeNHS, place(name, text, r.at[i]), "this could be an NHS number, and this file is not private")
			}
		}
	}
}
