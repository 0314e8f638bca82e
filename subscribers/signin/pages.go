package signin

import (
	"embed"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carehub/events"
	"carehub/events/page"
)

//go:embed words.en.json words.cy.json
var catalogue embed.FS

//go:embed pages.html
var layout string

var (
	words          = page.Catalogue(catalogue)
	layoutTemplate = page.Parse(layout, words)
)

// body is what a page of this package says.
type body struct {
	Form string // invite: the button that signs in; offer: a passkey; empty: how to get in
	Once string // makes one form out of two taps
	Name string
	Back string // where the reader wanted to go
	Next string // where a passkey leads; empty where the hub can have none
	Ways []way  // for staff
}

const maxForm = 4 << 10 // bytes of a form

// Routes are the addresses of signing in and out.
func (s *Service) Routes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("GET /signin", s.how)
	handle("GET /signin/{token}", s.invited)
	handle("POST /signin/{token}", s.redeem)
	handle("POST /signout", s.signOut)
	s.passkeyRoutes(handle)
	s.gateRoutes(handle)
}

func (s *Service) say(r *http.Request, key string) string {
	return words.Say(page.LangOf(r), key, "hub", s.Hub().Name)
}

func (s *Service) write(w http.ResponseWriter, r *http.Request, status int, title, problem string, b body) {
	c := page.Content{Title: s.say(r, title), Body: b}
	if problem != "" {
		c.Problem = s.say(r, problem)
	}
	if b.Next != "" || b.Form == "invite" {
		c.Scripts = s.scripts()
	}
	s.show(w, r, status, c)
}

func (s *Service) show(w http.ResponseWriter, r *http.Request, status int, c page.Content) {
	page.Writer{Hub: s.Hub, Log: s.Log}.Write(w, r, status, layoutTemplate, c)
}

// how tells somebody who is not signed in what to do.
func (s *Service) how(w http.ResponseWriter, r *http.Request) {
	next := page.Local(r.URL.Query().Get("next"))
	if _, ok := s.Session(r); ok {
		page.Redirect(w, next)
		return
	}
	s.write(w, r, http.StatusOK, "how.title", "", s.ways(next))
}

// ways are the ways in without a link.
func (s *Service) ways(next string) (b body) {
	if s.party() != nil {
		b.Next = next
	}
	b.Ways = s.providers(next)
	return b
}

// invited shows an invitation. It changes nothing: mail programs and chats open links to look at them.
func (s *Service) invited(w http.ResponseWriter, r *http.Request) {
	if s.slow(w, r) {
		return
	}
	i, ok := s.open(r.PathValue("token"))
	if !ok || !i.Used.IsZero() {
		s.dead(w, r)
		return
	}
	once, _ := fresh()
	p, _ := s.Person(i.ID)
	s.write(w, r, http.StatusOK, "invite.title", "", body{Form: "invite", Once: once, Name: p.Name})
}

func (s *Service) dead(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusNotFound, "dead.title", "dead.problem", body{})
}

// open returns the invitation of a link, as long as it is good and its carer is registered.
func (s *Service) open(token string) (invite, bool) {
	s.mu.RLock()
	i, ok := s.invites[hashOf(token)]
	s.mu.RUnlock()
	if ok {
		_, ok = s.Person(i.ID)
	}
	return i, ok && i.good(s.now())
}

// errUsed: an invitation is good once.
var errUsed = errors.New("the invitation was used already")

// redeem signs in.
func (s *Service) redeem(w http.ResponseWriter, r *http.Request) {
	if s.slow(w, r) {
		return
	}
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	i, ok := s.open(r.PathValue("token"))
	if !ok {
		s.dead(w, r)
		return
	}
	err := s.use(r, hashOf(r.PostFormValue("once")))
	if errors.Is(err, errUsed) {
		s.dead(w, r)
		return
	}
	var secret string
	if err == nil {
		now := s.now()
		secret, err = s.begin(ctx, session{ID: i.ID, Device: device(r.UserAgent()), Created: now, Seen: now})
	}
	if err != nil {
		s.Log.Error("nobody can sign in just now", "error", err.Error())
		s.write(w, r, http.StatusServiceUnavailable, "invite.title", "away", body{Form: "invite", Once: r.PostFormValue("once")})
		return
	}
	s.Log.Info("signed in", "carer", i.ID, "by", "invitation")
	s.record(r, Entry{By: events.Actor{Kind: events.Carer, ID: i.ID}, How: "invitation"})
	s.keep(w, secret, SessionLife)
	if r.PostFormValue("passkey") != "" && s.party() != nil { // the browser says that it can
		page.Redirect(w, "/signin/passkey")
		return
	}
	page.Redirect(w, "/")
}

// use uses an invitation up. The same form may be sent again for a moment: a finger that tapped twice is not refused.
func (s *Service) use(r *http.Request, form string) error {
	key := inviteKey + hashOf(r.PathValue("token"))
	value, revision, ok, err := s.Store.HubGet(r.Context(), key)
	if err != nil {
		return err
	}
	i, now := invite{}, s.now()
	if ok {
		all := map[string]invite{}
		takeInto(all, "", value)
		i = all[""]
	}
	switch {
	case !ok || !i.good(now):
		return errUsed
	case !i.Used.IsZero() && same(i.Form, form) && now.Before(i.Used.Add(again)):
		return nil
	case !i.Used.IsZero():
		return errUsed
	}
	i.Used, i.Form = now, form
	if err = s.put(r.Context(), key, i, revision); events.KindOf(err) == events.Conflict { // the other tap was quicker
		return s.use(r, form)
	}
	return err
}

// record puts on record that somebody came or went.
func (s *Service) record(r *http.Request, e Entry) {
	e.From, e.At = address(r), s.now()
	s.Record(e)
}

// keep has the browser keep a secret, or forget it.
func (s *Service) keep(w http.ResponseWriter, secret string, life time.Duration) {
	age := int(life.Seconds())
	if secret == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: secret, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode})
}

func (s *Service) secure() bool { return strings.HasPrefix(s.Hub().URL, "https://") }

// cookieName has the prefix that keeps other hosts from setting the cookie (RFC 6265bis, 4.1.3), where there is TLS.
func (s *Service) cookieName() string {
	if s.secure() {
		return "__Host-carehub"
	}
	return "carehub"
}

// found is the session of a request.
func (s *Service) found(r *http.Request) (hash string, one session, who page.Session, ok bool) {
	for _, c := range r.CookiesNamed(s.cookieName()) {
		hash = hashOf(c.Value)
		s.mu.RLock()
		one, ok = s.sessions[hash]
		s.mu.RUnlock()
		if ok && one.good(s.now()) {
			who, ok = s.whoIs(one)
			who.CSRF = s.mac("csrf", hash)
			return hash, one, who, ok
		}
	}
	return "", session{}, page.Session{}, false
}

// whoIs is whose session it is, as long as they may still have one.
func (s *Service) whoIs(one session) (who page.Session, ok bool) {
	switch one.Kind {
	case events.System:
		g, ok := s.gate(one.ID)
		return page.Session{Actor: events.Actor{Kind: events.System, ID: one.ID}, Name: one.Name}, ok && same(one.Terms, g.terms)
	case "":
		p, ok := s.Person(one.ID)
		return page.Session{Actor: events.Actor{Kind: events.Carer, ID: one.ID}, Name: p.Name}, ok
	}
	return page.Session{}, false
}

// Session is who sends a request, if they are signed in.
func (s *Service) Session(r *http.Request) (page.Session, bool) {
	_, _, who, ok := s.found(r)
	if !ok {
		return page.Session{}, false
	}
	return who, true
}

// Required lets only those in who are signed in: others are led to where they can, and back. What would change something
// needs the proof that the hub's own page sent it, in the field or header csrf.
func (s *Service) Required(next func(http.ResponseWriter, *http.Request, page.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := s.Session(r)
		switch {
		case !ok && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			page.Redirect(w, "/signin?next="+url.QueryEscape(r.URL.Path))
			return
		case !ok:
			s.write(w, r, http.StatusUnauthorized, "how.title", "ended", s.ways("/"))
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead && !s.proven(w, r, who):
			s.write(w, r, http.StatusForbidden, "forged.title", "forged.problem", body{Back: "/"})
			return
		}
		s.renew(w, r)
		next(w, r, who)
	}
}

// proven reports whether a request comes from a page of the hub's own that this session was shown.
func (s *Service) proven(w http.ResponseWriter, r *http.Request, who page.Session) bool {
	if r.Body != nil && r.PostForm == nil { // a page that takes files has read them by now, within bounds of its own
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	}
	if given := r.Header.Get("X-CSRF-Token"); given != "" {
		return same(given, who.CSRF)
	}
	return same(r.PostFormValue("csrf"), who.CSRF)
}

// renew notes, once a day, that a session is in use, and lets the cookie live on. What fails is tried with the next request.
func (s *Service) renew(w http.ResponseWriter, r *http.Request) {
	hash, one, _, ok := s.found(r)
	now := s.now()
	if !ok || !one.Until.IsZero() || now.Sub(one.Seen) < renewAfter {
		return
	}
	value, revision, there, err := s.Store.HubGet(r.Context(), sessionKey+hash)
	if err != nil || !there || len(value) == 0 {
		return
	}
	one.Seen = now
	if err := s.put(r.Context(), sessionKey+hash, one, revision); err != nil {
		s.Log.Warn("a session could not be renewed; trying again", "error", err.Error())
		return
	}
	for _, c := range r.CookiesNamed(s.cookieName()) {
		if hashOf(c.Value) == hash {
			s.keep(w, c.Value, SessionLife)
		}
	}
}

// signOut ends the session. It needs no proof beyond the form's: whoever is signed out can sign in again by a passkey or a link.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) {
	who, ok := s.Session(r)
	if ok && !s.proven(w, r, who) {
		s.write(w, r, http.StatusForbidden, "forged.title", "forged.problem", body{Back: "/"})
		return
	}
	if hash, _, _, found := s.found(r); found {
		if err := s.drop(r.Context(), []string{sessionKey + hash}); err != nil {
			s.Log.Error("nobody can sign out just now", "error", err.Error())
			s.write(w, r, http.StatusServiceUnavailable, "out.title", "away", body{})
			return
		}
	}
	if ok {
		entry := Entry{By: who.Actor, Out: true}
		if who.Actor.Kind == events.System {
			entry.Name = who.Name
		}
		s.record(r, entry)
	}
	s.keep(w, "", 0)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	page.Redirect(w, "/signin")
}

// device is what a browser says it runs on, as coarsely as people speak of it.
func device(agent string) string {
	for _, known := range []struct{ mark, name string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"Linux", "Linux"},
	} {
		if strings.Contains(agent, known.mark) {
			return known.name
		}
	}
	return "unknown"
}
