package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	mostAlarms = 30
	countedFor = 7 * 24 * time.Hour // an alarm that is older is no news
)

// alarmView is one alarm.
type alarmView struct {
	What, When string
	Name       string // whom it is about; empty where it is about the hub
	Event, Ref string // what they have not been told of; empty where it is about none
	State      string
	Open       bool
	Heard      []row // who was to hear of it
}

// alarms lists the newest alarms: of each who has heard of it, and whether what it is about still stands.
func (p *Pages) alarms(w http.ResponseWriter, r *http.Request, who page.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	found, err := p.Alarms(ctx, mostAlarms)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	lang := page.LangOf(r)
	var all []alarmView
	for _, st := range found {
		one, err := p.alarm(ctx, lang, st)
		if err != nil {
			p.refuse(w, r, who, err)
			return
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b alarmView) int { return truth(b.Open) - truth(a.Open) })
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "alarms.title")}, "alarms", all)
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (p *Pages) alarm(ctx context.Context, lang page.Lang, st events.Stored) (alarmView, error) {
	v := alarmView{When: lang.At(st.Record.Event.Recorded.In(p.Zone()), p.now()), What: words.Say(lang, "why.internal")}
	about := st.Record.Plan.About
	if about == nil {
		return v, nil
	}
	if key := "why." + string(about.Reason); words.Has(key) {
		v.What = words.Say(lang, key)
	}
	v.Name = p.Name(about.Recipient)
	if !about.Notice() {
		v.Event, v.Ref = about.Event, events.Ref(about.Event)
	}
	open, known, name := p.stands(ctx, about)
	if name != "" {
		v.Name = name
	}
	v.Open = open
	switch {
	case known && open:
		v.State = words.Say(lang, "alarm.open")
	case known:
		v.State = words.Say(lang, "alarm.settled")
	}
	receipts, err := p.Receipts(ctx, st)
	if err != nil {
		return v, err
	}
	for _, r := range receipts {
		v.Heard = append(v.Heard, p.row(lang, r))
	}
	return v, nil
}

// stands reports whether what an alarm is about still is so. known is false of one that is about the hub, of which these pages
// cannot tell.
func (p *Pages) stands(ctx context.Context, about *events.About) (open, known bool, name string) {
	if about.Notice() || about.Recipient == "" {
		return false, false, ""
	}
	st, err := p.Find(ctx, about.Event)
	if err != nil {
		return true, false, ""
	}
	receipts, err := p.Receipts(ctx, st)
	i := slices.IndexFunc(receipts, func(r events.Receipt) bool { return r.Is(about.Recipient) })
	if err != nil || i < 0 {
		return true, false, ""
	}
	switch about.Reason {
	case events.ReasonDeclined, events.ReasonUnanswered:
		return receipts[i].Ack == nil || receipts[i].State == events.Declined, true, receipts[i].Name
	}
	return !receipts[i].State.Told(), true, receipts[i].Name
}

// openAlarms counts the alarms of the last days about somebody who is still not told, of the newest few.
func (p *Pages) openAlarms(ctx context.Context) (open int, err error) {
	found, err := p.Alarms(ctx, mostAlarms)
	for _, st := range found {
		if about := st.Record.Plan.About; about != nil && p.Clock().Sub(st.Record.Event.Recorded) < countedFor {
			stands, known, _ := p.stands(ctx, about)
			open += truth(stands && known)
		}
	}
	return open, err
}
