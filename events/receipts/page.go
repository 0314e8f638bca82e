package receipts

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// LinkLife is how long after an event was logged a link to it says more than whom to phone.
const LinkLife = 14 * 24 * time.Hour

// Page is GET /m/{token}: what a recipient reads behind their link. It runs no scripts, and no request changes anything,
// because mail scanners open links too (hazard: a robot acknowledges).
type Page struct {
	Links Links
	// Open returns the message of an event, or an error if it is gone or the recipient may no longer read it.
	Open  func(ctx context.Context, event, recipient string) (fhir.Message, error)
	Hub   func() events.Sender
	Zone  func() *time.Location
	Clock func() time.Time
	Log   *slog.Logger
}

//go:embed page.css
var style string

//go:embed page.html
var layout string

var page = template.Must(template.New("page").Parse(layout))

// policy lets the page load nothing but its own style, and nobody frame it (CSP Level 3).
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff",
	} {
		w.Header().Set(name, value)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p.write(w, http.StatusMethodNotAllowed, letter{Title: "This page can only be read"})
		return
	}
	status, content := p.letter(r)
	p.write(w, status, content)
}

// letter is what the page says. Without a Kind it says only whom to phone.
type letter struct {
	Style                 template.CSS
	Tel                   template.URL
	Hub                   events.Sender
	Title, Kind, Ref      string
	Who, Born, NHSNumber  string
	When, Recorded, Place string
	Words, Reporter       string
	Cautions              []string
	Alarm, Carer          bool
}

func (p *Page) write(w http.ResponseWriter, status int, l letter) {
	l.Style, l.Hub = template.CSS(style), p.Hub() // #nosec G203 -- our own file, embedded
	l.Tel = tel(l.Hub.Phone)
	var b strings.Builder
	if err := page.Execute(&b, l); err != nil {
		p.Log.Error("page", "err", err)
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a reader who is gone can open it again
}

// letter looks up what the token of the request stands for.
func (p *Page) letter(r *http.Request) (int, letter) {
	event, recipient, ok := p.Links.Open(r.PathValue("token"))
	if !ok {
		return http.StatusNotFound, letter{Title: "This link does not work"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	m, err := p.Open(ctx, event, recipient)
	switch kind := events.KindOf(err); {
	case err != nil && (kind == events.NotFound || kind == events.Forbidden):
		return http.StatusNotFound, letter{Title: "This link does not work"}
	case err != nil:
		p.Log.Error("page cannot be read", "event", event, "err", err)
		return http.StatusServiceUnavailable, letter{Title: "This cannot be shown just now", Ref: events.Ref(event)}
	case p.Clock().Sub(m.Event.Recorded) >= LinkLife:
		return http.StatusGone, letter{Title: "This link has ended", Ref: events.Ref(event)}
	}
	return http.StatusOK, p.about(m)
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
func (p *Page) about(m fhir.Message) letter {
	e := m.Event
	l := letter{
		Title: titles[e.Kind], Kind: string(e.Kind), Ref: events.Ref(e.ID), Who: cmp.Or(m.Patient.Name, "Name not given"),
		NHSNumber: spaced(m.Patient.NHSNumber), When: p.when(e.Occurred), Recorded: p.when(e.Recorded), Place: e.Place, Words: e.Words,
		Alarm: e.Kind == events.Alarm, Carer: m.By.Kind == events.Carer, Reporter: reporter(m.By),
	}
	if born, err := time.Parse(time.DateOnly, m.Patient.Born); err == nil {
		l.Born = born.Format("2 January 2006")
	}
	if e.Because == events.Fall {
		l.Title += " after a fall"
	}
	if e.Test {
		l.Title = "TEST: " + l.Title
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
	return l
}

// when names the weekday and the zone, so that no reader has to guess either (hazard: wrong time).
func (p *Page) when(t time.Time) string {
	return t.In(p.Zone()).Format("Monday 2 January 2006, 15:04 MST")
}

// tel is a phone number as a URI (RFC 3966): digits and a leading plus are all that it keeps.
func tel(phone string) template.URL {
	return template.URL("tel:" + strings.Map(func(r rune) rune { // #nosec G203 -- nothing but digits and plus is left
		if r == '+' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, phone))
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
