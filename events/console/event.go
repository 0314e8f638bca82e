package console

import (
	"context"
	"net/http"
	"net/url"

	"carehub/events"
	"carehub/events/page"
)

// mostRows is how many recipients of one event a page shows.
const mostRows = 100

// eventView is one event, without what was said about it.
type eventView struct {
	entry
	Called   string // the patient, if this admin may see them
	Occurred string
	Recorded string
	Rules    string
	By       string // what sort of thing logged it
}

// event shows how telling everybody of one event stands.
func (p *Pages) event(w http.ResponseWriter, r *http.Request, who page.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	st, err := p.found(ctx, r)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	lang := page.LangOf(r)
	one, err := p.entry(ctx, lang, st, mostRows)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	p.lead(ctx, one.Rows, st)
	e := st.Record.Event
	view := eventView{entry: one, Called: p.Called(who.Actor, e.Patient), Occurred: lang.Moment(e.Occurred.In(p.Zone())),
		Recorded: lang.Moment(e.Recorded.In(p.Zone())), Rules: st.Record.Plan.Rules, By: words.Say(lang, "by."+string(e.By.Kind))}
	p.show(w, r, who, http.StatusOK, page.Content{Title: one.What, Ref: one.Ref}, "event", view)
}

// found is the event of a request's address. Alarms are no events of anybody.
func (p *Pages) found(ctx context.Context, r *http.Request) (events.Stored, error) {
	id := r.PathValue("event")
	if !events.ValidID(id) || events.PatientOf(id) == events.HubPatient {
		return events.Stored{}, missing()
	}
	return p.Find(ctx, id)
}

// lead adds to each row where the delivery logs of its recipient are, and where they can be sent the event again.
func (p *Pages) lead(ctx context.Context, rows []row, st events.Stored) {
	channels := map[string][]Channel{}
	for _, one := range p.Recipients() {
		channels[one.ID] = one.Channels
	}
	for i, one := range rows {
		for _, c := range channels[one.id] {
			if c.Logged {
				to := endpoint{Log: logPath(one.id, c.Key), Key: c.Key}
				if c.Again && p.MayRepeat(ctx, st, one.id) == nil {
					to.Again = againPath(one.id, c.Key, st.Record.Event.ID)
				}
				rows[i].Endpoints = append(rows[i].Endpoints, to)
			}
		}
	}
}

func logPath(recipient, channel string) string {
	return "/admin/recipients/" + url.PathEscape(recipient) + "/" + url.PathEscape(channel)
}

func againPath(recipient, channel, event string) string {
	return logPath(recipient, channel) + "/redeliver/" + event
}
