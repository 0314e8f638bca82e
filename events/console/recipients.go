package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	mostRecipients = 100 // on the page
	mostAttempts   = 40
)

// standing is a recipient in the list.
type standing struct {
	Name            string
	Waiting, Parked int
	Age, InShort    string // of the oldest; empty where nothing waits
	Channels        []channelView
}

// channelView is one of their channels.
type channelView struct {
	Key, Log string
	Marks    []string // failing, paused, not verified
}

// recipients lists everybody who can be told: those who wait longest first.
func (p *Pages) recipients(w http.ResponseWriter, r *http.Request, who page.Session) {
	lang, all := page.LangOf(r), p.Recipients()
	slices.SortStableFunc(all, func(a, b Recipient) int {
		return cmp.Or(cmp.Compare(b.Parked, a.Parked), cmp.Compare(b.Oldest, a.Oldest), trouble(b)-trouble(a), strings.Compare(a.Name, b.Name))
	})
	view := struct {
		All    []standing
		More   string
		Shared bool
	}{Shared: p.Shared}
	if len(all) > mostRecipients {
		view.More = words.Count(lang, "recipients.more", len(all)-mostRecipients)
		all = all[:mostRecipients]
	}
	for _, one := range all {
		view.All = append(view.All, p.standing(lang, one))
	}
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "recipients.title")}, "recipients", view)
}

func trouble(r Recipient) (n int) {
	for _, c := range r.Channels {
		if c.Down || c.Unproven {
			n++
		}
	}
	return n
}

func (p *Pages) standing(lang page.Lang, one Recipient) standing {
	s := standing{Name: one.Name, Waiting: one.Waiting, Parked: one.Parked}
	if one.Waiting+one.Parked > 0 {
		s.Age, s.InShort = age(lang, one.Oldest), inShort(lang, one.Oldest)
	}
	for _, c := range one.Channels {
		s.Channels = append(s.Channels, p.channel(lang, one.ID, c))
	}
	return s
}

func (p *Pages) channel(lang page.Lang, recipient string, c Channel) channelView {
	v := channelView{Key: c.Key}
	if c.Logged {
		v.Log = logPath(recipient, c.Key)
	}
	switch {
	case !c.Paused.IsZero():
		v.Marks = append(v.Marks, words.Say(lang, "channel.paused", "at", lang.At(c.Paused.In(p.Zone()), p.now())))
	case c.Down:
		v.Marks = append(v.Marks, words.Say(lang, "channel.down"))
	}
	if c.Unproven {
		v.Marks = append(v.Marks, words.Say(lang, "channel.unproven"))
	}
	return v
}

// means is what people call a type of channel.
func means(lang page.Lang, channelType string) string {
	if key := "means." + channelType; words.Has(key) {
		return words.Say(lang, key)
	}
	return channelType
}

// attempt is one entry of the delivery log.
type attempt struct {
	At, Result, Took, Next string
	Event, Ref, Again      string // empty where it was about no event, as a challenge is
	Delivered              bool
}

// attempts shows what was tried at an endpoint, the newest first.
func (p *Pages) attempts(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, c, ok := p.endpoint(r)
	if !ok {
		p.refuse(w, r, who, missing())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	all, err := p.Attempts(ctx, one.ID, c.Key, mostAttempts)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	lang := page.LangOf(r)
	view := struct {
		standing
		Marks    []string
		Done     string // what came of sending it again, of the newest attempt
		Failed   bool
		Attempts []attempt
	}{standing: p.standing(lang, one), Marks: p.channel(lang, one.ID, c).Marks}
	if result := r.URL.Query().Get("again"); result == events.Delivered || words.Has("why."+result) {
		view.Done, view.Failed = words.Say(lang, "again.done", "name", one.Name), result != events.Delivered
		if view.Failed {
			view.Done = words.Say(lang, "again.failed", "name", one.Name, "why", words.Say(lang, "why."+result))
		}
	}
	for _, a := range slices.Backward(all) {
		view.Attempts = append(view.Attempts, p.attempt(lang, one.ID, c, a))
	}
	title := words.Say(lang, "log.title", "name", one.Name, "means", means(lang, c.Type))
	p.show(w, r, who, http.StatusOK, page.Content{Title: title}, "log", view)
}

// endpoint is that of a request's address, if it has a delivery log.
func (p *Pages) endpoint(r *http.Request) (Recipient, Channel, bool) {
	for _, one := range p.Recipients() {
		for _, c := range one.Channels {
			if c.Logged && one.ID == r.PathValue("recipient") && c.Key == r.PathValue("channel") {
				return one, c, true
			}
		}
	}
	return Recipient{}, Channel{}, false
}

func (p *Pages) attempt(lang page.Lang, recipient string, c Channel, a events.Attempt) attempt {
	at := a.At.In(p.Zone())
	out := attempt{At: clock(lang, at, p.now()), Took: words.Say(lang, "log.took", "ms", a.Took.Milliseconds()), Delivered: a.Result == events.Delivered}
	which := words.Say(lang, "log.repeat")
	if a.Number > 0 {
		which = words.Say(lang, "log.attempt", "n", a.Number)
	}
	result := words.Say(lang, "why."+a.Result)
	if out.Delivered {
		result = words.Say(lang, "log.delivered")
	}
	if a.Reply != nil && a.Reply.Status > 0 {
		result = words.Say(lang, "log.status", "result", result, "status", a.Reply.Status)
	}
	out.Result = which + ": " + result
	if !a.Next.IsZero() {
		out.Next = words.Say(lang, "log.next", "at", clock(lang, a.Next.In(p.Zone()), p.now()))
	}
	if events.ValidID(a.Event) {
		out.Ref = events.Ref(a.Event)
		if events.PatientOf(a.Event) != events.HubPatient {
			out.Event = a.Event
			if c.Again {
				out.Again = againPath(recipient, c.Key, a.Event)
			}
		}
	}
	return out
}

// clock is the time of day to the second, with its day where that is not today's.
func clock(lang page.Lang, t, now time.Time) string {
	return t.Format("15:04:05") + strings.TrimPrefix(lang.At(t, now), t.Format("15:04"))
}

// again is one event that may be sent once more.
type again struct {
	entry
	Occurred, To, Log string
}

// confirm asks whether to send an event once more.
func (p *Pages) confirm(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, c, ok := p.endpoint(r)
	if !ok || !c.Again {
		p.refuse(w, r, who, missing())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	st, err := p.found(ctx, r)
	if err == nil && !slices.ContainsFunc(st.Record.Plan.Recipients, func(to events.Recipient) bool { return to.ID == one.ID }) {
		err = missing()
	}
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	lang, e := page.LangOf(r), st.Record.Event
	if p.MayRepeat(ctx, st, one.ID) != nil {
		p.show(w, r, who, http.StatusConflict, page.Content{Title: words.Say(lang, "again.title"), Problem: words.Say(lang, "again.not")}, "", nil)
		return
	}
	view := again{entry: entry{ID: e.ID, What: p.what(lang, e), Patient: e.Patient}, Occurred: lang.Moment(e.Occurred.In(p.Zone())),
		To: words.Say(lang, "log.title", "name", one.Name, "means", means(lang, c.Type)), Log: logPath(one.ID, c.Key)}
	p.show(w, r, who, http.StatusOK, page.Content{Title: words.Say(lang, "again.title"), Ref: events.Ref(e.ID)}, "again", view)
}

// redeliver sends an event once more, and leads to the delivery log, which says what came of it.
func (p *Pages) redeliver(w http.ResponseWriter, r *http.Request, who page.Session) {
	one, c, ok := p.endpoint(r)
	id := r.PathValue("event")
	if !ok || !c.Again || !events.ValidID(id) || events.PatientOf(id) == events.HubPatient {
		p.refuse(w, r, who, missing())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * sendFor)) // where it is not a server's, nothing is cut off
	ctx, cancel := context.WithTimeout(r.Context(), sendFor)
	defer cancel()
	result, err := p.Redeliver(ctx, id, one.ID, c.Key)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	p.Log.Info("sent again", "event", id, "recipient", one.ID, "channel", c.Key, "result", result)
	page.Redirect(w, logPath(one.ID, c.Key)+"?again="+url.QueryEscape(result))
}
