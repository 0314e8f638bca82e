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
	s, err := p.stands(ctx, st)
	if err != nil {
		return v, err
	}
	if s.name != "" {
		v.Name = s.name
	}
	if s.barred {
		v.What = words.Say(lang, "barred")
	}
	v.Open, v.State = s.open, words.Say(lang, "alarm.settled")
	switch {
	case !s.known:
		v.State = words.Say(lang, "alarm.unknown")
	case s.open:
		v.State = words.Say(lang, "alarm.open")
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

// stand is whether what an alarm is about still is so.
type stand struct {
	open   bool
	known  bool // false of one that is about the hub but not its configuration, or about what is not here any more: it is open for as long as it is news
	barred bool // the rules no longer let whom it is about be told
	name   string
}

func (p *Pages) stands(ctx context.Context, alarm events.Stored) (stand, error) {
	about := alarm.Record.Plan.About
	unknown := stand{open: p.Clock().Sub(alarm.Record.Event.Recorded) < countedFor}
	if about != nil && about.Reason == events.ReasonReload && !p.Shared { // another hub's folder may be another
		c := p.Config()
		hour := c.Since.Truncate(time.Hour) // one alarm stands for all of an hour
		refused := len(c.Failed) > 0 && (c.Kept || !alarm.Record.Event.Recorded.Before(hour))
		return stand{open: refused, known: true}, nil
	}
	if about == nil || about.Notice() || about.Recipient == "" {
		return unknown, nil
	}
	st, err := p.Find(ctx, about.Event)
	if err != nil && events.KindOf(err) == events.NotFound {
		return unknown, nil
	}
	if err != nil {
		return stand{}, err
	}
	receipts, err := p.Receipts(ctx, st)
	if err != nil {
		return stand{}, err
	}
	i := slices.IndexFunc(receipts, func(r events.Receipt) bool { return r.Is(about.Recipient) })
	if i < 0 {
		return unknown, nil
	}
	s := stand{known: true, name: receipts[i].Name, barred: p.Barred(&st.Record, about.Recipient)}
	switch about.Reason {
	case events.ReasonDeclined, events.ReasonUnanswered:
		s.open = receipts[i].Ack == nil || receipts[i].State == events.Declined
	default:
		s.open = !receipts[i].State.Told()
	}
	s.open = s.open && !s.barred
	return s, nil
}

// openAlarms counts the open ones among the newest few alarms of the last days. more says that there may be others.
func (p *Pages) openAlarms(ctx context.Context) (open int, more bool, err error) {
	found, err := p.Alarms(ctx, mostAlarms)
	if err != nil {
		return 0, false, err
	}
	young := 0
	for _, st := range found {
		if p.Clock().Sub(st.Record.Event.Recorded) < countedFor {
			s, err := p.stands(ctx, st)
			if err != nil {
				return 0, false, err
			}
			young, open = young+1, open+truth(s.open)
		}
	}
	return open, young == mostAlarms, nil
}
