package compare

import (
	"slices"
	"strings"

	"carehub/routing"
)

// Names calls some of all occasions in few words: first by hours, then by what places, then by what classes they are of. Those of
// which the same is said stand together, and where it is all of them nothing is said.
func Names(all, some []routing.Occasion) []string {
	return parts(all, some, []part{
		{func(o routing.Occasion) string { return o.Hours }, hours},
		{func(o routing.Occasion) string { return o.Place }, func(some, all []string) string { return besides("at ", "elsewhere than ", some, all) }},
		{func(o routing.Occasion) string { return o.Class }, func(some, all []string) string { return besides("class ", "class other than ", some, all) }},
	})
}

// part is one of the things that occasions differ in: what it is of one of them, and how some of all of these are called.
type part struct {
	of     func(routing.Occasion) string
	called func(some, all []string) string
}

func parts(all, some []routing.Occasion, rest []part) (names []string) {
	if len(some) == len(all) || len(rest) == 0 {
		return nil
	}
	values, same := each(all, rest[0]), map[string][]string{}
	var order []string
	for _, v := range values {
		of := func(o routing.Occasion) bool { return rest[0].of(o) != v }
		left := slices.DeleteFunc(slices.Clone(some), of)
		if len(left) == 0 {
			continue
		}
		inner := parts(slices.DeleteFunc(slices.Clone(all), of), left, rest[1:])
		key := strings.Join(inner, "\n")
		if same[key] == nil {
			order = append(order, key)
		}
		same[key] = append(same[key], v)
	}
	for _, key := range order {
		own := ""
		if len(same[key]) < len(values) {
			own = rest[0].called(same[key], values)
		}
		for _, inner := range strings.Split(key, "\n") {
			names = append(names, strings.Trim(own+", "+inner, ", "))
		}
	}
	return names
}

// each is what occasions are in one part, in order.
func each(all []routing.Occasion, of part) (values []string) {
	for _, o := range all {
		if v := of.of(o); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func hours(some, _ []string) string {
	named := slices.Clone(some)
	for i, name := range named {
		if name == "" { // the hours of today's rules, beside those after the end of one
			named[i] = "now"
		}
	}
	return strings.Join(named, "; ")
}

// besides calls some places or classes by their names or, where it is also whatever has none of all these names, by those that it is not.
func besides(at, elsewhere string, some, all []string) string {
	if !slices.Contains(some, "") {
		return at + strings.Join(some, " or ")
	}
	others := slices.DeleteFunc(slices.Clone(all), func(v string) bool { return slices.Contains(some, v) })
	return elsewhere + strings.Join(others, " and ")
}
