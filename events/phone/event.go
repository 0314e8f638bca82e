package phone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

func asError(err error) (*events.Error, bool) { return errors.AsType[*events.Error](err) }

// row is how telling one recipient stands.
type row struct {
	N     int
	Name  string
	Words string
	Mood  string // good, wait or bad: how it is marked, beside its words
	Phone string // whom to call, where it is for a person now
}

// standing is an event's page.
type standing struct {
	Patient, When, Recorded string
	What, Message           string
	Place, Written          string
	Event                   string
	Rows                    []row
	HTML                    []template.HTML // of the rows
	Settled                 bool
	Open                    bool // it may still change
	Held                    int  // seconds in which it can be undone; 0: it has gone
	Undone                  bool
	Mine                    bool   // whoever reads it may say that it was a mistake
	Corrects                string // the event that it corrects
	Documents               []attachedDocument
	Corrected               string // the event that corrects it
	Wrong                   string // what was wrong with it then
}

// titled is what an event is called: one that corrects another is never taken for news of its own.
func titled(lang page.Lang, e events.Event) string {
	what := words.Say(lang, "what."+named(e))
	if e.Corrects == "" {
		return what
	}
	return words.Say(lang, "correction", "what", what, "why", words.Say(lang, "mistake."+string(e.Correction)))
}

// home shows whom a carer logs for, and what was logged of late.
func (p *Pages) home(w http.ResponseWriter, r *http.Request, who page.Session) {
	lang := page.LangOf(r)
	type recent struct{ What, When, State, Event string }
	type block struct {
		Patient
		Called, About string
		Recent        []recent
	}
	var all []block
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	for _, one := range p.Patients(who.Actor) {
		b := block{Patient: one, Called: one.called(), About: one.about(lang)}
		list, err := p.Recent(ctx, who.Actor, one.ID, 3)
		if err != nil {
			p.Logger.Warn("what was logged of late cannot be shown", "error", err.Error())
		}
		for _, st := range list {
			e := st.Record.Event
			receipts, err := p.Receipts(ctx, st)
			if err != nil {
				p.Logger.Warn("who has been told cannot be shown", "error", err.Error())
			}
			b.Recent = append(b.Recent, recent{titled(lang, e), lang.At(e.Occurred.In(p.Zone()), p.now()), inShort(lang, receipts, err), e.ID})
		}
		all = append(all, b)
	}
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "home.title")}, "home", all)
}

// inShort says on one line how telling everybody stands, and no more than the hub knows (hazard: false reassurance).
func inShort(lang page.Lang, receipts []events.Receipt, err error) string {
	told, trouble := 0, 0
	for _, r := range events.Shown(receipts) {
		switch {
		case r.State.Told():
			told++
		case r.State == events.Retrying || r.State.Final():
			trouble++
		}
	}
	switch {
	case err != nil:
		return ""
	case len(receipts) == 0:
		return words.Say(lang, "short.nobody")
	case trouble > 0:
		return words.Count(lang, "short.trouble", trouble)
	case told < len(receipts):
		return words.Say(lang, "short.some", "told", told, "all", len(receipts))
	}
	return words.Count(lang, "short.all", told)
}

// event shows who has been told.
func (p *Pages) event(w http.ResponseWriter, r *http.Request, who page.Session) {
	s, err := p.standing(r, who)
	switch {
	case events.KindOf(err) == events.NotFound && err != nil && p.passedOn(r, who):
		id := r.PathValue("event")
		p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(page.LangOf(r), "saved.title"), Ref: events.Ref(id)}, "ended", nil)
		return
	case err != nil:
		p.failed(w, r, who, err)
		return
	}
	p.putRight(r, who, &s)
	for _, one := range p.part(r, s).Rows {
		s.HTML = append(s.HTML, template.HTML(one)) // #nosec G203 -- made by a template of html/template
	}
	p.show(w, r, who, http.StatusOK, page.Content{Title: s.What, Problem: sayLeft(page.LangOf(r), leftOf(r.URL.Query())), Ref: events.Ref(s.Event)}, "event", s)
}

// putRight notes that an event was corrected: nobody is to take it for what happened (hazard: stale event taken for news).
func (p *Pages) putRight(r *http.Request, who page.Session, s *standing) {
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	next, err := p.Find(ctx, who.Actor, events.CorrectionID(s.Event))
	if err != nil {
		return
	}
	e := next.Record.Event
	s.Corrected, s.Wrong, s.Mine = e.ID, words.Say(page.LangOf(r), "mistake."+string(e.Correction)), false
}

// undo takes an event back, and leads to its page, which says whether it was.
func (p *Pages) undo(w http.ResponseWriter, r *http.Request, who page.Session) {
	id := r.PathValue("event")
	err := error(&events.Error{Kind: events.NotFound})
	if events.ValidID(id) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeFor)
		defer cancel()
		err = p.Undo(ctx, who.Actor, id)
	}
	if err != nil && events.KindOf(err) != events.Conflict {
		p.failed(w, r, who, err)
		return
	}
	page.Redirect(w, "/e/"+id)
}

// passedOn reports whether an event is one that the carer logged after their authority had ended: they see nothing new of it.
func (p *Pages) passedOn(r *http.Request, who page.Session) bool {
	id := r.PathValue("event")
	if !slices.ContainsFunc(p.Patients(who.Actor), func(one Patient) bool { return one.Ended && one.ID == events.PatientOf(id) }) {
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	_, err := p.Own(ctx, who.Actor, id)
	return err == nil
}

func (p *Pages) found(r *http.Request, who page.Session) (events.Stored, error) {
	id := r.PathValue("event")
	if !events.ValidID(id) {
		return events.Stored{}, &events.Error{Kind: events.NotFound}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	return p.Find(ctx, who.Actor, id)
}

func (p *Pages) standing(r *http.Request, who page.Session) (standing, error) {
	st, err := p.found(r, who)
	if err != nil {
		return standing{}, err
	}
	return p.stands(r, who, st)
}

// stands is how telling everybody of an event stands now.
func (p *Pages) stands(r *http.Request, who page.Session, st events.Stored) (standing, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	lang, e := page.LangOf(r), st.Record.Event
	receipts, err := p.Receipts(ctx, st)
	if err != nil {
		return standing{}, err
	}
	s := standing{What: titled(lang, e), Event: e.ID, When: lang.Moment(e.Occurred.In(p.Zone())),
		Recorded: lang.Moment(e.Recorded.In(p.Zone())), Place: e.Place, Written: e.Words, Settled: true}
	for _, one := range p.Patients(who.Actor) {
		if one.ID == e.Patient {
			s.Patient = one.about(lang)
		}
	}
	var phones []string
	if e.Has(events.FlagUnrouted) {
		for _, c := range p.Contacts(e.Patient) {
			phones = append(phones, c.Name+" "+c.Phone)
		}
	}
	s.Message = p.Message(lang, e, phones)
	s.Documents = attachedTo(lang, e)
	s.Corrects, s.Mine = e.Corrects, e.By == who.Actor && !st.Place().IsZero()
	for n, receipt := range events.Shown(receipts) {
		s.Rows = append(s.Rows, p.row(lang, n, receipt))
		s.Settled = s.Settled && receipt.State.Final()
		s.Open = s.Open || !receipt.State.Final() || p.awaits(e, receipt)
		s.Undone = receipt.State == events.Withdrawn
		if receipt.State == events.Held {
			s.Held = max(1, int(receipt.Outcome.Next.Sub(p.Clock()).Round(time.Second)/time.Second))
		}
	}
	return s, nil
}

// answersFor is how long after an event its page waits for what people answer.
const answersFor = 24 * time.Hour

// awaits reports whether somebody there may still answer.
func (p *Pages) awaits(e events.Event, r events.Receipt) bool {
	return r.State.Told() && r.Ack == nil && p.Clock().Sub(e.Recorded) < answersFor
}

func (p *Pages) row(lang page.Lang, n int, r events.Receipt) row {
	one := row{N: n, Name: r.Name, Words: p.Words(lang, r, p.Clock(), p.Zone()), Mood: "wait"}
	switch r.State {
	case events.Sent, events.Received, events.Acknowledged:
		one.Mood = "good"
	case events.Refused, events.Failed, events.Declined, events.Unacknowledged:
		one.Mood, one.Phone = "bad", r.Phone
	case events.Retrying:
		one.Phone = r.Phone
	}
	return one
}

// rows is how it stands as a part of the page, for a phone that looks again now and then.
func (p *Pages) rows(w http.ResponseWriter, r *http.Request, who page.Session) {
	s, err := p.standing(r, who)
	if err != nil {
		refused, ok := asError(err)
		if !ok {
			refused = &events.Error{Kind: events.Internal}
		}
		answerJSON(w, refused.Kind.Status(), map[string]string{"error": string(refused.Kind)})
		return
	}
	answerJSON(w, http.StatusOK, p.part(r, s))
}

// part is what of the page changes.
type part struct {
	Rows    []string `json:"rows"` // HTML of each
	Settled bool     `json:"settled"`
	Open    bool     `json:"open"` // they may still change
	Held    bool     `json:"held"` // it can still be undone
}

func (p *Pages) part(r *http.Request, s standing) part {
	out := part{Rows: []string{}, Settled: s.Settled, Open: s.Open, Held: s.Held > 0}
	lang := page.LangOf(r)
	for _, one := range s.Rows {
		var b strings.Builder
		data := struct {
			row
			Call string
			Tel  template.URL
		}{one, words.Say(lang, "call", "name", one.Name), page.Tel(one.Phone)}
		if err := rowTemplate.Execute(&b, data); err != nil {
			p.Logger.Error("a row", "error", err.Error())
		}
		out.Rows = append(out.Rows, b.String())
	}
	return out
}

const (
	keepAlive = 15 * time.Second
	slowest   = 10 * time.Second // that a phone may take to read what was sent, before it is dropped
)

// live sends the rows as server-sent events (WHATWG HTML, 9.2) whenever one of them changes, until all are settled.
func (p *Pages) live(w http.ResponseWriter, r *http.Request, who page.Session) {
	st, err := p.found(r, who)
	if err != nil {
		answerJSON(w, http.StatusNotFound, map[string]string{"error": string(events.NotFound)})
		return
	}
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		answerJSON(w, http.StatusServiceUnavailable, map[string]string{"error": string(events.Unavailable)})
		return
	}
	changed, stop := p.Watch(st.Record.Event.ID) // before the first look, so that nothing is missed
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	rc := http.NewResponseController(w)
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	p.follow(r, w, rc, who, st, changed)
}

func (p *Pages) follow(r *http.Request, w http.ResponseWriter, rc *http.ResponseController, who page.Session, st events.Stored, changed <-chan struct{}) {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	last := ""
	for {
		s, err := p.stands(r, who, st)
		text := ": alive\n\n"
		if err == nil {
			data, _ := json.Marshal(p.part(r, s)) // strings always marshal
			if string(data) != last {
				last, text = string(data), fmt.Sprintf("event: rows\ndata: %s\n\n", data)
			}
		}
		if rc.SetWriteDeadline(time.Now().Add(slowest)) != nil {
			return
		}
		if _, err := w.Write([]byte(text)); err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-p.Draining:
			return
		case <-alive.C:
		case <-changed:
		}
		if now, in := p.Session(r); !in || now.Actor != who.Actor {
			return
		}
		if _, err := p.found(r, who); err != nil { // they may not see it any more
			return
		}
	}
}
