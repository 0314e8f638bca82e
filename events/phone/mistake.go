package phone

import (
	"context"
	"net/http"
	"time"

	"carehub/events"
	"carehub/events/page"
)

// mistakes are what can have gone wrong, in the order of the page.
var mistakes = []events.Correction{events.WrongPerson, events.WrongEvent, events.WrongTime, events.Retracted}

// correcting is the page of a mistake.
type correcting struct {
	Event, What, When, Patient string
	Choices                    []events.Correction
	Choice                     string
	Day, Time, Today           string
	Twice                      bool // the clocks showed that time twice
}

// mistake asks what was wrong with an event that the carer has logged.
func (p *Pages) mistake(w http.ResponseWriter, r *http.Request, who page.Session) {
	p.askMistake(w, r, who, http.StatusOK, "")
}

func (p *Pages) askMistake(w http.ResponseWriter, r *http.Request, who page.Session, status int, problem string) {
	st, err := p.mine(r, who)
	if err != nil {
		p.failed(w, r, who, err)
		return
	}
	lang, e := page.LangOf(r), st.Record.Event
	c := correcting{Event: e.ID, What: words.Say(lang, "what."+named(e)), When: lang.Moment(e.Occurred.In(p.Zone())), Choices: mistakes,
		Choice: r.PostFormValue("mistake"), Day: r.PostFormValue("day"), Time: r.PostFormValue("time"), Today: p.now().Format(time.DateOnly)}
	c.Twice = problem == "problem.twice"
	for _, one := range p.Patients(who.Actor) {
		if one.ID == e.Patient {
			c.Patient = one.about(lang)
		}
	}
	content := page.Content{Title: words.Say(lang, "mistake.title"), Ref: events.Ref(e.ID)}
	if problem != "" {
		content.Problem = words.Say(lang, problem)
	}
	p.show(w, r, who, status, content, "mistake", c)
}

// mine is the event of a request's address, if the carer has logged it.
func (p *Pages) mine(r *http.Request, who page.Session) (events.Stored, error) {
	id := r.PathValue("event")
	if !events.ValidID(id) {
		return events.Stored{}, &events.Error{Kind: events.NotFound}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	return p.Own(ctx, who.Actor, id)
}

// correct has exactly those told of a mistake who were told of the event.
func (p *Pages) correct(w http.ResponseWriter, r *http.Request, who page.Session) {
	st, err := p.mine(r, who)
	if err != nil {
		p.failed(w, r, who, err)
		return
	}
	what := events.Correction(r.PostFormValue("mistake"))
	var occurred time.Time
	if what == events.WrongTime {
		day, clock, clocks := r.PostFormValue("day"), r.PostFormValue("time"), r.PostFormValue("clocks")
		all, problem := p.moments(day, clock)
		if problem == "" && p.unclear(day, clock, clocks) {
			problem = "problem.twice"
		}
		if problem != "" {
			p.askMistake(w, r, who, http.StatusUnprocessableEntity, problem)
			return
		}
		occurred = which(all, clocks)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeFor)
	defer cancel()
	id, err := p.Correct(ctx, who.Actor, st, what, occurred)
	switch kind := events.KindOf(err); {
	case err == nil:
		page.Redirect(w, "/e/"+id)
	case kind == events.Conflict:
		p.askMistake(w, r, who, http.StatusConflict, "mistake.already")
	case kind == events.Invalid:
		p.askMistake(w, r, who, http.StatusUnprocessableEntity, "mistake.choose")
	default:
		p.failed(w, r, who, err)
	}
}
