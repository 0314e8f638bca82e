package oauth

import (
	"slices"
	"strings"
)

// Scope is one of SMART App Launch 2.0 for systems: system/Encounter.rs, system/*.rs, or as version 1 spelt it,
// system/*.read.
type Scope struct {
	Resource string // a type, or * for all
	Access   string // letters of cruds, in that order
	text     string // as it was asked for
}

// Scopes are what a client or a token may do.
type Scopes []Scope

// accesses are the letters that there are: create, read, update, delete, search.
const accesses = "cruds"

// older are the spellings of version 1.
var older = map[string]string{"read": "rs", "write": "cud", "*": accesses}

// parseScope reads one scope; ok is false for any that is not of this form. Scopes with a query are none: what they leave
// out could not be kept from who holds them.
func parseScope(text string) (s Scope, ok bool) {
	rest, ok := strings.CutPrefix(text, "system/")
	resource, access, dotted := strings.Cut(rest, ".")
	if !ok || !dotted || resource != "*" && !typeName(resource) {
		return s, false
	}
	if letters, old := older[access]; old {
		return Scope{resource, letters, text}, true
	}
	at := 0
	for _, c := range access { // each at most once, and in order
		i := strings.IndexRune(accesses[at:], c)
		if i < 0 {
			return s, false
		}
		at += i + 1
	}
	return Scope{resource, access, text}, access != ""
}

// typeName reports whether s has the form of the name of a type of resource.
func typeName(s string) bool {
	for i, c := range s {
		if (c < 'A' || c > 'Z') && (i == 0 || c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// ParseScopes reads the scopes of a space-separated list that this server knows, and leaves out the others (RFC 6749, 3.3).
func ParseScopes(list string) (all Scopes) {
	for _, text := range strings.Fields(list) {
		if s, ok := parseScope(text); ok && !slices.ContainsFunc(all, func(have Scope) bool { return have.String() == s.String() }) {
			all = append(all, s)
		}
	}
	return all
}

// String is the scope as it was asked for.
func (s Scope) String() string {
	if s.text != "" {
		return s.text
	}
	return "system/" + s.Resource + "." + s.Access
}

// String is the scopes as OAuth writes them.
func (all Scopes) String() string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.String()
	}
	return strings.Join(texts, " ")
}

// Allow reports whether all of an access (letters of cruds) to a type of resource is allowed.
func (all Scopes) Allow(resource, access string) bool {
	for _, letter := range access {
		if !slices.ContainsFunc(all, func(s Scope) bool {
			return (s.Resource == "*" || s.Resource == resource) && strings.ContainsRune(s.Access, letter)
		}) {
			return false
		}
	}
	return access != ""
}

// within is what both allow: never more than either.
func (all Scopes) within(registered Scopes) (granted Scopes) {
	for _, asked := range all {
		if registered.Allow(asked.Resource, asked.Access) {
			granted = append(granted, asked)
			continue
		}
		for _, r := range registered {
			if both, ok := asked.and(r); ok && !slices.Contains(granted, both) {
				granted = append(granted, both)
			}
		}
	}
	return granted
}

func (s Scope) and(other Scope) (both Scope, ok bool) {
	switch {
	case s.Resource == "*":
		both.Resource = other.Resource
	case other.Resource == "*", other.Resource == s.Resource:
		both.Resource = s.Resource
	default:
		return both, false
	}
	for _, letter := range s.Access {
		if strings.ContainsRune(other.Access, letter) {
			both.Access += string(letter)
		}
	}
	return both, both.Access != ""
}
