package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

const (
	perPage   = 15              // events
	perEvent  = 6               // recipients of one, in a list
	lookEvery = 2 * time.Second // a live page
	keepAlive = 15 * time.Second
	slowest   = 10 * time.Second // that a browser may take to read what was sent, before it is dropped
)

// now is the start page.
type nowView struct {
	Summary summary
	Entries []entry
	Live    bool
	Older   string // address of the events before these
	Config  running
	Unready string // what keeps the hub from its work
	Shared  bool
}

// running is the configuration in force, in words.
type running struct{ Label, Running, Since, Rules, Restart string }

func (p *Pages) running(lang page.Lang, c Config) running {
	out := running{words.Say(lang, "config.running"), c.Running, words.Say(lang, "config.since", "at", lang.Moment(c.Since.In(p.Zone()))),
		words.Say(lang, "config.rules", "rules", c.Rules), ""}
	if len(c.Waiting) > 0 {
		out.Restart = words.Say(lang, "config.restart", "keys", strings.Join(c.Waiting, ", "))
	}
	return out
}

// summary is what waits, in numbers.
type summary struct {
	Waiting, Late, Alarms string
	Bad                   bool // somebody waits, or an alarm is open
}

// home shows the newest events.
func (p *Pages) home(w http.ResponseWriter, r *http.Request, who page.Session) {
	var before cursor
	if text := r.URL.Query().Get("before"); text != "" {
		var ok bool
		if before, ok = parseCursor(text); !ok {
			p.refuse(w, r, who, missing())
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	lang := page.LangOf(r)
	view := nowView{Live: before == nil, Config: p.running(lang, p.Config()), Shared: p.Shared}
	if ok, why := p.Ready(); !ok {
		view.Unready = why
	}
	part, next, err := p.part(ctx, lang, before)
	if err != nil {
		p.refuse(w, r, who, err)
		return
	}
	view.Summary, view.Entries = part.summary, part.entries
	if next != nil {
		view.Older = "/admin?before=" + next.String()
	}
	c := page.Content{Title: words.Say(lang, "now.title")}
	if view.Live {
		c.Scripts = []string{scriptPath}
	}
	p.show(w, r, who, http.StatusOK, c, "now", view)
}

// part is what of the page changes.
type part struct {
	summary summary
	entries []entry
}

func (p *Pages) part(ctx context.Context, lang page.Lang, before cursor) (part, cursor, error) {
	found, next, err := p.newest(ctx, before, perPage)
	if err != nil {
		return part{}, nil, err
	}
	var out part
	for _, st := range found {
		e, err := p.entry(ctx, lang, st, perEvent)
		if err != nil {
			return part{}, nil, err
		}
		out.entries = append(out.entries, e)
	}
	out.summary, err = p.sum(ctx, lang)
	return out, next, err
}

// sum is what waits now.
func (p *Pages) sum(ctx context.Context, lang page.Lang) (s summary, err error) {
	waiting, parked, who := 0, 0, 0
	var oldest time.Duration
	for _, one := range p.Recipients() {
		waiting, parked, oldest = waiting+one.Waiting, parked+one.Parked, max(oldest, one.Oldest)
		if one.Parked > 0 {
			who++
		}
	}
	open, more, err := p.openAlarms(ctx)
	if err != nil {
		return s, err
	}
	s = summary{words.Say(lang, "sum.none"), words.Say(lang, "sum.reached"), words.Say(lang, "sum.quiet"), parked+open > 0}
	if more {
		s.Alarms = words.Say(lang, "sum.newest", "n", mostAlarms)
	}
	if waiting > 0 {
		s.Waiting = words.Count(lang, "sum.waiting", waiting) + " " + words.Say(lang, "sum.oldest", "age", age(lang, oldest))
	}
	if parked > 0 {
		s.Late = words.Count(lang, "sum.parked", who, "what", words.Count(lang, "sum.messages", parked))
	}
	switch {
	case open > 0 && more:
		s.Alarms = words.Say(lang, "sum.more", "n", open)
	case open > 0:
		s.Alarms = words.Count(lang, "sum.alarms", open)
	}
	return s, nil
}

// fragment is a part as a script gets it.
type fragment struct {
	News    string   `json:"news"` // HTML, as all of these: that an edit was refused
	Summary string   `json:"summary"`
	Config  string   `json:"config"`
	Rows    []string `json:"rows"` // each event
	seen    string   // the events among them
}

func (p *Pages) fragment(r *http.Request) (fragment, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeFor)
	defer cancel()
	lang, config := page.LangOf(r), p.Config()
	part, _, err := p.part(ctx, lang, nil)
	if err != nil {
		return fragment{}, err
	}
	out := fragment{Rows: []string{}, Summary: render("summary", part.summary), Config: render("config", p.running(lang, config))}
	if b := bannerOf(lang, config); b != nil {
		out.News = render("banner", b)
	}
	for _, e := range part.entries {
		out.Rows = append(out.Rows, render("entry", e))
		out.seen += e.ID
	}
	return out, nil
}

// rows answers a browser that looks again now and then.
func (p *Pages) rows(w http.ResponseWriter, r *http.Request, _ page.Session) {
	now, err := p.fragment(r)
	if err != nil {
		p.Log.Error("an admin's page", "cause", err.Error())
		answerJSON(w, http.StatusServiceUnavailable, map[string]string{"error": string(events.Unavailable)})
		return
	}
	answerJSON(w, http.StatusOK, now)
}

// live sends the page's parts as server-sent events (WHATWG HTML, 9.2) whenever they change.
func (p *Pages) live(w http.ResponseWriter, r *http.Request, who page.Session) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		answerJSON(w, http.StatusServiceUnavailable, map[string]string{"error": string(events.Unavailable)})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	rc := http.NewResponseController(w)
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	shown := watcher{}
	for {
		text, ok := p.news(r, who, &shown)
		if !ok || rc.SetWriteDeadline(time.Now().Add(slowest)) != nil {
			return
		}
		if text != "" {
			if _, err := w.Write([]byte(text)); err != nil || rc.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-p.Draining:
			return
		case <-tick.C:
		}
		if now, in := p.Session(r); !in || now.Actor != who.Actor || !p.Admin(now.Actor) {
			return
		}
	}
}

// watcher is what a live page has shown.
type watcher struct {
	last, seen string
	at         time.Time // when anything was sent
}

// news is what a live page is sent now, "" for nothing. Events that it has not shown yet are put on record first; false ends the
// page, where that cannot be done or the store does not answer: the browser then says that the page is not up to date.
func (p *Pages) news(r *http.Request, who page.Session, shown *watcher) (string, bool) {
	now, err := p.fragment(r)
	if err != nil {
		return "", false
	}
	data, _ := json.Marshal(now) // strings always marshal
	if string(data) == shown.last {
		if time.Since(shown.at) < keepAlive {
			return "", true
		}
		shown.at = time.Now()
		return ": alive\n\n", true
	}
	if shown.seen != "" && now.seen != shown.seen {
		if err := p.record(r, who, Access{Interaction: "search-type", Type: "Communication"}, true); err != nil {
			return "", false
		}
	}
	shown.last, shown.seen, shown.at = string(data), now.seen, time.Now()
	return fmt.Sprintf("event: now\ndata: %s\n\n", data), true
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a browser that is gone asks again
}

// entry is an event in a list.
type entry struct {
	ID, Ref, What, Patient, When string
	Marks                        []string // TEST, what it corrects, how it came in
	Rows                         []row
	More                         string
	Open                         bool // somebody is still to be told
}

// row is how telling one recipient stands.
type row struct {
	id, Words string
	Mood      string // good, wait or bad: how it is marked, beside its words
	Name      string
	Endpoints []endpoint
}

// endpoint leads to where a recipient can be sent it again.
type endpoint struct{ Log, Again, Key string }

// entry is an event and the first of its recipients, those who need somebody before the others.
func (p *Pages) entry(ctx context.Context, lang page.Lang, st events.Stored, most int) (entry, error) {
	e := st.Record.Event
	out := entry{ID: e.ID, Ref: events.Ref(e.ID), Patient: e.Patient, What: p.what(lang, e), When: lang.At(e.Recorded.In(p.Zone()), p.now())}
	if e.Test {
		out.Marks = append(out.Marks, words.Say(lang, "mark.test"))
	}
	for _, f := range e.Flags {
		if key := "flag." + string(f); words.Has(key) {
			out.Marks = append(out.Marks, words.Say(lang, key))
		}
	}
	all, err := p.Receipts(ctx, st)
	if err != nil {
		return out, err
	}
	shown := events.Shown(all)
	out.Open = slices.ContainsFunc(shown, func(r events.Receipt) bool { return !r.State.Final() })
	if len(shown) > most {
		slices.SortStableFunc(shown, func(a, b events.Receipt) int { return urgency(b) - urgency(a) })
		out.More = words.Count(lang, "entry.more", len(shown)-most)
		shown = shown[:most]
	}
	for _, r := range shown {
		out.Rows = append(out.Rows, p.row(lang, r))
	}
	return out, nil
}

func (p *Pages) what(lang page.Lang, e events.Event) string {
	what := words.Say(lang, "kind."+string(e.Kind))
	if e.Because != "" {
		what = words.Say(lang, "because", "what", what, "why", words.Say(lang, "kind."+string(e.Because)))
	}
	if e.Corrects != "" {
		what = words.Say(lang, "correction", "what", what)
	}
	return what
}

// urgency puts those first for whom somebody may have to do something.
func urgency(r events.Receipt) int {
	return slices.Index([]string{"good", "wait", "bad"}, mood(r))
}

func mood(r events.Receipt) string {
	switch {
	case r.State == events.Sent, r.State == events.Received, r.State == events.Acknowledged:
		return "good"
	case r.State == events.Retrying, r.State.Final() && r.State != events.Withdrawn:
		return "bad"
	}
	return "wait"
}

// row says how one recipient stands, in the fixed words. What somebody there has written for the family stays with the family.
func (p *Pages) row(lang page.Lang, r events.Receipt) row {
	if r.Ack != nil {
		quiet := *r.Ack
		quiet.Line = ""
		r.Ack = &quiet
	}
	return row{id: r.ID, Name: r.Name, Words: p.Words(lang, r, p.Clock(), p.Zone()), Mood: mood(r)}
}

// age says a length of time as coarsely as people speak of it.
func age(lang page.Lang, d time.Duration) string {
	unit, n := coarse(d)
	return words.Count(lang, unit, n)
}

// inShort is the same where there is little room.
func inShort(lang page.Lang, d time.Duration) string {
	unit, n := coarse(d)
	return words.Say(lang, "in-short."+unit, "n", n)
}

func coarse(d time.Duration) (unit string, n int) {
	switch {
	case d < time.Minute:
		return "seconds", int(d / time.Second)
	case d < 2*time.Hour:
		return "minutes", int(d / time.Minute)
	case d < 48*time.Hour:
		return "hours", int(d / time.Hour)
	}
	return "days", int(d / (24 * time.Hour))
}

func render(name string, data any) string {
	var b strings.Builder
	if err := parts.ExecuteTemplate(&b, name, data); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
