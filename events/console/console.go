// Package console is the admin's pages: what is logged and how telling everybody goes, who waits and for how long, which alarms
// are open, what was tried at each endpoint, who is told of what, and which configuration runs. They can have one message sent
// again; everything else an admin changes in the configuration folder.
//
// An admin looks after the hub, not after patients: the pages name them by pseudonym, unless this admin may see them, and show
// neither a carer's words nor a place. Nothing is shown, and nothing done, that is not on record first.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// Access is one look at a page, or one thing that was done, for the audit trail.
type Access struct {
	By          events.Actor
	Name        string // of the person, where By is an organisation
	Interaction string // read, search-type or operation (FHIR's restful interactions)
	Type, ID    string // the FHIR resource that comes nearest to what was asked for
	Patient     string
	Query       string // of a search or an operation, without identifiers
	Refused     events.ErrorKind
	From        string // the client's network address, without port
	At          time.Time
}

// Recipient is somebody who can be told, and how telling them goes at this hub.
type Recipient struct {
	ID, Name string
	Waiting  int           // messages neither told nor given up
	Parked   int           // of these, those that wait on disk
	Oldest   time.Duration // age of the oldest
	Channels []Channel
}

// Channel is one way of reaching a recipient.
type Channel struct {
	events.Channel
	Down     bool // it fails again and again, or is paused
	Paused   time.Time
	Unproven bool // it has not answered the hub's challenge at its present address
	Logged   bool // it has a delivery log
	Again    bool // a message can be sent there again
}

// Config is the configuration that runs, and what became of the newest edit.
type Config struct {
	Running string // hash of it all
	Rules   string // hash of its rules, as each event records it
	Since   time.Time
	Gaps    []string // what is wrong with what runs, such as whom nothing reaches, in the words of carehub check
	Failed  []string // what is wrong with an edit that was refused since, in the words of carehub check
	Kept    bool     // what runs is the copy that the store has kept, not what the folder says
	Waiting []string // keys of hub.yaml that have changed, and are read at a start only
}

// Options are what the pages need. All are required.
type Options struct {
	Writer page.Writer
	// Required lets only those in who are signed in, and checks that a form is of the hub's own pages.
	Required func(func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc
	// Session is who sends a request. It is asked for as long as a live page is open.
	Session func(*http.Request) (page.Session, bool)
	// Admin reports whether somebody is an admin now. It is asked at each request.
	Admin func(by events.Actor) bool
	// Called is the name of a patient, if this admin may see them; otherwise "".
	Called func(by events.Actor, patient string) string

	// Partitions, Last and At are the log of all events, by their places: see events/stream.
	Partitions func() []events.Partition
	Last       func(ctx context.Context, partition int) (uint64, error)
	At         func(ctx context.Context, at events.Place) (events.Stored, bool, error)
	Find       func(ctx context.Context, event string) (events.Stored, error)
	// Timeline are a patient's newest events, Alarms the newest alarms.
	Timeline func(ctx context.Context, patient string, most int) ([]events.Stored, error)
	Alarms   func(ctx context.Context, most int) ([]events.Stored, error)
	Receipts func(ctx context.Context, st events.Stored) ([]events.Receipt, error)
	// Barred reports whether the rules no longer let somebody be told of an event whose plan names them.
	Barred func(rec *events.Record, recipient string) bool
	// Words are the fixed ones about a recipient.
	Words func(lang page.Lang, r events.Receipt, now time.Time, zone *time.Location) string

	Recipients func() []Recipient
	// Name is what a recipient is called; "" for "".
	Name func(recipient string) string
	// Attempts are the newest at an endpoint, the oldest of them first. Errors are *events.Error.
	Attempts func(ctx context.Context, recipient, channel string, most int) ([]events.Attempt, error)
	// MayRepeat is nil where an event may be sent to a recipient once more: what was withdrawn or taken back may not.
	MayRepeat func(ctx context.Context, st events.Stored, recipient string) error
	// Redeliver sends one event to an endpoint once more, under the same ids. The result is events.Delivered, or the reason it was
	// not. Errors are *events.Error.
	Redeliver func(ctx context.Context, event, recipient, channel string) (result string, err error)

	Patients func() []string // that have rules, sorted
	// Told is who is told of a patient, and Watchers who hears of it when somebody could not be.
	Told     func(patient string) (told []Told, known bool)
	Watchers func() []string

	Config func() Config
	Ready  func() (ok bool, why string)
	Shared bool // other hubs work on the same store
	// Audit returns once an access is on record. Nothing is shown or done before.
	Audit    func(ctx context.Context, a Access) error
	Zone     func() *time.Location
	Clock    func() time.Time
	Draining <-chan struct{} // closed when the server stops: live pages then end
	Log      *slog.Logger
}

// Pages are the admin's pages.
type Pages struct {
	Options
	streams chan struct{} // one for each live page
}

// mostStreams is how many live pages there may be at once; the others look again now and then.
const mostStreams = 32

// New returns the pages.
func New(o Options) *Pages { return &Pages{Options: o, streams: make(chan struct{}, mostStreams)} }

const (
	storeFor = 10 * time.Second // one page's looks into the store
	sendFor  = time.Minute      // an attempt that somebody waits for
)

// door is one page: what a look at it is on the record, and what answers.
type door struct {
	as   Access
	show func(http.ResponseWriter, *http.Request, page.Session)
}

// Routes are the addresses of the pages.
func (p *Pages) Routes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	search := func(of, query string) Access { return Access{Interaction: "search-type", Type: of, Query: query} }
	read := func(of string) Access { return Access{Interaction: "read", Type: of} }
	for pattern, d := range map[string]door{
		"GET /admin":                                  {search("Communication", ""), p.home},
		"GET /admin/rows":                             {search("Communication", ""), p.rows},
		"GET /admin/live":                             {search("Communication", ""), p.live},
		"GET /admin/events/{event}":                   {read("Communication"), p.event},
		"GET /admin/recipients":                       {search("Endpoint", ""), p.recipients},
		"GET /admin/recipients/{recipient}/{channel}": {search("Communication", "log"), p.attempts},
		"GET /admin/recipients/{recipient}/{channel}/redeliver/{event}":  {read("Communication"), p.confirm},
		"POST /admin/recipients/{recipient}/{channel}/redeliver/{event}": {Access{Interaction: "operation", Type: "Communication", Query: "redeliver"}, p.redeliver},
		"GET /admin/alarms":             {search("Communication", "alarms"), p.alarms},
		"GET /admin/patients":           {search("Patient", ""), p.patients},
		"GET /admin/patients/{patient}": {read("CareTeam"), p.patient},
	} {
		handle(pattern, p.Required(p.guard(d)))
	}
	handle("GET /admin/static/{file}", serveScript)
}

// guard lets only admins in, and puts each look on record before there is anything to see.
func (p *Pages) guard(d door) func(http.ResponseWriter, *http.Request, page.Session) {
	return func(w http.ResponseWriter, r *http.Request, who page.Session) {
		admin := p.Admin(who.Actor)
		if err := p.record(r, who, d.as, admin); err != nil {
			p.unrecorded(w, r, who, err)
			return
		}
		if !admin {
			p.Writer.Write(w, r, http.StatusNotFound, layoutTemplate, page.Content{Title: words.Say(page.LangOf(r), "missing.title"), Session: who, Body: body{}})
			return
		}
		d.show(w, r, who)
	}
}

// unrecorded says that a look cannot be put on record, and shows nothing else, for nothing may be seen then.
func (p *Pages) unrecorded(w http.ResponseWriter, r *http.Request, who page.Session, err error) {
	lang := page.LangOf(r)
	p.Log.Error("an admin's page", "cause", err.Error())
	w.Header().Set("Retry-After", "5")
	p.Writer.Write(w, r, http.StatusServiceUnavailable, layoutTemplate, page.Content{Title: words.Say(lang, "away.title"),
		Problem: words.Say(lang, "away.problem"), Session: who, Body: body{}})
}

// record puts a look at what a request's address names on record.
func (p *Pages) record(r *http.Request, who page.Session, a Access, admin bool) error {
	a.By, a.At = who.Actor, p.Clock()
	if who.Actor.Kind == events.System {
		a.Name = who.Name
	}
	a.From, _, _ = net.SplitHostPort(r.RemoteAddr)
	if id := r.PathValue("event"); events.ValidID(id) {
		a.ID = id
		if patient := events.PatientOf(id); patient != events.HubPatient {
			a.Patient = patient
		}
	}
	if id := r.PathValue("patient"); events.ValidPatient(id) {
		a.ID, a.Patient = id, id
	}
	if !admin {
		a.Refused = events.NotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	if err := p.Audit(ctx, a); err != nil {
		return &events.Error{Kind: events.Unavailable, Message: "not on record", Err: err}
	}
	return nil
}

// body is what the template gets.
type body struct {
	Form   string // of the page; empty: there is nothing to show
	Banner *banner
	At     any
}

// banner says that the newest edit of the configuration was refused, or else that there are gaps in what runs.
type banner struct {
	Title, Says string
	Problems    []string
	More        string
}

// mostProblems is how many a banner shows.
const mostProblems = 10

// bannerOf is nil where there is nothing to say.
func bannerOf(lang page.Lang, c Config) *banner {
	b := &banner{Title: words.Say(lang, "failed.title"), Says: words.Say(lang, "failed.say"), Problems: c.Failed}
	switch {
	case len(c.Failed) == 0 && len(c.Gaps) == 0:
		return nil
	case len(c.Failed) == 0:
		b = &banner{Title: words.Say(lang, "gaps.title"), Says: words.Say(lang, "gaps.say"), Problems: c.Gaps}
	case c.Kept:
		b.Says = words.Say(lang, "failed.kept")
	}
	if more := len(b.Problems) - mostProblems; more > 0 {
		b.Problems, b.More = b.Problems[:mostProblems], words.Count(lang, "entry.more", more)
	}
	return b
}

// show writes one of the pages.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, who page.Session, status int, c page.Content, form string, at any) {
	lang := page.LangOf(r)
	c.Session, c.Window = who, words.Say(lang, "window")
	for _, link := range []struct{ href, key string }{{"/admin", "nav.now"}, {"/admin/recipients", "nav.recipients"}, {"/admin/alarms", "nav.alarms"},
		{"/admin/patients", "nav.patients"}} {
		c.Nav = append(c.Nav, page.Link{Href: link.href, Text: words.Say(lang, link.key), Here: r.URL.Path == link.href})
	}
	c.Body = body{form, bannerOf(lang, p.Config()), at}
	p.Writer.Write(w, r, status, layoutTemplate, c)
}

// refuse says that there is nothing to show, or nothing just now.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, who page.Session, err error) {
	lang := page.LangOf(r)
	refused, ok := errors.AsType[*events.Error](err)
	if !ok {
		refused = &events.Error{Kind: events.Internal, Err: err}
	}
	switch refused.Kind {
	case events.NotFound, events.Forbidden, events.Gone:
		p.show(w, r, who, http.StatusNotFound, page.Content{Title: words.Say(lang, "missing.title")}, "", nil)
	case events.Conflict:
		p.show(w, r, who, http.StatusConflict, page.Content{Title: words.Say(lang, "paused.title"), Problem: words.Say(lang, "paused.problem")}, "", nil)
	default:
		p.Log.Error("an admin's page", "error", string(refused.Kind), "cause", refused.Err)
		w.Header().Set("Retry-After", "5")
		p.show(w, r, who, http.StatusServiceUnavailable, page.Content{Title: words.Say(lang, "away.title"), Problem: words.Say(lang, "away.problem")}, "", nil)
	}
}

func missing() error { return &events.Error{Kind: events.NotFound, Message: "There is no such page."} }

func (p *Pages) now() time.Time { return p.Clock().In(p.Zone()) }
