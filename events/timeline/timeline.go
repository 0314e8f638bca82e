// Package timeline is a patient's events as those may see them who may: the list of them with who has been told, a card to show
// to staff, and a letter about one event to hand over on paper, as a page to print and as a PDF. Each needs the right to see,
// and nothing is shown that cannot be put on record. No page has a script or an identifier in its address or title.
package timeline

import (
	"context"
	"embed"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// Contact is somebody to phone.
type Contact struct{ Name, Phone string }

// Access is one look at a patient's data, for the audit trail.
type Access struct {
	By          events.Actor
	Interaction string // read or search-type (FHIR's restful interactions)
	Type, ID    string // the FHIR resource that comes nearest to what was asked for
	Patient     string
	Refused     events.ErrorKind
	From        string // the client's network address, without port
	At          time.Time
}

// Options are what the pages need. All are required.
type Options struct {
	Writer page.Writer
	// Required lets only those in who are signed in.
	Required func(func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc
	// Patient is who a pseudonym stands for, if somebody may see them now.
	Patient func(by events.Actor, patient string) (events.Patient, bool)
	// MaySee says whether somebody may see one event.
	MaySee   func(by events.Actor, rec events.Record) bool
	Find     func(ctx context.Context, event string) (events.Stored, error)
	Timeline func(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
	Receipts func(ctx context.Context, st events.Stored) ([]events.Receipt, error)
	// Words are what a carer reads about a recipient.
	Words    func(lang page.Lang, r events.Receipt, now time.Time, zone *time.Location) string
	Contacts func(patient string) []Contact
	// Name is what whoever logged an event is called.
	Name func(by events.Actor) string
	// Audit returns once an access is on record. Nothing is shown before.
	Audit func(ctx context.Context, a Access) error
	Zone  func() *time.Location
	Clock func() time.Time
	Log   *slog.Logger
}

// Pages are the pages.
type Pages struct{ Options }

//go:embed words.en.json words.cy.json
var catalogue embed.FS

//go:embed pages.html
var layout string

var (
	words          = page.Catalogue(catalogue)
	layoutTemplate = page.Parse(layout, words)
)

const (
	storeFor = 10 * time.Second // one look into the store
	perPage  = 20               // events of the timeline
	onCard   = 5                // events of the card
	most     = 50               // taken from the store at once, where the reader may not see all of a patient's events
	looks    = 10               // into the store for one page, where the reader may see few of a patient's events
)

// Routes are the addresses of the pages. The letter's is with .pdf behind it that of the PDF.
func (p *Pages) Routes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("GET /p/{patient}", p.Required(p.list))
	handle("GET /p/{patient}/card", p.Required(p.card))
	handle("GET /p/{patient}/letter/{event}", p.Required(p.letter))
}

// body is what a template gets.
type body struct {
	Form     string // list, card, letter; empty: there is nothing to show
	Person   person
	Summary  *summary
	Entries  []entry
	Older    string // address of the events before these
	Contacts []Contact
	At       string // when this was written
	Home     string // address of the timeline
}

// list shows a patient's events, newest first.
func (p *Pages) list(w http.ResponseWriter, r *http.Request, who page.Session) {
	access := Access{Interaction: "search-type", Type: "Communication"}
	patient, ok := p.seen(w, r, who, access)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	var before events.Place
	if id := r.URL.Query().Get("before"); id != "" {
		st, err := p.find(ctx, who, patient.ID, id)
		if err != nil {
			p.refuse(w, r, err)
			return
		}
		before = st.Place()
	}
	lang := page.LangOf(r)
	b := body{Form: "list", Person: p.person(lang, patient), Home: home(patient.ID)}
	more, err := p.entries(ctx, lang, who.Actor, patient.ID, before, perPage, &b)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if more {
		b.Older = b.Home + "?before=" + b.Entries[len(b.Entries)-1].ID
	}
	p.show(w, r, http.StatusOK, page.Content{Title: patient.Name, Window: words.Say(lang, "list.window"), Session: who, Body: b})
}

// card is one screen, and one sheet, to show to staff. It has no sign-out form, so that a phone can keep it to show offline.
func (p *Pages) card(w http.ResponseWriter, r *http.Request, who page.Session) {
	patient, ok := p.seen(w, r, who, Access{Interaction: "read", Type: "Patient", ID: r.PathValue("patient")})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	lang := page.LangOf(r)
	b := body{Form: "card", Person: p.person(lang, patient), Summary: summaryOf(lang, patient.Summary), Contacts: p.Contacts(patient.ID),
		At: lang.Moment(p.now()), Home: home(patient.ID)}
	if _, err := p.entries(ctx, lang, who.Actor, patient.ID, events.Place{}, onCard, &b); err != nil {
		p.refuse(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, page.Content{Title: patient.Name, Window: words.Say(lang, "card.window"), Body: b})
}

// letter is about one event, as a page or a PDF.
func (p *Pages) letter(w http.ResponseWriter, r *http.Request, who page.Session) {
	id, asPDF := strings.CutSuffix(r.PathValue("event"), ".pdf")
	access := Access{Interaction: "read", Type: "Communication"}
	if events.ValidID(id) && events.PatientOf(id) == r.PathValue("patient") {
		access.ID = id
	}
	patient, ok := p.seen(w, r, who, access)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	st, err := p.find(ctx, who, patient.ID, id)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	lang := page.LangOf(r)
	e, err := p.entry(ctx, lang, st)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	b := body{Form: "letter", Person: p.person(lang, patient), Summary: summaryOf(lang, patient.Summary), Entries: []entry{e},
		Contacts: p.Contacts(patient.ID), At: lang.Moment(p.now()), Home: home(patient.ID)}
	if asPDF {
		p.answerPDF(w, r, lang, b)
		return
	}
	title := words.Say(lang, "letter.title")
	p.show(w, r, http.StatusOK, page.Content{Title: title, Window: title, Body: b, Ref: e.Ref})
}

// seen is the patient of a request's address, if the reader may see them and that is on record.
func (p *Pages) seen(w http.ResponseWriter, r *http.Request, who page.Session, a Access) (events.Patient, bool) {
	id := r.PathValue("patient")
	patient, ok := p.Patient(who.Actor, id)
	a.By, a.At = who.Actor, p.Clock()
	a.From, _, _ = net.SplitHostPort(r.RemoteAddr)
	if events.ValidPatient(id) {
		a.Patient = id
	}
	if !ok {
		a.Refused = events.NotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	if err := p.Audit(ctx, a); err != nil {
		p.refuse(w, r, &events.Error{Kind: events.Unavailable, Message: "not on record", Err: err})
		return events.Patient{}, false
	}
	if !ok {
		p.refuse(w, r, missing())
	}
	return patient, ok
}

func missing() error { return &events.Error{Kind: events.NotFound, Message: "There is no such page."} }

// find is one of a patient's events, if the reader may see it.
func (p *Pages) find(ctx context.Context, who page.Session, patient, id string) (events.Stored, error) {
	if !events.ValidID(id) || events.PatientOf(id) != patient {
		return events.Stored{}, missing()
	}
	st, err := p.Find(ctx, id)
	if err == nil && !p.MaySee(who.Actor, st.Record) {
		err = missing()
	}
	return st, err
}

// refuse says that there is nothing to show, or nothing just now.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	title, status := "missing.title", http.StatusNotFound
	if events.KindOf(err) != events.NotFound {
		title, status = "away.title", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
		p.Log.Error("timeline", "error", err.Error())
	}
	p.show(w, r, status, page.Content{Title: words.Say(page.LangOf(r), title), Body: body{}})
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, c page.Content) {
	c.Nav = []page.Link{{Href: "/", Text: words.Say(page.LangOf(r), "home")}}
	p.Writer.Write(w, r, status, layoutTemplate, c)
}

func (p *Pages) now() time.Time { return p.Clock().In(p.Zone()) }

func home(patient string) string { return "/p/" + patient }
