package phone

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// choice is one of the large buttons.
type choice struct {
	Name          string
	Kind, Because events.Kind
}

// choices are what can have happened, in the order of the buttons.
var choices = []choice{
	{"admission", events.Admission, ""},
	{"attendance", events.Attendance, ""},
	{"discharge", events.Discharge, ""},
	{"fall", events.Fall, ""},
	{"fall-admission", events.Admission, events.Fall},
	{"document", events.DocumentAdded, ""},
}

func choiceOf(name string) (choice, bool) {
	i := slices.IndexFunc(choices, func(c choice) bool { return c.Name == name })
	if i < 0 {
		return choice{}, false
	}
	return choices[i], true
}

// named is the choice that an event is shown as.
func named(e events.Event) string {
	for _, c := range choices {
		if c.Kind == e.Kind && c.Because == e.Because {
			return c.Name
		}
	}
	return string(e.Kind)
}

// Form is what is written on the way.
type Form struct {
	Patient              Patient
	What                 string
	Key                  string
	Day, Time            string // as the browser's fields have them; empty: now
	Clocks               string // before or after they changed, in an hour that they show twice
	Twice                bool   // it is such an hour
	Place, Words         string
	Places               []string // where it was before
	Today                string
	MaxPlace, MaxWords   int
	Title, About, Called string
	Fresh                bool                // nothing was written yet
	Another              bool                // it is not the same as what was logged a few minutes ago
	Sort                 events.DocumentKind // of the files that come with the form
	Sorts                []events.DocumentKind
	Documents            []events.Document // that are attached
	Left                 []left            // files that are not
	waited               time.Duration
}

// what asks what happened.
func (p *Pages) what(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	lang := page.LangOf(r)
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "what.title", "name", one.called())}, "what", struct {
		Patient Patient
		About   string
		Choices []choice
	}{one, one.about(lang), choices})
}

// when asks where and when, after a fall only once nobody needs an ambulance.
func (p *Pages) when(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f, ok := p.read(r, one)
	if !ok {
		page.Redirect(w, "/log/"+one.ID)
		return
	}
	p.attach(r, who, &f)
	if f.What == "fall" && r.FormValue("safe") == "" && f.Key == "" {
		p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(page.LangOf(r), "hurt.title")}, "hurt", f)
		return
	}
	p.askWhen(w, r, who, f, http.StatusOK, sayLeft(page.LangOf(r), f.Left))
}

func (p *Pages) askWhen(w http.ResponseWriter, r *http.Request, who page.Session, f Form, status int, problem string) {
	f.Fresh = f.Key == ""
	f.Key = cmp.Or(f.Key, newKey())
	f.Places = p.places(r.Context(), who.Actor, f.Patient.ID)
	p.show(w, r, who, status, page.Content{Title: f.Title, Problem: problem}, "when", f)
}

// newKey is the key of one time through the pages.
func newKey() string { return "page-" + rand.Text() }

// read is what was written so far; false if it does not say what happened.
func (p *Pages) read(r *http.Request, one Patient) (Form, bool) {
	lang := page.LangOf(r)
	f := Form{Patient: one, What: r.FormValue("what"), Key: r.PostFormValue("key"), Day: r.PostFormValue("day"), Time: r.PostFormValue("time"), Clocks: r.PostFormValue("clocks"),
		Place:   strings.TrimSpace(cmp.Or(r.PostFormValue("last"), r.PostFormValue("place"))),
		Words:   strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("words"), "\r\n", "\n")), // as browsers send it
		Another: r.PostFormValue("another") == "yes", waited: waited(r.PostFormValue("waited")),
		Today: p.now().Format(time.DateOnly), MaxPlace: events.MaxPlace, MaxWords: events.MaxWords, About: one.about(lang), Called: one.called(),
		Sort: events.DocumentKind(r.PostFormValue("sort")), Sorts: events.DocumentKinds}
	if !f.Sort.Known() {
		f.Sort = events.DocOther
	}
	_, ok := choiceOf(f.What)
	f.Title = words.Say(lang, "what."+f.What)
	switch {
	case f.Time != "" && f.Day == "": // midnight may pass before it is sent
		f.Day = f.Today
	case f.Time == "" && f.Day == f.Today:
		f.Day = ""
	}
	return f, ok
}

// mostPlaces is how many of the places where the patient was before are offered.
const mostPlaces = 4

// places are where the patient's last events were, the newest first. A carer who may not see them is offered none.
func (p *Pages) places(ctx context.Context, by events.Actor, patient string) (places []string) {
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	recent, err := p.Recent(ctx, by, patient, 20)
	if err != nil {
		p.Logger.Warn("places cannot be offered", "error", err.Error())
	}
	for _, st := range recent {
		if place := st.Record.Event.Place; place != "" && !slices.Contains(places, place) && len(places) < mostPlaces {
			places = append(places, place)
		}
	}
	return places
}

// entry is what the form comes to. problem is the key of what is wrong with it, if anything is.
func (p *Pages) entry(f Form) (e Entry, problem string) {
	c, _ := choiceOf(f.What)
	e = Entry{Patient: f.Patient.ID, Kind: c.Kind, Because: c.Because, Place: f.Place, Words: f.Words, Key: f.Key, Another: f.Another, Documents: f.Documents}
	switch {
	case c.Kind == events.DocumentAdded && len(f.Documents) == 0:
		return e, "document.missing"
	case f.Time == "" && f.Day != "":
		return e, "problem.time-missing"
	case f.Time == "" && f.waited > 0:
		e.Occurred = p.now().Add(-f.waited).Format(time.RFC3339)
		return e, ""
	case f.Time == "":
		return e, ""
	}
	all, problem := p.moments(f.Day, f.Time)
	if problem != "" {
		return e, problem
	}
	e.Occurred = which(all, f.Clocks).Format(time.RFC3339)
	return e, ""
}

// check shows who will be told, before anything is sent.
func (p *Pages) check(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f, ok := p.read(r, one)
	if !ok {
		page.Redirect(w, "/log/"+one.ID)
		return
	}
	lang := page.LangOf(r)
	p.attach(r, who, &f)
	e, problem := p.entry(f)
	if problem == "" && p.unclear(f.Day, f.Time, f.Clocks) {
		f.Twice, problem = true, "problem.twice"
	}
	if problem != "" || slices.ContainsFunc(f.Left, func(l left) bool { return l.Why != "busy" }) { // nobody is kept waiting for a slot
		p.askWhen(w, r, who, f, http.StatusUnprocessableEntity, cmp.Or(sayLeft(lang, f.Left), words.Say(lang, problem)))
		return
	}
	if id, saved := p.saved(r, who, f); saved {
		page.Redirect(w, "/e/"+id)
		return
	}
	p.askCheck(w, r, who, f, e, http.StatusOK)
}

// saved is the event that the form has become already, where somebody comes back to it.
func (p *Pages) saved(r *http.Request, who page.Session, f Form) (id string, saved bool) {
	if f.Key == "" {
		return "", false
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	id = events.NewID(who.Actor, f.Patient.ID, f.Key)
	_, err := p.Own(ctx, who.Actor, id)
	return id, err == nil
}

func (p *Pages) askCheck(w http.ResponseWriter, r *http.Request, who page.Session, f Form, e Entry, status int) {
	lang := page.LangOf(r)
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	plan, err := p.Preview(ctx, who.Actor, e)
	switch kind := events.KindOf(err); {
	case err != nil && (kind == events.Invalid || kind == events.TooLarge):
		p.askWhen(w, r, who, f, http.StatusUnprocessableEntity, words.Say(lang, "problem.text"))
		return
	case err != nil:
		p.failed(w, r, who, err)
		return
	}
	f.Key = cmp.Or(f.Key, newKey())
	p.show(w, r, who, status, page.Content{Title: words.Say(lang, "check.title"), Problem: sayLeft(lang, f.Left)}, "check", p.checked(lang, who, f, e, plan))
}

// checked is the page that names exactly who will be told and how.
type checked struct {
	Form
	When  string
	Late  bool
	Told  []told
	Same  *same
	Ended bool // the carer's authority has ended
	Count int  // of those who will be told
}

type told struct{ Name, How, Gets string }

// same is the event that this may be a repeat of; without Event if it is not for this carer to see.
type same struct{ Says, Event string }

func (p *Pages) checked(lang page.Lang, who page.Session, f Form, e Entry, plan Plan) checked {
	ev := plan.Stored.Record.Event
	c := checked{Form: f, When: words.Say(lang, "just-now"), Late: ev.Has(events.FlagLate), Ended: ev.Has(events.FlagAuthorityEnded)}
	if e.Occurred != "" {
		c.When = lang.Moment(ev.Occurred.In(p.Zone()))
	}
	for _, to := range plan.Stored.Record.Plan.Recipients {
		if to.Step {
			continue
		}
		if c.Ended { // who is told would be news to them
			break
		}
		how := words.Say(lang, "how.phone")
		if len(to.Channels) > 0 {
			how = words.Say(lang, "how."+to.Channels[0].Type)
		}
		c.Told = append(c.Told, told{to.Name, how, gets(lang, ev, to)})
	}
	if s := plan.Same; s != nil && !f.Another {
		minutes := max(1, int(p.Clock().Sub(s.Recorded)/time.Minute))
		switch {
		case !plan.Seen:
			c.Same = &same{Says: words.Count(lang, "same.somebody", minutes)}
		case s.By == who.Actor:
			c.Same = &same{words.Count(lang, "same.you", minutes), s.ID}
		default:
			c.Same = &same{words.Count(lang, "same.other", minutes, "name", p.Name(s.By)), s.ID}
		}
	}
	return c
}

// send stores the event, once, and leads to its page.
func (p *Pages) send(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	lang := page.LangOf(r)
	f, ok := p.read(r, one)
	p.attach(r, who, &f)
	e, problem := p.entry(f)
	if !ok || problem != "" || e.Key == "" {
		kind := events.Invalid
		if problem == "document.missing" && slices.ContainsFunc(f.Left, left.passing) { // there is nothing else to send: a phone tries again
			kind = events.Unavailable
		}
		p.refuseSend(w, r, who, f, &events.Error{Kind: kind, Message: words.Say(lang, "problem.text")})
		return
	}
	// A phone that loses its signal after the tap must not stop the event from being stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeFor)
	defer cancel()
	st, err := p.Log(ctx, who.Actor, e)
	switch {
	case errors.Is(err, ErrRepeat) && wantsJSON(r):
		answerJSON(w, http.StatusConflict, map[string]string{"error": "repeat"})
	case errors.Is(err, ErrRepeat):
		p.askCheck(w, r, who, f, e, http.StatusConflict)
	case err != nil:
		p.refuseSend(w, r, who, f, err)
	case wantsJSON(r):
		answerJSON(w, http.StatusOK, map[string]string{"event": st.Record.Event.ID, "left": addressOf(f.Left)})
	default:
		page.Redirect(w, "/e/"+st.Record.Event.ID+addressOf(f.Left))
	}
}

// refuseSend says that nothing was saved, and keeps what was written.
func (p *Pages) refuseSend(w http.ResponseWriter, r *http.Request, who page.Session, f Form, err error) {
	refused, ok := asError(err)
	if !ok {
		refused = &events.Error{Kind: events.Internal, Err: err}
	}
	if wantsJSON(r) {
		answerJSON(w, refused.Kind.Status(), map[string]string{"error": string(refused.Kind), "event": refused.Event})
		return
	}
	lang := page.LangOf(r)
	switch refused.Kind {
	case events.Conflict:
		p.show(w, r, who, http.StatusConflict, page.Content{Title: words.Say(lang, "sent-already.title")}, "sent-already", refused.Event)
	case events.NotFound, events.Gone, events.Forbidden:
		p.missing(w, r, who)
	case events.Invalid, events.TooLarge:
		p.askWhen(w, r, who, f, http.StatusUnprocessableEntity, cmp.Or(sayLeft(lang, f.Left), words.Say(lang, "problem.text")))
	default:
		p.Logger.Error("an event could not be saved", "error", string(refused.Kind), "cause", refused.Err)
		p.askWhen(w, r, who, f, refused.Kind.Status(), words.Say(lang, "problem.not-saved"))
	}
}

// phones are whom to phone when somebody is missing among those who will be told.
func (p *Pages) phones(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	p.showPhones(w, r, who, one, http.StatusOK, page.Content{}, false)
}

func (p *Pages) showPhones(w http.ResponseWriter, r *http.Request, who page.Session, one Patient, status int, c page.Content, asked bool) {
	c.Title = words.Say(page.LangOf(r), "phones.title")
	p.show(w, r, who, status, c, "phones", struct {
		Patient  Patient
		Contacts []Contact
		Asked    bool
	}{one, p.Contacts(one.ID), asked})
}

// askAdmin tells the people who look after the hub that somebody is missing.
func (p *Pages) askAdmin(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, ok := p.patient(w, r, who)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeFor)
	defer cancel()
	if err := p.Missing(ctx, who.Actor, one.ID); err != nil {
		p.Logger.Error("the admin was not asked", "error", err.Error())
		p.showPhones(w, r, who, one, http.StatusServiceUnavailable, page.Content{Problem: words.Say(page.LangOf(r), "problem.admin")}, false)
		return
	}
	p.showPhones(w, r, who, one, http.StatusOK, page.Content{}, true)
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a phone that is gone asks again
}
