// Package cases holds what an admin expects of the rules: who is told of which event, and who is not, written down in
// routing/tests/*.yaml. It says which expectations the rules do not meet. It reads no rules itself: it asks whoever has them.
package cases

import (
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
)

// Folder is where the cases are, in the configuration folder. The loader of the rules does not look into folders.
const Folder = routing.Folder + "/tests"

// Known is what the cases are checked against.
type Known struct {
	Patients []string // that have rules
	IDs      []string // of subscribers and carers
	Zone     *time.Location
	NoCarers bool // the ids of carers whom no rule names are not known
}

// All is the word for every patient.
const All = "all"

// Case is one expectation.
type Case struct {
	strict.Pos
	Name          string
	patients      []string // just All for every one
	kinds         []events.Kind
	because       events.Kind
	by            string
	at            time.Time // zero: whenever
	place, class  string
	told, steps   *[]string // exactly these; nil: whoever
	atLeast, none []string
	channels      []first
}

// first is by which channels somebody is told, beginning with the first.
type first struct {
	id   string
	keys []string
}

// file is one of routing/tests/*.yaml.
type file struct {
	Cases []strict.At[entry] `yaml:"cases,required"`
}

type entry struct {
	Name     string                          `yaml:"name"`
	Patient  strict.List[string]             `yaml:"patient,required"`
	On       strict.List[string]             `yaml:"on,required"`
	Because  strict.At[string]               `yaml:"because"`
	By       strict.At[string]               `yaml:"by"`
	At       strict.At[string]               `yaml:"at"`
	Place    string                          `yaml:"place"`
	Class    strict.At[string]               `yaml:"class"`
	Told     *strict.List[string]            `yaml:"told"`
	AtLeast  strict.List[string]             `yaml:"told_at_least"`
	NotTold  strict.List[string]             `yaml:"not_told"`
	Channels strict.Map[strict.List[string]] `yaml:"channels"`
	Steps    *strict.List[string]            `yaml:"steps"`
}

// Load reads all cases. Problems are reported to the folder, and the cases are fit for use when there is none but warnings.
// A folder without cases has none.
func Load(folder *strict.Folder, known Known) []Case {
	if !folder.Has(Folder) {
		return nil
	}
	l := loader{folder, known}
	var all []Case
	for _, name := range folder.List(Folder) {
		top, ok := folder.Read(name)
		if !ok {
			continue
		}
		var f file
		_ = top.Decode(&f) // reported
		for _, e := range f.Cases {
			all = append(all, l.read(e))
		}
	}
	return all
}

type loader struct {
	folder *strict.Folder
	known  Known
}

func (l loader) read(e strict.At[entry]) Case {
	c := Case{Pos: e.Pos, Name: e.V.Name, because: events.Kind(e.V.Because.V), by: e.V.By.V, place: e.V.Place, class: e.V.Class.V,
		atLeast: e.V.AtLeast.Values(), none: e.V.NotTold.Values()}
	c.patients = l.patients(e.V.Patient)
	for _, kind := range append(slices.Clone(e.V.On), e.V.Because) {
		l.kind(kind)
	}
	for _, kind := range e.V.On {
		c.kinds = append(c.kinds, events.Kind(kind.V))
	}
	c.at = l.moment(e.V.At)
	if class := e.V.Class; class.V != "" && !slices.Contains(events.Classes, class.V) {
		l.folder.Report(strict.BadValue, class.Pos, "class takes %s%s", strings.Join(events.Classes, ", "), strict.DidYouMean(class.V, events.Classes))
	}
	c.told, c.steps = l.exactly(e.V.Told), l.exactly(e.V.Steps)
	l.somebody(e.V.AtLeast)
	l.perhaps(e.V.NotTold)
	if e.V.By.V != "" {
		l.perhaps(strict.List[string]{e.V.By})
	}
	for _, by := range e.V.Channels {
		l.somebody(strict.List[string]{{Pos: by.Pos, V: by.Key}})
		c.channels = append(c.channels, first{by.Key, by.V.Values()})
	}
	l.sense(e)
	return c
}

// sense reports a case that expects nothing, or two things that exclude each other.
func (l loader) sense(e strict.At[entry]) {
	v := e.V
	if v.Patient != nil && len(v.Patient) == 0 || v.On != nil && len(v.On) == 0 { // it would be about no event, and always hold
		l.folder.Report(strict.Missing, e.Pos, "this case is about no event: give at least one patient (or all) and one kind")
	}
	if v.Told == nil && v.Steps == nil && len(v.AtLeast)+len(v.NotTold)+len(v.Channels) == 0 {
		l.folder.Report(strict.Missing, e.Pos, "this case expects nothing: give told, told_at_least, not_told, channels or steps")
	}
	if v.Told != nil && len(v.AtLeast) > 0 {
		l.folder.Report(strict.Conflict, v.AtLeast[0].Pos, "told says exactly who is told, so told_at_least adds nothing: leave one of them out")
	}
	for _, no := range v.NotTold {
		if slices.Contains(v.AtLeast.Values(), no.V) || v.Told != nil && slices.Contains(v.Told.Values(), no.V) {
			l.folder.Report(strict.Conflict, no.Pos, "%s cannot be told and not be told", no.V)
		}
	}
}

func (l loader) patients(list strict.List[string]) []string {
	for _, p := range list {
		switch {
		case p.V == All && len(list) > 1:
			l.folder.Report(strict.Conflict, p.Pos, "all stands alone: it means every patient")
		case p.V != All && !slices.Contains(l.known.Patients, p.V):
			l.folder.Report(strict.Unruled, p.Pos, "no rules are for the patient %q%s", p.V, strict.DidYouMean(p.V, l.known.Patients))
		}
	}
	return list.Values()
}

func (l loader) kind(kind strict.At[string]) {
	if kind.V == "" || events.Kind(kind.V).Known() {
		return
	}
	names := make([]string, len(events.Routed))
	for i, k := range events.Routed {
		names[i] = string(k)
	}
	l.folder.Report(strict.UnknownKind, kind.Pos, "this build does not know the kind %q%s", kind.V, strict.DidYouMean(kind.V, names))
}

// moments are how a case may say when the hub takes the event in: with a time zone, or by the clock where the hub is.
var moments = []string{time.RFC3339, "2006-01-02 15:04"}

// Moment reads a time as people write it, in the zone unless it says another.
func Moment(text string, zone *time.Location) (time.Time, bool) {
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func (l loader) moment(at strict.At[string]) time.Time {
	t, ok := Moment(at.V, l.known.Zone)
	if at.V != "" && !ok {
		l.folder.Report(strict.BadValue, at.Pos, `at must be a time such as "2026-11-28 23:30" or "2026-11-28T23:30:00Z"`)
	}
	return t
}

func (l loader) exactly(list *strict.List[string]) *[]string {
	if list == nil {
		return nil
	}
	l.somebody(*list)
	return new(list.Values())
}

func (l loader) somebody(list strict.List[string]) {
	for _, id := range list {
		if !slices.Contains(l.known.IDs, id.V) {
			l.folder.Report(strict.UnknownRecipient, id.Pos, "unknown recipient %q%s", id.V, strict.DidYouMean(id.V, l.known.IDs))
		}
	}
}

// perhaps is somebody for those whom the rules need not name: where the ids of carers are not known, one of them may be meant.
func (l loader) perhaps(list strict.List[string]) {
	if !l.known.NoCarers {
		l.somebody(list)
		return
	}
	for _, id := range list {
		if !slices.Contains(l.known.IDs, id.V) {
			l.folder.Warn(strict.Stranger, id.Pos, "%q is no subscriber, and no rule names them: only carers.yaml, which is not here, could say who this is%s",
				id.V, strict.DidYouMean(id.V, l.known.IDs))
		}
	}
}

// title is what a case is called: its name, or what it is about.
func (c Case) title() string {
	if c.Name != "" {
		return c.Name
	}
	words := make([]string, len(c.kinds))
	for i, k := range c.kinds {
		words[i] = string(k)
	}
	return strings.Join(words, ", ") + " of " + strings.Join(c.patients, ", ")
}
