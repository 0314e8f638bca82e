package receipts

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/page"
)

// LinkLife is how long after an event was logged a link to it says more than whom to phone.
const LinkLife = 14 * 24 * time.Hour

// Page is /m/{token}: what a recipient reads behind their link, once they have given the code of their inbox. It runs no
// scripts, and opening it changes nothing, because mail scanners open links too (hazard: a robot acknowledges).
type Page struct {
	Links Links
	// Open returns the message of an event, or an error if it is gone or the recipient may no longer read it.
	Open   func(ctx context.Context, event, recipient string) (fhir.Message, error)
	Porter Porter
	Writer page.Writer
	Zone   func() *time.Location
	Clock  func() time.Time
	Log    *slog.Logger
}

// Porter knows who may read what is for a recipient.
type Porter interface {
	// Knows reports whether whoever sends a request has given the recipient's code of late.
	Knows(r *http.Request, recipient string) bool
	// Admit takes a code, given behind a link, and has the answer carry what Knows will know them by. The message of its
	// *events.Error is for whoever gave it.
	Admit(w http.ResponseWriter, r *http.Request, recipient, link, code string) error
	// Inbox is the address of the page where the recipient's inbox is looked after; empty if there is none.
	Inbox(recipient string) string
}

//go:embed page.html
var layout string

var layoutTemplate = page.Parse(layout, nil)

// maxForm bounds what is read of a form, in bytes.
const maxForm = 4 << 10

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		p.write(w, r, http.StatusMethodNotAllowed, page.Content{Title: "This page can only be read"})
		return
	}
	link := r.PathValue("token")
	m, recipient, status, refusal := p.find(r, link)
	switch {
	case status != http.StatusOK:
		p.write(w, r, status, refusal)
	case r.Method == http.MethodPost:
		p.admit(w, r, m, recipient, link)
	case p.Porter.Knows(r, recipient):
		p.write(w, r, http.StatusOK, p.about(m, recipient))
	default:
		p.write(w, r, http.StatusOK, ask(m, ""))
	}
}

// admit takes the code and leads back to the page.
func (p *Page) admit(w http.ResponseWriter, r *http.Request, m fhir.Message, recipient, link string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := p.Porter.Admit(w, r, recipient, link, r.PostFormValue("code"))
	if err == nil {
		w.Header().Set("Location", link) // relative to this page, wherever a proxy has put it
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	status, words := http.StatusServiceUnavailable, "This cannot be shown just now. Please try again, or phone us."
	if refused, ok := errors.AsType[*events.Error](err); ok && (refused.Kind == events.Invalid || refused.Kind == events.Forbidden) {
		status, words = http.StatusForbidden, refused.Message
	} else {
		p.Log.Error("a code cannot be checked", "event", m.Event.ID, "err", err)
	}
	p.write(w, r, status, ask(m, words))
}

// letter is what the page says. Without a Kind it asks for the code, or says only whom to phone.
type letter struct {
	Ask                   bool
	Inbox                 string // where the inbox is looked after
	Kind                  string
	Who, Born, NHSNumber  string
	When, Recorded, Place string
	Words, Reporter       string
	Cautions              []string
	Alarm, Carer          bool
}

func (p *Page) write(w http.ResponseWriter, r *http.Request, status int, c page.Content) {
	if c.Body == nil {
		c.Body = letter{}
	}
	p.Writer.Write(w, r, status, layoutTemplate, c)
}

// window is what the browser's history says of every message.
const window = "A message about someone in your care"

// ask asks for the code, and says nothing of the message.
func ask(m fhir.Message, problem string) page.Content {
	return page.Content{Title: window, Problem: problem, Ref: events.Ref(m.Event.ID), Body: letter{Ask: true}}
}

// find looks up what a link stands for.
func (p *Page) find(r *http.Request, link string) (m fhir.Message, recipient string, status int, refusal page.Content) {
	event, recipient, ok := p.Links.Open(link)
	if !ok {
		return m, "", http.StatusNotFound, page.Content{Title: "This link does not work"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	m, err := p.Open(ctx, event, recipient)
	switch kind := events.KindOf(err); {
	case err != nil && (kind == events.NotFound || kind == events.Forbidden):
		return m, "", http.StatusNotFound, page.Content{Title: "This link does not work"}
	case err != nil:
		p.Log.Error("page cannot be read", "event", event, "err", err)
		return m, "", http.StatusServiceUnavailable, page.Content{Title: "This cannot be shown just now", Ref: events.Ref(event)}
	case p.Clock().Sub(m.Event.Recorded) >= LinkLife:
		return m, "", http.StatusGone, page.Content{Title: "This link has ended", Ref: events.Ref(event)}
	}
	return m, recipient, http.StatusOK, page.Content{}
}

var titles = map[events.Kind]string{
	events.Admission:  "Admitted to hospital",
	events.Attendance: "Seen, but not admitted",
	events.Discharge:  "Discharged from hospital",
	events.Fall:       "A fall",
	events.Alarm:      "Somebody could not be told",
}

// cautions are what a reader must know of how an event came in (hazards: stale event, wrong time, mistaken carer).
var cautions = map[events.Flag]string{
	events.FlagLate:           "Late information: this was logged two hours or more after it happened.",
	events.FlagClock:          "The time is uncertain: the reporter's clock was wrong, so the time shown is when it was logged.",
	events.FlagRate:           "This reporter is logging more often than usual. Please check.",
	events.FlagAuthorityEnded: "The reporter's authority to log for this person has ended.",
	events.FlagMatched:        "A person decided whom this is about: the details of the patient that came with it did not agree with what is known here.",
	events.FlagRepeat:         "This may be a repeat: the same was logged less than 15 minutes before.",
}

// about fills in what a message says.
func (p *Page) about(m fhir.Message, recipient string) page.Content {
	e := m.Event
	title := titles[e.Kind]
	l := letter{
		Kind: string(e.Kind), Inbox: p.Porter.Inbox(recipient), Who: cmp.Or(m.Patient.Name, "Name not given"),
		NHSNumber: spaced(m.Patient.NHSNumber), When: p.when(e.Occurred), Recorded: p.when(e.Recorded), Place: e.Place, Words: e.Words,
		Alarm: e.Kind == events.Alarm, Carer: m.By.Kind == events.Carer, Reporter: reporter(m.By),
	}
	if born, err := time.Parse(time.DateOnly, m.Patient.Born); err == nil {
		l.Born = born.Format("2 January 2006")
	}
	if e.Because == events.Fall {
		title += " after a fall"
	}
	if e.Test {
		title = "TEST: " + title
		l.Cautions = append(l.Cautions, "This is a test. It did not happen.")
	}
	for _, f := range e.Flags {
		if words, ok := cautions[f]; ok {
			l.Cautions = append(l.Cautions, words)
		}
	}
	if e.Said != nil {
		l.Cautions = append(l.Cautions, "The time given by the reporter was "+p.when(*e.Said)+".")
	}
	return page.Content{Title: title, Window: window, Ref: events.Ref(e.ID), Body: l}
}

// when names the weekday and the zone, so that no reader has to guess either (hazard: wrong time).
func (p *Page) when(t time.Time) string {
	return t.In(p.Zone()).Format("Monday 2 January 2006, 15:04 MST")
}

// spaced is an NHS number as people read it: 999 000 0018.
func spaced(n string) string {
	if len(n) != 10 {
		return n
	}
	return n[:3] + " " + n[3:6] + " " + n[6:]
}

func reporter(by events.Person) string {
	who := cmp.Or(by.Name, by.ID)
	if by.Relationship != "" {
		who += ", " + by.Relationship
	}
	return who
}
