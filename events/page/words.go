package page

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Lang is a language that pages are written in: a BCP 47 tag.
type Lang string

// The languages of the hub. Each catalogue has both; what it says in Welsh is to be reviewed by a translator.
const (
	English Lang = "en-GB"
	Welsh   Lang = "cy"
)

// Language is one of the hub's, and the name that its speakers know it by.
type Language struct {
	Lang Lang
	Name string
}

// Langs lists the languages, the one that is fallen back to first.
var Langs = []Language{{English, "English"}, {Welsh, "Cymraeg"}}

var matcher = language.NewMatcher([]language.Tag{language.BritishEnglish, language.MustParse("cy")})

const (
	langParam  = "lang" // of a page's address: the reader has chosen
	langCookie = "lang" // what they chose last
)

// LangOf is the language that a reader has chosen or, until they do, the one that their browser asks for (RFC 9110, section 12.5.4).
func LangOf(r *http.Request) Lang {
	if lang, ok := known(r.URL.Query().Get(langParam)); ok {
		return lang
	}
	if c, err := r.Cookie(langCookie); err == nil {
		if lang, ok := known(c.Value); ok {
			return lang
		}
	}
	_, i := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return Langs[i].Lang
}

func known(tag string) (Lang, bool) {
	for _, l := range Langs {
		if tag == string(l.Lang) {
			return l.Lang, true
		}
	}
	return "", false
}

// Words is the catalogue of a package: what its pages say, by language and key. Text may have {places} to be filled in.
type Words map[Lang]map[string]string

// Catalogue reads words.en.json and words.cy.json, each an object of key to text. It panics where one is missing or broken, or
// has not the keys of the other: they are part of the program.
func Catalogue(files fs.FS) Words {
	w := Words{}
	for lang, name := range map[Lang]string{English: "words.en.json", Welsh: "words.cy.json"} {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err)
		}
		texts := map[string]string{}
		if err := json.Unmarshal(b, &texts); err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		w[lang] = texts
	}
	if en, cy := slices.Sorted(maps.Keys(w[English])), slices.Sorted(maps.Keys(w[Welsh])); !slices.EqualFunc(singular(en), singular(cy), strings.EqualFold) {
		panic(fmt.Sprintf("the catalogues differ: %v", difference(singular(en), singular(cy))))
	}
	return w
}

// singular drops the plural forms: Welsh has six (CLDR), English two.
func singular(keys []string) (out []string) {
	for _, key := range keys {
		key, _, _ = strings.Cut(key, "#")
		out = append(out, key)
	}
	return slices.Compact(out)
}

func difference(a, b []string) (only []string) {
	for _, key := range slices.Concat(a, b) {
		if !slices.Contains(a, key) || !slices.Contains(b, key) {
			only = append(only, key)
		}
	}
	return only
}

// Say is the text of a key, its {places} filled in from pairs of name and value. A key that the language lacks is said in
// English, and one that nobody knows by itself: a page with an odd word is better than none.
func (w Words) Say(lang Lang, key string, pairs ...any) string {
	text, ok := w[lang][key]
	if !ok {
		if text, ok = w[English][key]; !ok {
			return key
		}
	}
	if len(pairs) == 0 {
		return text
	}
	return fill(text, pairs)
}

// fill puts values into the places of a text, once: what a value says is no place. Each answer to a log is made of several
// sentences, too many for a strings.Replacer each time.
func fill(text string, pairs []any) string {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(text, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		value, after, known := place(rest, pairs)
		if !known {
			b.WriteByte('{')
			text = rest
			continue
		}
		b.WriteString(value)
		text = after
	}
}

// place returns the value of the place that text begins with, less its first brace, and what comes after it.
func place(text string, pairs []any) (value, after string, known bool) {
	name, after, closed := strings.Cut(text, "}")
	for i := 0; closed && i+1 < len(pairs); i += 2 {
		if pairs[i] == name {
			return fmt.Sprint(pairs[i+1]), after, true
		}
	}
	return "", "", false
}

// Has reports whether the catalogue knows a key.
func (w Words) Has(key string) bool { _, ok := w[English][key]; return ok }

// forms are the suffixes of keys for the plural forms of CLDR.
var forms = map[plural.Form]string{plural.Zero: "#zero", plural.One: "#one", plural.Two: "#two", plural.Few: "#few", plural.Many: "#many", plural.Other: "#other"}

// Count is the text of key#one, key#two, … as the language counts n, which fills in {n}; key#other where it has no form of its own.
func (w Words) Count(lang Lang, key string, n int, pairs ...any) string {
	form := forms[plural.Cardinal.MatchPlural(language.Make(string(lang)), n, 0, 0, 0, 0)]
	if _, ok := w[lang][key+form]; !ok {
		form = forms[plural.Other]
	}
	return w.Say(lang, key+form, append([]any{"n", n}, pairs...)...)
}

var welshDays = [...]string{"dydd Sul", "dydd Llun", "dydd Mawrth", "dydd Mercher", "dydd Iau", "dydd Gwener", "dydd Sadwrn"}

var welshMonths = [...]string{"Ionawr", "Chwefror", "Mawrth", "Ebrill", "Mai", "Mehefin", "Gorffennaf", "Awst", "Medi", "Hydref", "Tachwedd", "Rhagfyr"}

// Moment names the weekday and the zone, so that no reader has to guess either (hazard: wrong time).
func (l Lang) Moment(t time.Time) string { return l.Day(t) + t.Format(" 2006, 15:04 MST") }

// Day is the day of the year: Monday 2 January.
func (l Lang) Day(t time.Time) string {
	if l == Welsh {
		return fmt.Sprintf("%s %d %s", welshDays[t.Weekday()], t.Day(), welshMonths[t.Month()-1])
	}
	return t.Format("Monday 2 January")
}

// Date is a date in full, as one of birth: 2 January 2006.
func (l Lang) Date(t time.Time) string {
	if l == Welsh {
		return fmt.Sprintf("%d %s %d", t.Day(), welshMonths[t.Month()-1], t.Year())
	}
	return t.Format("2 January 2006")
}

// At is the time of day, with its day where that is not today's.
func (l Lang) At(t, now time.Time) string {
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	if l == Welsh {
		return t.Format("15:04 ") + l.Day(t)
	}
	return t.Format("15:04 on ") + l.Day(t)
}
