package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	patientsAtOnce = 100
	recentEvents   = 5
)

// Told is somebody who is told of a patient.
type Told struct {
	Name  string
	Means []string // types of their channels, in order of preference; none: by phone only
	Kinds map[events.Kind]Cell
}

// Cell is how somebody is told of one kind of event.
type Cell struct {
	Step      int           // 0: at once; otherwise their turn among those who are told when nobody answers
	Answer    time.Duration // within which a person there is to answer; 0: nobody is asked
	Mandatory bool
	Rule      string // file and line
	// When names the hours, places and classes in which it is so, where the rules make a difference; none: always.
	When []string
}

// Add takes note that somebody is told of a kind of event so on one more occasion. How they are told on the first of them is shown.
func (t *Told) Add(kind events.Kind, c Cell) {
	if t.Kinds == nil {
		t.Kinds = map[events.Kind]Cell{}
	}
	if known, seen := t.Kinds[kind]; seen {
		known.Step = min(known.Step, c.Step)
		c = known
	}
	t.Kinds[kind] = c
}

// Only says when somebody is told of a kind of event that they are not always told of.
func (t *Told) Only(kind events.Kind, when []string) {
	c := t.Kinds[kind]
	c.When = when
	t.Kinds[kind] = c
}

// patients lists the pseudonyms of those who have rules.
func (p *Pages) patients(w http.ResponseWriter, r *http.Request, who page.Session) {
	all, from := p.Patients(), r.URL.Query().Get("from")
	if find := r.URL.Query().Get("find"); slices.Contains(all, find) {
		page.Redirect(w, "/admin/patients/"+find)
		return
	}
	lang := page.LangOf(r)
	begin, _ := slices.BinarySearch(all, from)
	view := struct {
		Patients []string
		Next     string
		Find     string
		None     bool // of that pseudonym
	}{Patients: all[begin:min(len(all), begin+patientsAtOnce)], Find: r.URL.Query().Get("find")}
	if end := begin + patientsAtOnce; end < len(all) {
		view.Next = "/admin/patients?from=" + all[end]
	}
	c := page.Content{Title: words.Say(lang, "patients.title")}
	if view.None = view.Find != ""; view.None {
		c.Problem = words.Say(lang, "patients.none")
	}
	if len(view.Find) > 64 {
		view.Find = ""
	}
	p.show(w, r, who, http.StatusOK, c, "patients", view)
}

// picture is who is told of a patient, of what.
type picture struct {
	Patient, Called string
	Kinds           []heading
	Rows            []pictureRow
	Asked, Steps    bool // what the legend has to explain
	Mandatory, Only bool
	Watchers        []string
	Entries         []entry
}

type heading struct{ Kind, Text string }

type pictureRow struct {
	Name, Means string
	When        []string // of what is not always so, in words
	Cells       []square
}

// square is one cell: what it shows, and what it says to whoever does not see it.
type square struct{ Class, Mark, Small, Says string }

// patient shows who is told of a patient, as a picture, and how telling them of the newest events went.
func (p *Pages) patient(w http.ResponseWriter, r *http.Request, who page.Session) {
	id := r.PathValue("patient")
	told, known := p.Told(id)
	if !known {
		p.refuse(w, r, who, missing())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	lang := page.LangOf(r)
	view := picture{Patient: id, Called: p.Called(who.Actor, id), Watchers: p.Watchers()}
	for _, kind := range events.Routed {
		view.Kinds = append(view.Kinds, heading{string(kind), words.Say(lang, "short."+string(kind))})
	}
	for _, one := range told {
		view.Rows = append(view.Rows, view.row(lang, one))
	}
	found, err := p.Timeline(ctx, id, recentEvents)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	for _, st := range found {
		e, err := p.entry(ctx, lang, st, perEvent)
		if err != nil {
			p.refuse(w, r, who, err)
			return
		}
		view.Entries = append(view.Entries, e)
	}
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "patient.title", "patient", id)}, "patient", view)
}

func (v *picture) row(lang page.Lang, one Told) pictureRow {
	row := pictureRow{Name: one.Name, Means: words.Say(lang, "phone-only")}
	for i, channel := range one.Means {
		if i == 0 {
			row.Means = means(lang, channel)
		} else {
			row.Means = words.Say(lang, "then", "first", row.Means, "next", means(lang, channel))
		}
	}
	for _, kind := range events.Routed {
		cell, told := one.Kinds[kind]
		row.Cells = append(row.Cells, v.square(lang, cell, told))
		if len(cell.When) > 0 {
			row.When = append(row.When, words.Say(lang, "row.only", "kind", words.Say(lang, "short."+string(kind)), "when", strings.Join(cell.When, "; ")))
		}
	}
	return row
}

func (v *picture) square(lang page.Lang, c Cell, told bool) square {
	if !told {
		return square{Class: "not", Says: words.Say(lang, "cell.not")}
	}
	s := square{Class: "told", Mark: "✓", Says: words.Say(lang, "cell.told")}
	if c.Step > 0 {
		v.Steps = true
		s = square{Class: "step", Mark: words.Say(lang, "cell.turn", "n", c.Step), Says: words.Say(lang, "cell.step", "n", c.Step)}
	}
	if c.Answer > 0 {
		v.Asked = true
		s.Small = short(c.Answer)
		s.Says += " " + words.Say(lang, "cell.answer", "within", s.Small)
	}
	if c.Mandatory {
		v.Mandatory = true
		s.Mark += "★"
		s.Says += " " + words.Say(lang, "cell.mandatory")
	}
	if len(c.When) > 0 {
		v.Only = true
		s.Class += " only"
		s.Says += " " + words.Say(lang, "cell.only", "when", strings.Join(c.When, "; "))
	}
	s.Says += " " + c.Rule
	return s
}

// short is a length of time in as little room as there is: 90m, 2h.
func short(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}
