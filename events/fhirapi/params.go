package fhirapi

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// Limits of a search.
const (
	usualCount = 20
	mostCount  = 100
	maxForm    = 16 << 10 // bytes of a search by POST
	maxIDs     = mostCount
)

// control are the parameters that say nothing of what is looked for.
var control = []string{"_count", "_format", pageParameter}

// parameters are those that searching a type knows.
func parameters(resource string) []fhir.SearchParameter {
	list := []fhir.SearchParameter{{Name: "_id", Type: "token"}}
	switch resource {
	case "Organization":
	case "Patient":
		list = append(list,
			fhir.SearchParameter{Name: "identifier", Type: "token", Documentation: "An NHS number only by POST to _search."},
			fhir.SearchParameter{Name: "_lastUpdated", Type: "date"})
	default:
		list = append(list,
			fhir.SearchParameter{Name: "patient", Type: "reference",
				Documentation: "Patient/p-…. Or :identifier, or patient.identifier, with an NHS number only by POST to _search. Required, unless _id is given."},
			fhir.SearchParameter{Name: "_lastUpdated", Type: "date"})
	}
	for _, name := range control {
		list = append(list, fhir.SearchParameter{Name: name, Type: "special"})
	}
	return list
}

// query is a search as it was understood.
type query struct {
	Type, By string
	Patient  string   // "" where no such patient is known, or none was asked for
	IDs      []string // nil: not asked for
	Updated  []bound
	Count    int

	identified bool // by an identifier, which is not to be repeated
	ignored    []string
	Page       // where to go on
}

// asked reads a search. A link to the next page brings all of its own.
func (a *API) asked(w http.ResponseWriter, r *http.Request, resource string, by events.Actor) (query, error) {
	values, err := form(w, r)
	if err != nil {
		return query{}, err
	}
	if err := acceptable(r, values.Get("_format")); err != nil {
		return query{}, err
	}
	if sealed := values.Get(pageParameter); sealed != "" {
		return a.openPage(sealed, resource, by)
	}
	q := query{Type: resource, By: by.ID, Count: usualCount}
	for _, name := range sortedNames(values) {
		if err := a.take(&q, name, values[name]); err != nil {
			return q, err
		}
	}
	if handling(r) == "strict" && len(q.ignored) > 0 {
		return q, wrong("These parameters are not supported here: " + strings.Join(q.ignored, ", ") + ".")
	}
	if named := q.Patient != "" || q.identified; q.IDs == nil && !named {
		return q, wrong("Say whom: this search needs " + strings.Join(needed(resource), " or ") + ".")
	}
	return q, nil
}

func needed(resource string) []string {
	switch resource {
	case "Organization":
		return []string{"_id"}
	case "Patient":
		return []string{"_id", "identifier"}
	}
	return []string{"patient", "_id"}
}

// form is what was asked, in the URL and, by POST, in the body. In a URL an NHS number would stand in the logs of every
// proxy on the way.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, wrong("The query is not well-formed.")
	}
	if exposed(values) {
		return nil, errExposed()
	}
	if r.Method != http.MethodPost {
		return values, nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuseWith(http.StatusUnsupportedMediaType, "The body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, &events.Error{Kind: events.TooLarge, Message: "The search is too long, or did not arrive whole.", Err: err}
	}
	more, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, wrong("The body is not well-formed.")
	}
	for name, list := range more {
		values[name] = append(values[name], list...)
	}
	return values, nil
}

var tenDigits = regexp.MustCompile(`(^|[|,])\d{3}[ -]?\d{3}[ -]?\d{4}(,|$)`)

// exposed reports whether a URL holds what may be an NHS number.
func exposed(values url.Values) bool {
	for name, list := range values {
		if name == pageParameter {
			continue
		}
		for _, v := range list {
			if strings.Contains(v, fhir.NHSNumber) || tenDigits.MatchString(v) {
				return true
			}
		}
	}
	return false
}

func errExposed() error {
	return wrong("An NHS number must not stand in a URL, where logs keep it. Send the same as a form, by POST to …/_search.")
}

func sortedNames(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// take reads one parameter and its values: two of one name must both hold, two with a comma between them either (R4,
// 3.1.1.4.17).
func (a *API) take(q *query, name string, values []string) (err error) {
	plain, modifier, modified := strings.Cut(name, ":")
	supported := slices.ContainsFunc(parameters(q.Type), func(p fhir.SearchParameter) bool { return p.Name == plain })
	switch {
	case name == "patient:identifier" && q.Type != "Patient" && supported, name == "patient.identifier" && q.takesPatient(),
		name == "identifier" && q.Type == "Patient":
		return a.takeIdentifier(q, values)
	case supported && modified:
		return wrong("The modifier :" + printable(modifier) + " is not supported.")
	case name == "subject" && q.takesPatient() && q.Type != "Bundle", name == "patient" && supported:
		return q.takePatient(a.Hub().URL+base, values)
	case name == "_id":
		return q.takeIDs(values)
	case name == "_lastUpdated" && supported:
		q.Updated, err = bounds(values, a.Zone())
		return err
	case name == "_count":
		return q.takeCount(values)
	case name == "_format", name == pageParameter, name == "_pretty":
		return nil
	}
	q.ignored = append(q.ignored, printable(name))
	return nil
}

func (q *query) takesPatient() bool { return q.Type != "Patient" && q.Type != "Organization" }

// takePatient reads a reference: by type and id, by id alone, or by the whole address.
func (q *query) takePatient(at string, values []string) error {
	if len(values) != 1 || q.Patient != "" || q.identified {
		return wrong("Ask about one patient at a time.")
	}
	id := strings.TrimPrefix(strings.TrimPrefix(values[0], at+"/"), "Patient/")
	if !events.ValidPatient(id) {
		return wrong("patient must be such as Patient/p-7f3k.")
	}
	q.Patient = id
	return nil
}

// takeIdentifier reads system|value: an NHS number or the hub's own pseudonym.
func (a *API) takeIdentifier(q *query, values []string) error {
	if len(values) != 1 || q.Patient != "" || q.identified {
		return wrong("Ask about one patient at a time.")
	}
	q.identified = true
	system, value, ok := strings.Cut(values[0], "|")
	switch {
	case !ok:
		return wrong("identifier must be system|value, such as " + fhir.NHSNumber + "|9990000018.")
	case system == fhir.NHSNumber:
		q.Patient = a.Identified(value)
	case system == fhir.PatientSystem(a.Hub()) && events.ValidPatient(value):
		q.Patient = value
	}
	if q.Type == "Patient" && q.IDs == nil {
		q.IDs = []string{}
		if q.Patient != "" {
			q.IDs = []string{q.Patient}
		}
	}
	return nil
}

func (q *query) takeIDs(values []string) error {
	if len(values) != 1 || q.IDs != nil {
		return wrong("_id may be given once.")
	}
	q.IDs = strings.Split(values[0], ",")
	if len(q.IDs) > maxIDs {
		return wrong("That is more than " + strconv.Itoa(maxIDs) + " ids.")
	}
	return nil
}

// takeCount takes more than there can be as the most there can be (R4, 3.1.1.5.4).
func (q *query) takeCount(values []string) error {
	n, err := strconv.Atoi(values[0])
	if len(values) != 1 || err != nil || n < 1 {
		return wrong("_count must be a number from 1 to " + strconv.Itoa(mostCount) + ".")
	}
	q.Count = min(n, mostCount)
	return nil
}

// used are the parameters that count, as they may be shown: of an identifier only that there was one.
func (q query) used() url.Values {
	v := url.Values{}
	if q.Patient != "" && !q.identified {
		v.Set("patient", "Patient/"+q.Patient)
	}
	if q.IDs != nil && !q.identified {
		v.Set("_id", strings.Join(q.IDs, ","))
	}
	for _, b := range q.Updated {
		v.Add("_lastUpdated", b.Text)
	}
	if q.Count != 0 {
		v.Set("_count", strconv.Itoa(q.Count))
	}
	return v
}

// bound is one _lastUpdated: a comparison with a span of time, [From, Before).
type bound struct {
	Text         string
	Prefix       string
	From, Before time.Time
}

func bounds(values []string, zone *time.Location) (all []bound, err error) {
	for _, v := range values {
		b, err := parseBound(v, zone)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// layouts are the precisions of a date in a search, and how long what each names lasts.
var layouts = []struct {
	layout string
	years  int
	months int
	days   int
	length time.Duration
}{
	{layout: "2006", years: 1}, {layout: "2006-01", months: 1}, {layout: "2006-01-02", days: 1},
	{layout: "2006-01-02T15:04Z07:00", length: time.Minute}, {layout: time.RFC3339, length: time.Second},
}

// parseBound reads a prefix and a date (R4, 3.1.1.4.8). A time needs its zone; a day is one of the hub's.
func parseBound(text string, zone *time.Location) (bound, error) {
	b := bound{Text: text, Prefix: "eq"}
	rest := text
	if len(text) > 2 && text[0] >= 'a' && text[0] <= 'z' {
		b.Prefix, rest = text[:2], text[2:]
	}
	if !slices.Contains([]string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"}, b.Prefix) {
		return b, wrong("_lastUpdated knows the prefixes eq, ne, gt, lt, ge, le, sa and eb.")
	}
	for _, l := range layouts {
		at, err := time.ParseInLocation(l.layout, rest, zone)
		if err != nil {
			continue
		}
		b.From, b.Before = at, at.AddDate(l.years, l.months, l.days).Add(l.length)
		if _, fraction, ok := strings.Cut(rest, "."); ok { // as precise as its digits
			b.Before = at.Add(precision(fraction))
		}
		return b, nil
	}
	return b, wrong("_lastUpdated must be a date, or a time with its zone, such as ge2026-07-12T02:14:07+01:00 (with + as %2B).")
}

func precision(fraction string) time.Duration {
	d := time.Second
	for i := 0; i < len(fraction) && fraction[i] >= '0' && fraction[i] <= '9' && d > 1; i++ {
		d /= 10
	}
	return d
}

// holds compares an instant.
func (b bound) holds(t time.Time) bool {
	switch b.Prefix {
	case "ne":
		return t.Before(b.From) || !t.Before(b.Before)
	case "gt", "sa":
		return !t.Before(b.Before)
	case "lt", "eb":
		return t.Before(b.From)
	case "ge":
		return !t.Before(b.From)
	case "le":
		return t.Before(b.Before)
	}
	return !t.Before(b.From) && t.Before(b.Before)
}

// handling is what the client wants done about parameters that the server does not know (R4, 3.1.1.4.1).
func handling(r *http.Request) string {
	for _, prefer := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(prefer, func(c rune) bool { return c == ',' || c == ';' }) {
			if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(name, "handling") {
				return strings.ToLower(strings.Trim(value, `"`))
			}
		}
	}
	return "lenient"
}

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$`)

// printable is a parameter's name as it may be answered.
func printable(name string) string {
	if word.MatchString(name) {
		return name
	}
	return "one that is no name"
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

func validID(id string) bool { return idForm.MatchString(id) }
