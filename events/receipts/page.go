package receipts

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/page"
)

// LinkLife is how long after an event was logged a link to it says more than whom to phone.
const LinkLife = 14 * 24 * time.Hour

// Page is /m/{token}: what a recipient reads behind their link, once they have given the code of their inbox. It runs no
// scripts, and opening it changes nothing, because mail scanners open links too (hazard: a robot acknowledges). A person
// answers by a form on it.
type Page struct {
	Links Links
	// Open returns the message of an event, or an error if it is gone or the recipient may no longer read it.
	Open   func(ctx context.Context, event, recipient string) (fhir.Message, error)
	Porter Porter
	// Answer stores what a named person answers for a recipient; the error is Invalid where they must write something else. Answered
	// is the newest answer, nil if there is none.
	Answer   func(ctx context.Context, event, recipient string, ack events.Ack) error
	Answered func(ctx context.Context, event, recipient string) *events.Ack
	// Has are the documents of an event that a recipient may have; Content gives one out, once that is on record.
	Has     func(ctx context.Context, event, recipient string) []events.Document
	Content func(r *http.Request, event, recipient, document string) (d events.Document, n int, content []byte, err error)
	Writer  page.Writer
	Zone    func() *time.Location
	Clock   func() time.Time
	Log     *slog.Logger
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

var layoutTemplate = page.Parse(layout, words)

// maxForm bounds what is read of a form, in bytes.
const maxForm = 4 << 10

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	say := p.speaks(r)
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		p.write(w, r, http.StatusMethodNotAllowed, page.Content{Title: say("letter.read-only")})
		return
	}
	link := r.PathValue("token")
	m, recipient, status, refusal := p.find(r, link)
	switch {
	case status != http.StatusOK:
		p.write(w, r, status, refusal)
	case r.Method == http.MethodPost:
		p.post(w, r, m, recipient, link)
	case p.Porter.Knows(r, recipient):
		p.write(w, r, http.StatusOK, p.about(r, m, recipient, events.Ack{}, ""))
	default:
		p.write(w, r, http.StatusOK, p.ask(r, m, ""))
	}
}

// speaks is the catalogue in the reader's language.
func (p *Page) speaks(r *http.Request) func(key string, pairs ...any) string {
	lang := page.LangOf(r)
	return func(key string, pairs ...any) string { return words.Say(lang, key, pairs...) }
}

// post takes the code or, from whoever has given it, an answer.
func (p *Page) post(w http.ResponseWriter, r *http.Request, m fhir.Message, recipient, link string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	_ = r.ParseForm() // what cannot be read is no answer
	if !r.PostForm.Has("name") || !p.Porter.Knows(r, recipient) {
		p.admit(w, r, m, recipient, link)
		return
	}
	p.answer(w, r, m, recipient, link)
}

// admit takes the code and leads back to the page.
func (p *Page) admit(w http.ResponseWriter, r *http.Request, m fhir.Message, recipient, link string) {
	err := p.Porter.Admit(w, r, recipient, link, r.PostFormValue("code"))
	if err == nil {
		page.Redirect(w, link) // relative to this page, wherever a proxy has put it
		return
	}
	status, said := http.StatusServiceUnavailable, p.speaks(r)("letter.try-again")
	if refused, ok := errors.AsType[*events.Error](err); ok && (refused.Kind == events.Invalid || refused.Kind == events.Forbidden) {
		status, said = http.StatusForbidden, refused.Message
	} else {
		p.Log.Error("a code cannot be checked", "event", m.Event.ID, "err", err)
	}
	p.write(w, r, status, p.ask(r, m, said))
}

// answer takes what a named person answers. That the page was opened is none: mail scanners do that too.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, m fhir.Message, recipient, link string) {
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	ack := events.Ack{Answer: events.Answer(field("answer")), Name: field("name"), Role: field("role"), Line: field("line"),
		At: p.Clock().UTC().Truncate(time.Millisecond), Via: "page"}
	err := p.Answer(r.Context(), m.Event.ID, recipient, ack)
	switch {
	case err == nil:
		page.Redirect(w, link)
	case events.KindOf(err) == events.Invalid:
		p.write(w, r, http.StatusUnprocessableEntity, p.about(r, m, recipient, ack, p.speaks(r)("letter.missing")))
	default:
		p.Log.Error("an answer cannot be stored", "event", m.Event.ID, "error", string(events.KindOf(err)))
		p.write(w, r, http.StatusServiceUnavailable, p.about(r, m, recipient, ack, p.speaks(r)("letter.try-again")))
	}
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
	Answered              string // who has answered what
	Answers               []events.Answer
	Draft                 events.Ack // an answer that was not taken
	Documents             []attached
}

// attached is a document that is with an event; Path is where it can be fetched, relative to the page, and empty for who may not.
type attached struct{ Says, Path string }

func (p *Page) write(w http.ResponseWriter, r *http.Request, status int, c page.Content) {
	if c.Body == nil {
		c.Body = letter{}
	}
	p.Writer.Write(w, r, status, layoutTemplate, c)
}

// ask asks for the code, and says nothing of the message.
func (p *Page) ask(r *http.Request, m fhir.Message, problem string) page.Content {
	return page.Content{Title: p.speaks(r)("letter.window"), Problem: problem, Ref: events.Ref(m.Event.ID), Body: letter{Ask: true}}
}

// find looks up what a link stands for.
func (p *Page) find(r *http.Request, link string) (m fhir.Message, recipient string, status int, refusal page.Content) {
	say := p.speaks(r)
	event, recipient, ok := p.Links.Open(link)
	if !ok {
		return m, "", http.StatusNotFound, page.Content{Title: say("letter.dead")}
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	m, err := p.Open(ctx, event, recipient)
	switch kind := events.KindOf(err); {
	case err != nil && (events.IsMissing(err) || kind == events.Forbidden):
		return m, "", http.StatusNotFound, page.Content{Title: say("letter.dead")}
	case err != nil:
		p.Log.Error("page cannot be read", "event", event, "err", err)
		return m, "", http.StatusServiceUnavailable, page.Content{Title: say("letter.away"), Ref: events.Ref(event)}
	case p.Clock().Sub(m.Event.Recorded) >= LinkLife:
		return m, "", http.StatusGone, page.Content{Title: say("letter.ended"), Ref: events.Ref(event)}
	}
	return m, recipient, http.StatusOK, page.Content{}
}

// about fills in what a message says. draft is an answer that was not taken, and why.
func (p *Page) about(r *http.Request, m fhir.Message, recipient string, draft events.Ack, problem string) page.Content {
	e, say, lang := m.Event, p.speaks(r), page.LangOf(r)
	title := words.Say(lang, "title-"+string(e.Kind))
	when := func(t time.Time) string { return lang.Moment(t.In(p.Zone())) }
	l := letter{
		Kind: string(e.Kind), Inbox: p.Porter.Inbox(recipient), Who: cmp.Or(m.Patient.Name, say("letter.no-name")),
		NHSNumber: spaced(m.Patient.NHSNumber), When: when(e.Occurred), Recorded: when(e.Recorded), Place: e.Place, Words: e.Words,
		Alarm: e.Kind == events.Alarm, Carer: m.By.Kind == events.Carer, Reporter: reporter(m.By),
		Answers: []events.Answer{events.Seen, events.Acting, events.NotForUs}, Draft: draft,
	}
	if born, err := time.Parse(time.DateOnly, m.Patient.Born); err == nil {
		l.Born = lang.Date(born)
	}
	if e.Because == events.Fall {
		title = say("letter.after-fall", "title", title)
	}
	if e.Correction.Known() {
		title = say("letter.correction", "title", title)
		l.Cautions = append(l.Cautions, say("correction-"+string(e.Correction)))
	}
	if e.Test {
		title = say("letter.test", "title", title)
		l.Cautions = append(l.Cautions, say("letter.is-test"))
	}
	for _, f := range e.Flags {
		if key := "caution-" + string(f); words.Has(key) {
			l.Cautions = append(l.Cautions, say(key))
		}
	}
	if e.Said != nil {
		l.Cautions = append(l.Cautions, say("letter.said", "at", when(*e.Said)))
	}
	if ack := p.Answered(r.Context(), e.ID, recipient); ack != nil {
		l.Answered = say("letter.answered", "who", ack.Name, "at", lang.At(ack.At.In(p.Zone()), p.Clock().In(p.Zone())), "answer", say("answer-"+string(ack.Answer)))
	}
	l.Documents = p.documents(r, m, recipient)
	return page.Content{Title: title, Window: say("letter.window"), Problem: problem, Ref: events.Ref(e.ID), Body: l}
}

// documents are what is with an event; none of one that was taken back.
func (p *Page) documents(r *http.Request, m fhir.Message, recipient string) (all []attached) {
	if len(m.Event.Documents) == 0 || m.Event.Correction.Retracts() {
		return nil
	}
	has := p.Has(r.Context(), cmp.Or(m.Event.Corrects, m.Event.ID), recipient)
	for _, d := range m.Event.Documents {
		one := attached{Says: page.LangOf(r).Document(d)}
		if slices.ContainsFunc(has, func(have events.Document) bool { return have.ID == d.ID }) {
			one.Path = r.PathValue("token") + "/document/" + d.ID
		}
		all = append(all, one)
	}
	return all
}

// Document is GET /m/{token}/document/{document}: what is attached, for who may have it and has given the code of their inbox.
func (p *Page) Document(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("token")
	m, recipient, status, refusal := p.find(r, link)
	switch {
	case status != http.StatusOK:
		p.write(w, r, status, refusal)
		return
	case !p.Porter.Knows(r, recipient):
		page.Redirect(w, "../../"+link) // where they can give it
		return
	}
	d, n, content, err := p.Content(r, cmp.Or(m.Event.Corrects, m.Event.ID), recipient, r.PathValue("document"))
	switch {
	case err != nil && events.KindOf(err) == events.NotFound:
		p.write(w, r, http.StatusNotFound, page.Content{Title: p.speaks(r)("letter.dead")})
	case err != nil:
		p.Log.Error("a document cannot be read", "event", m.Event.ID, "err", err)
		p.write(w, r, http.StatusServiceUnavailable, page.Content{Title: p.speaks(r)("letter.away"), Ref: events.Ref(m.Event.ID)})
	default:
		page.Download(w, d, n, content)
	}
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
