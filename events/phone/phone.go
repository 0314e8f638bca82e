// Package phone is the carer's pages: whom they log for, what happened, where and when, who will be told, and then who has
// been. They work without scripts; with them they are live, and a log that finds no signal waits on the phone.
//
// Nothing of what a carer writes is ever part of an address. An event is made once for each time that the pages are gone
// through: its key is made with the first of them, so that a second tap, a reload or the way back makes no second event.
package phone

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// Patient is somebody a carer logs for, or may see.
type Patient struct {
	ID       string
	Name     string   // as the hub knows them
	Born     string   // YYYY-MM-DD
	Died     string   // YYYY-MM-DD; empty while they live
	As       []string // what this carer calls them
	Log, See bool
	Ended    bool // this carer's authority to log has ended: it is passed on with a mark
}

// Entry is what a carer logs.
type Entry struct {
	Patient  string
	Kind     events.Kind
	Because  events.Kind
	Occurred string // RFC 3339; empty: now
	Place    string
	Words    string
	Key      string
	Another  bool // it is not the same as what was logged a few minutes ago
	// Documents are what is attached, from Kept.
	Documents []events.Document
}

// Unfit is the error of Keep and Kept where a file cannot be attached. Why is a word that the pages have a sentence for.
type Unfit struct{ Why string }

func (u *Unfit) Error() string { return "the file cannot be attached: " + u.Why }

// ErrRepeat is the error of Log where the same was logged a few minutes ago, by anybody, and the entry does not say that it is
// another. Nothing was saved.
var ErrRepeat = errors.New("the same was logged a few minutes ago")

// Plan is what would come of an entry.
type Plan struct {
	Stored events.Stored
	About  events.Patient
	// Same is the event that this may be a repeat of; nil if there is none. Seen says that the carer may see it.
	Same *events.Event
	Seen bool
}

// Contact is somebody to phone.
type Contact struct{ Name, Phone string }

// Options are what the pages need. All are required.
type Options struct {
	Writer page.Writer
	// Required lets only those in who are signed in, and checks that a form is of the hub's own pages.
	Required func(func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc
	// Session is who sends a request. It is asked for as long as a live page is open.
	Session func(*http.Request) (page.Session, bool)
	// Patients are those that somebody may log for or see, sorted by what they call them.
	Patients func(by events.Actor) []Patient
	// Preview says what would come of an entry, and stores nothing; Log stores it. Errors are *events.Error.
	Preview func(ctx context.Context, by events.Actor, e Entry) (Plan, error)
	Log     func(ctx context.Context, by events.Actor, e Entry) (events.Stored, error)
	// Keep cleans a file and stores it for the event that this key makes, and returns once that is durable; Kept are those that were kept
	// for it before. Errors are *Unfit and *events.Error.
	Keep func(ctx context.Context, by events.Actor, patient, key string, kind events.DocumentKind, file []byte) (events.Document, error)
	Kept func(ctx context.Context, by events.Actor, patient, key string, ids []string) ([]events.Document, error)
	// Document is what an event that somebody may see has attached, the n-th, with its content; it returns once that is on record.
	Document func(r *http.Request, by events.Actor, st events.Stored, id string) (d events.Document, n int, content []byte, err error)
	// Undo takes back what somebody has logged, before anybody is told: Conflict once it has gone, NotFound for others' events.
	Undo func(ctx context.Context, by events.Actor, id string) error
	// Correct has everybody who was told of an event told that it was wrong, and returns the id of the correction: Invalid where it does
	// not make sense, Conflict where it was corrected in another way before.
	Correct func(ctx context.Context, by events.Actor, st events.Stored, what events.Correction, occurred time.Time) (id string, err error)
	// Find is an event that somebody may see, an *events.Error of kind NotFound for any other. Own is also one that they logged
	// themselves and may not see any more.
	Find, Own func(ctx context.Context, by events.Actor, id string) (events.Stored, error)
	// Recent are a patient's newest events that somebody may see.
	Recent   func(ctx context.Context, by events.Actor, patient string, most int) ([]events.Stored, error)
	Receipts func(ctx context.Context, st events.Stored) ([]events.Receipt, error)
	Watch    func(event string) (changed <-chan struct{}, stop func())
	// Words are what a carer reads about a recipient; Message about the event as a whole.
	Words   func(lang page.Lang, r events.Receipt, now time.Time, zone *time.Location) string
	Message func(lang page.Lang, e events.Event, phones []string) string
	// Contacts are whom to phone about a patient.
	Contacts func(patient string) []Contact
	// Missing tells the people who look after the hub that somebody is missing among those who are told of a patient.
	Missing func(ctx context.Context, by events.Actor, patient string) error
	// Name is what a carer or system is called.
	Name func(by events.Actor) string
	// Push reports whether somebody can be told by a note on their phone, if it is set up for that.
	Push func(by events.Actor) bool
	// Passkey reports whether somebody could have a passkey and has none yet.
	Passkey func(by events.Actor) bool
	// Admin reports whether somebody may look after the hub.
	Admin    func(by events.Actor) bool
	Zone     func() *time.Location
	Clock    func() time.Time
	Draining <-chan struct{} // closed when the server stops: live pages then end
	Logger   *slog.Logger
}

// Pages are the carer's pages.
type Pages struct {
	Options
	streams chan struct{} // one for each live page
	uploads chan struct{} // one for each form with files that is being read
}

// mostStreams is how many live pages there may be at once; the others look again now and then.
const mostStreams = 1024

// New returns the pages.
func New(o Options) *Pages {
	return &Pages{Options: o, streams: make(chan struct{}, mostStreams), uploads: make(chan struct{}, mostUploads)}
}

//go:embed words.en.json words.cy.json
var catalogue embed.FS

var words = page.Catalogue(catalogue)

const (
	storeFor = 10 * time.Second // one look into the store, or one write
	maxForm  = 64 << 10         // bytes
)

// Routes are the addresses of the pages.
func (p *Pages) Routes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	for pattern, do := range map[string]func(http.ResponseWriter, *http.Request, page.Session){
		"GET /{$}":                    p.home,
		"GET /log/{patient}":          p.what,
		"GET /log/{patient}/when":     p.when,
		"POST /log/{patient}/when":    p.when, // back from the check, with what was written
		"POST /log/{patient}/check":   p.check,
		"POST /log/{patient}/send":    p.send,
		"GET /log/{patient}/phones":   p.phones,
		"POST /log/{patient}/missing": p.askAdmin,
		"GET /e/{event}":              p.event,
		"GET /e/{event}/rows":         p.rows,
		"POST /e/{event}/undo":        p.undo,
		"GET /e/{event}/mistake":      p.mistake,
		"POST /e/{event}/mistake":     p.correct,
		"GET /e/{event}/live":         p.live,

		"GET /e/{event}/document/{document}": p.document,
	} {
		handle(pattern, p.uploading(p.Required(do)))
	}
	p.staticRoutes(handle)
}

// patient is the one of a request's address, if this carer may log for them or, with see, see them.
func (p *Pages) patient(w http.ResponseWriter, r *http.Request, who page.Session) (Patient, bool) {
	for _, one := range p.Patients(who.Actor) {
		if one.ID == r.PathValue("patient") && one.Log {
			return one, true
		}
	}
	p.missing(w, r, who)
	return Patient{}, false
}

// called is what a carer calls a patient, with what tells two of a name apart.
func (one Patient) called() string {
	if len(one.As) > 0 {
		return one.As[0]
	}
	return cmp.Or(one.Name, one.ID)
}

// about is "Thomas Example, born 1941" (hazard: wrong patient).
func (one Patient) about(lang page.Lang) string {
	switch {
	case one.Name == "": // their authority has ended
		return one.called()
	case len(one.Born) < 4:
		return one.Name
	case one.Died != "":
		died, _ := time.Parse(time.DateOnly, one.Died) // the configuration was checked
		return words.Say(lang, "about.died", "name", one.Name, "year", one.Born[:4], "day", lang.Date(died))
	}
	return words.Say(lang, "about", "name", one.Name, "year", one.Born[:4])
}

// show writes one of the pages.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, who page.Session, status int, c page.Content, form string, body any) {
	lang := page.LangOf(r)
	c.Session, c.Scripts, c.Manifest = who, []string{scriptPath}, manifestPath
	c.Window = words.Say(lang, "window")
	c.Nav = []page.Link{{Href: "/", Text: words.Say(lang, "home"), Here: r.URL.Path == "/"}}
	c.Body = struct {
		Form    string
		Who     string
		At      any
		Choices []choice
		Push    bool
		Passkey bool
		Admin   bool
	}{form, who.Actor.ID, body, choices, p.Push(who.Actor), p.Passkey(who.Actor), p.Admin(who.Actor)}
	p.Writer.Write(w, r, status, layoutTemplate, c)
}

func (p *Pages) missing(w http.ResponseWriter, r *http.Request, who page.Session) {
	p.show(w, r, who, http.StatusNotFound, page.Content{Title: words.Say(page.LangOf(r), "missing")}, "missing", nil)
}

// failed says that something could not be done, in the words of the error where it has any for people.
func (p *Pages) failed(w http.ResponseWriter, r *http.Request, who page.Session, err error) {
	refused, ok := errors.AsType[*events.Error](err)
	if !ok {
		refused = &events.Error{Kind: events.Internal, Err: err}
	}
	if events.IsMissing(refused) || refused.Kind == events.Forbidden {
		p.missing(w, r, who)
		return
	}
	p.Logger.Error("a carer's page", "error", string(refused.Kind), "cause", refused.Err)
	p.show(w, r, who, refused.Kind.Status(), page.Content{Title: words.Say(page.LangOf(r), "away.title"), Problem: words.Say(page.LangOf(r), "away.problem")}, "missing", nil)
}
