package fhir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// What a foreign document is read with knows where it is, so that every complaint names the element as FHIRPath does, and
// quotes nothing. JSON that could be understood in two ways is refused: a name given twice, bytes that are no UTF-8.

// Limits on a foreign document.
const (
	maxDepth  = 40 // of nested elements; FHIR's own need about fifteen
	maxIssues = 20 // told of at once
)

// reading is the work on one document: what is wrong with it so far.
type reading struct{ issues []Issue }

// element is one place in a document: an object, a list, a string, a json.Number, a bool, or nil where there is nothing.
type element struct {
	in    *reading
	path  string
	value any
}

// object keeps what JSON's own map would lose: nothing but that a name is there once.
type object map[string]any

var (
	errTwoNames = errors.New("a name is given twice")
	errTooDeep  = errors.New("nested too deeply")
	errMore     = errors.New("something follows")
)

// parse reads one JSON document strictly.
func parse(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errMore
	}
	return v, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return parseObject(dec, depth)
	case json.Delim('['):
		var list []any
		for dec.More() {
			v, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	out := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if _, twice := out[name]; twice {
			return nil, errTwoNames
		}
		if out[name], err = parseValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return out, err
}

// problem notes what is wrong with an element and what to do about it. code is one of FHIR's issue types.
func (e element) problem(code, words string) {
	found := Issue{Severity: "error", Code: code, Diagnostics: words, Expression: e.path}
	if len(e.in.issues) < maxIssues && !slices.Contains(e.in.issues, found) {
		e.in.issues = append(e.in.issues, found)
	}
}

func (e element) missing() bool { return e.value == nil }

// at is the member of that name, nothing where there is none.
func (e element) at(names ...string) element {
	for _, name := range names {
		next := element{in: e.in, path: e.path + "." + name}
		switch o := e.value.(type) {
		case object:
			next.value = o[name]
		case nil:
		default:
			e.problem("structure", "This must be a JSON object.")
		}
		e = next
	}
	return e
}

// each is the members of a list.
func (e element) each() []element {
	list, ok := e.value.([]any)
	if !ok && !e.missing() {
		e.problem("structure", "This must be a JSON list.")
	}
	out := make([]element, len(list))
	for i, v := range list {
		out[i] = element{e.in, fmt.Sprintf("%s[%d]", e.path, i), v}
	}
	return out
}

// text is a string as it is worth reading, "" where there is none.
func (e element) text() string {
	s, ok := e.value.(string)
	if !ok && !e.missing() {
		e.problem("structure", "This must be a JSON string.")
	}
	return clean(s)
}

// needed is text that must be there.
func (e element) needed() string {
	s := e.text()
	if s == "" && (e.missing() || e.value == "") {
		e.problem("required", "This element is needed.")
	}
	return s
}

// short is text of at most max runes. Longer is refused, never cut.
func (e element) short(most int) string {
	s := e.text()
	if utf8.RuneCountInString(s) > most {
		e.problem("too-long", fmt.Sprintf("This is longer than %d characters. It is refused, because a text that is cut can say the opposite: shorten it.", most))
		return ""
	}
	return s
}

// moment is a time with its zone: the zero time, and a complaint, where it is there and is none.
func (e element) moment() time.Time {
	s := e.text()
	if s == "" {
		return time.Time{}
	}
	t := moment(&s)
	if !timed(t) {
		e.problem("value", "This must be a date with a time and its zone, such as 2026-11-22T01:50:00+00:00.")
		return time.Time{}
	}
	return t
}

// coded reports whether a CodeableConcept, or one of a list of them, has one of the codes of a system.
func (e element) coded(system string, codes ...string) bool {
	for _, c := range e.at("coding").each() {
		if c.isCode(system, codes...) {
			return true
		}
	}
	return false
}

// isCode reports whether a Coding is one of the codes of a system.
func (e element) isCode(system string, codes ...string) bool {
	if e.at("system").text() != system {
		return false
	}
	code := e.at("code").text()
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// extension is the value of the first extension with this URL.
func (e element) extension(url, value string) string {
	for _, x := range e.at("extension").each() {
		if x.at("url").text() == url {
			return x.at(value).text()
		}
	}
	return ""
}

// fhirID reports whether s has the form of a logical id (FHIR R4, 2.24.0.1).
func fhirID(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}
