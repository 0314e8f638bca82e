package signin_test

import (
	"bytes"
	"context"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/page"
	"carehub/events/stream"
	"carehub/subscribers/signin"
)

// desk is a hub on a store in memory, with a clock of its own.
type desk struct {
	t       testing.TB
	store   *stream.Memory
	now     time.Time
	carers  map[string]string
	service *signin.Service
	mux     *http.ServeMux
	did     []string // behind Required

	providers []signin.Provider
	entries   []signin.Entry // on record
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, store: stream.NewMemory(1), now: time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC), carers: map[string]string{"ruth": "Ruth Example", "tom": "Tom"}}
	d.service, d.mux = d.hub()
	return d
}

// hub is one more hub on the store, which follows it.
func (d *desk) hub() (*signin.Service, *http.ServeMux) {
	providers := slices.Clone(d.providers)
	s := signin.New(signin.Options{Store: d.store, Key: make([]byte, 32), Providers: func() []signin.Provider { return providers }, HTTP: http.DefaultClient, Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return d.now }, Record: func(e signin.Entry) { d.entries = append(d.entries, e) },
		Hub: func() events.Sender { return events.Sender{Name: "Riverside", URL: "https://hub.example"} },
		Person: func(id string) (events.Person, bool) {
			name, ok := d.carers[id]
			return events.Person{ID: id, Name: name}, ok
		}})
	known := make(chan struct{})
	go func() { _ = s.Follow(d.t.Context(), func() { close(known) }) }()
	<-known
	mux := http.NewServeMux()
	s.Routes(mux.HandleFunc)
	mux.HandleFunc("/log", s.Required(func(w http.ResponseWriter, r *http.Request, who page.Session) {
		d.did = append(d.did, r.Method+" "+who.Actor.ID+" "+who.Name)
	}))
	return s, mux
}

func (d *desk) invite(id string) (path string) {
	d.t.Helper()
	link, err := d.service.Invite(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	path, ok := strings.CutPrefix(link, "https://hub.example")
	if !ok {
		d.t.Fatal(link)
	}
	return path
}

// phone is a browser.
type phone struct {
	d      *desk
	mux    *http.ServeMux
	cookie *http.Cookie
}

func (p *phone) do(method, path string, form url.Values) *http.Response {
	p.d.t.Helper()
	r := httptest.NewRequestWithContext(p.d.t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)")
	if p.cookie != nil {
		r.AddCookie(p.cookie)
	}
	w := httptest.NewRecorder()
	p.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-carehub" {
			p.cookie = c
		}
	}
	return w.Result()
}

var onceField = regexp.MustCompile(`name="once" value="([^"]+)"`)

// signIn opens an invitation and presses the button, as many times as a finger does.
func (p *phone) signIn(path string, taps int) {
	p.d.t.Helper()
	opened := p.do("GET", path, nil)
	var body strings.Builder
	_ = opened.Write(&body)
	once := onceField.FindStringSubmatch(body.String())
	if opened.StatusCode != 200 || once == nil {
		p.d.t.Fatalf("%d %s", opened.StatusCode, body.String())
	}
	for range taps {
		if answer := p.do("POST", path, url.Values{"once": once[1:]}); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
			p.d.t.Fatalf("status %d", answer.StatusCode)
		}
	}
}

func (p *phone) signedIn() bool {
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(p.cookie)
	_, ok := p.d.service.Session(r)
	return ok
}

func (p *phone) csrf() string {
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(p.cookie)
	s, _ := p.d.service.Session(r)
	return s.CSRF
}

func TestInvitationSignsInOnce(t *testing.T) {
	d := newDesk(t)
	link := d.invite("ruth")
	ruth := &phone{d: d, mux: d.mux}
	for range 3 { // a mail scanner looks at it
		(&phone{d: d, mux: d.mux}).do("GET", link, nil)
	}
	ruth.signIn(link, 2)
	c := ruth.cookie
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != int(signin.SessionLife.Seconds()) {
		t.Errorf("cookie %+v", c)
	}
	for _, method := range []string{"GET", "POST"} {
		if answer := (&phone{d: d, mux: d.mux}).do(method, link, url.Values{"once": {"another"}}); answer.StatusCode != http.StatusNotFound || len(answer.Cookies()) > 0 {
			t.Errorf("used: %s: status %d", method, answer.StatusCode)
		}
	}
	devices := d.service.Devices()
	if len(devices) != 2 || devices[0].ID != "ruth" || devices[0].Device != "iPhone" { // two taps, of which the browser keeps the last
		t.Errorf("%+v", devices)
	}
	if _, err := d.service.Invite(t.Context(), "nobody"); events.KindOf(err) != events.NotFound {
		t.Error(err)
	}
	if answer := ruth.do("GET", "/signin?next=/log", nil); answer.Header.Get("Location") != "/log" {
		t.Error(answer.Header)
	}
	if answer := ruth.do("GET", "/signin?next=//evil.example/", nil); answer.Header.Get("Location") != "/" {
		t.Error(answer.Header)
	}
}

func TestInvitationEnds(t *testing.T) {
	d := newDesk(t)
	link := d.invite("ruth")
	d.now = d.now.Add(signin.InviteLife)
	if answer := (&phone{d: d, mux: d.mux}).do("GET", link, nil); answer.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestRequired(t *testing.T) {
	d := newDesk(t)
	ruth, stranger := &phone{d: d, mux: d.mux}, &phone{d: d, mux: d.mux}
	ruth.signIn(d.invite("ruth"), 1)
	tom := &phone{d: d, mux: d.mux}
	tom.signIn(d.invite("tom"), 1)
	if answer := stranger.do("GET", "/log", nil); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/signin?next=%2Flog" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	for _, c := range []struct {
		who    *phone
		csrf   string
		status int
	}{{stranger, ruth.csrf(), 401}, {ruth, "", 403}, {ruth, "forged", 403}, {ruth, tom.csrf(), 403}, {ruth, ruth.csrf(), 200}} {
		if answer := c.who.do("POST", "/log", url.Values{"csrf": {c.csrf}}); answer.StatusCode != c.status {
			t.Errorf("%q: status %d, want %d", c.csrf, answer.StatusCode, c.status)
		}
	}
	if len(d.did) != 1 || d.did[0] != "POST ruth Ruth Example" {
		t.Errorf("%q", d.did)
	}
}

// TestFormsAreSmall: the proof is not looked for beyond 64 KB of a form, whatever the form is, unless a page has read it itself.
func TestFormsAreSmall(t *testing.T) {
	d := newDesk(t)
	ruth := &phone{d: d, mux: d.mux}
	ruth.signIn(d.invite("ruth"), 1)
	post := func(padding int, read bool) int {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		for name, value := range map[string]string{"a": strings.Repeat("x", padding), "csrf": ruth.csrf()} {
			if err := form.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/log", &b)
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.AddCookie(ruth.cookie)
		if read {
			r.PostForm = url.Values{"csrf": {ruth.csrf()}}
		}
		w := httptest.NewRecorder()
		d.mux.ServeHTTP(w, r)
		return w.Code
	}
	if small, large, read := post(100, false), post(64<<10, false), post(64<<10, true); small != 200 || large != 403 || read != 200 {
		t.Error(small, large, read)
	}
}

func TestSessionLastsWhileItIsUsed(t *testing.T) {
	d := newDesk(t)
	ruth := &phone{d: d, mux: d.mux}
	ruth.signIn(d.invite("ruth"), 1)
	for range 5 {
		d.now = d.now.Add(signin.SessionLife - time.Hour)
		before := ruth.cookie
		if answer := ruth.do("GET", "/log", nil); answer.StatusCode != 200 || ruth.cookie == before {
			t.Fatalf("status %d; the cookie must be renewed", answer.StatusCode)
		}
		if answer := ruth.do("GET", "/log", nil); len(answer.Cookies()) > 0 {
			t.Error("renewed twice on a day")
		}
	}
	d.now = d.now.Add(signin.SessionLife)
	if ruth.signedIn() {
		t.Error("signed in after 90 days without use")
	}
	if err := d.service.Tidy(t.Context()); err != nil || len(d.service.Devices()) > 0 {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	d := newDesk(t)
	ruth, tom := &phone{d: d, mux: d.mux}, &phone{d: d, mux: d.mux}
	ruth.signIn(d.invite("ruth"), 1)
	tom.signIn(d.invite("tom"), 1)
	spare := d.invite("ruth")
	elsewhere, _ := d.hub()
	gone, err := elsewhere.Revoke(t.Context(), "ruth")
	if err != nil || gone != (signin.Revoked{Sessions: 1, Invitations: 1}) {
		t.Errorf("%+v %v", gone, err)
	}
	waitUntil(t, func() bool { return !ruth.signedIn() })
	if answer := (&phone{d: d, mux: d.mux}).do("GET", spare, nil); answer.StatusCode != http.StatusNotFound || !tom.signedIn() {
		t.Errorf("the invitation: status %d; tom is signed in: %t", answer.StatusCode, tom.signedIn())
	}
	delete(d.carers, "tom")
	if tom.signedIn() {
		t.Error("tom is signed in, and not in carers.yaml")
	}
}

func TestSignOut(t *testing.T) {
	d := newDesk(t)
	ruth := &phone{d: d, mux: d.mux}
	ruth.signIn(d.invite("ruth"), 1)
	kept := *ruth.cookie
	if answer := ruth.do("POST", "/signout", nil); answer.StatusCode != http.StatusForbidden || !ruth.signedIn() {
		t.Errorf("without proof: status %d", answer.StatusCode)
	}
	if answer := ruth.do("POST", "/signout", url.Values{"csrf": {ruth.csrf()}}); answer.StatusCode != http.StatusSeeOther || ruth.cookie.MaxAge >= 0 {
		t.Errorf("status %d, cookie %v", answer.StatusCode, ruth.cookie)
	}
	ruth.cookie = &kept
	if ruth.signedIn() {
		t.Error("a cookie that was copied still signs in")
	}
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	want := []signin.Entry{{By: by, How: "invitation", From: "192.0.2.1", At: d.now}, {By: by, Out: true, From: "192.0.2.1", At: d.now}}
	if !slices.Equal(d.entries, want) {
		t.Errorf("on record is %+v", d.entries)
	}
}

func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain")
		case <-time.After(time.Millisecond):
		}
	}
}
