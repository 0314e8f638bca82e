package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"carehub/events"
)

// carersPages are the pages behind signing in, and how a carer might get at a patient of others by them. A new one needs a
// row here.
func carersPages() map[string][]attempt {
	get := func(path string) []attempt { return []attempt{{method: "GET", path: path}} }
	post := func(path string) []attempt {
		return []attempt{{method: "POST", path: path, body: "what=fall&key=k&csrf={csrf}", media: formMedia}}
	}
	return map[string][]attempt{
		"GET /{$}":                    get("/"),
		"GET /log/{patient}":          get("/log/{patient}"),
		"GET /log/{patient}/when":     get("/log/{patient}/when?what=fall"),
		"POST /log/{patient}/when":    post("/log/{patient}/when"),
		"POST /log/{patient}/check":   post("/log/{patient}/check"),
		"POST /log/{patient}/send":    post("/log/{patient}/send"),
		"GET /log/{patient}/phones":   get("/log/{patient}/phones"),
		"POST /log/{patient}/missing": post("/log/{patient}/missing"),
		"GET /e/{event}":              get("/e/{event}"),
		"GET /e/{event}/rows":         get("/e/{event}/rows"),
		"POST /e/{event}/undo":        post("/e/{event}/undo"),
		"GET /e/{event}/mistake":      get("/e/{event}/mistake"),
		"POST /e/{event}/mistake":     {{method: "POST", path: "/e/{event}/mistake", body: "mistake=retracted&csrf={csrf}", media: formMedia}},
		"GET /e/{event}/live":         get("/e/{event}/live"),
		"GET /p/{patient}":            append(get("/p/{patient}"), get("/p/{patient}?before={event}")...),
		"GET /p/{patient}/card":       get("/p/{patient}/card"),

		"GET /e/{event}/document/{document}": get("/e/{documented}/document/{document}"),
		"GET /p/{patient}/letter/{event}":    append(get("/p/{patient}/letter/{event}"), get("/p/{patient}/letter/{event}.pdf")...),
	}
}

// browser is a carer's, signed in at the doors of a hub.
type browser struct {
	b      *bystander
	cookie *http.Cookie
	csrf   string
}

var hidden = regexp.MustCompile(`name="(once|csrf)" value="([^"]+)"`)

func (b *bystander) signIn(carer string) *browser {
	b.t.Helper()
	link, err := b.hub.signin.Invite(b.t.Context(), carer)
	if err != nil {
		b.t.Fatal(err)
	}
	path := strings.TrimPrefix(link, b.hub.current().hub.URL)
	one := &browser{b: b}
	once := hidden.FindStringSubmatch(one.do("GET", path, "").Body.String())
	for _, c := range one.do("POST", path, url.Values{"once": {once[2]}}.Encode()).Result().Cookies() {
		one.cookie = c
	}
	one.csrf = hidden.FindStringSubmatch(one.do("GET", "/", "").Body.String())[2]
	return one
}

func (one *browser) do(method, path, form string) *httptest.ResponseRecorder {
	one.b.t.Helper()
	r := httptest.NewRequestWithContext(one.b.t.Context(), method, path, strings.NewReader(form))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", formMedia)
	}
	if one.cookie != nil {
		r.AddCookie(one.cookie)
	}
	answer := httptest.NewRecorder()
	one.b.doors.ServeHTTP(answer, r)
	at, _, _ := strings.Cut(path, "?")
	conforms(one.b.t, method, at, answer.Code, answer.Header(), answer.Body.Bytes())
	return answer
}

// TestCarersPages: on every page, a carer who is signed in gets of a patient of others what there is to say about one who does
// not exist, and of their own what they came for.
func TestCarersPages(t *testing.T) {
	t.Parallel()
	b, mine, theirs, nobody := newBystander(t)
	ruth := b.signIn("ruth")
	for pattern, attempts := range carersPages() {
		for _, a := range attempts {
			try := func(w whom) *httptest.ResponseRecorder {
				w["csrf"] = ruth.csrf
				filled := a.about(b.hub.current().hub.URL, w)
				return ruth.do(filled.method, filled.path, filled.body)
			}
			if strings.HasSuffix(pattern, "/live") { // of their own it does not end
				if at := try(theirs); at.Code != http.StatusNotFound {
					t.Errorf("%s: status %d", pattern, at.Code)
				}
				continue
			}
			own, at, none := try(mine), try(theirs), try(nobody)
			if own.Code != http.StatusOK && own.Code != http.StatusSeeOther {
				t.Errorf("%s: of their own: status %d: %s", pattern, own.Code, own.Body)
			}
			if strings.Contains(at.Body.String(), "Ostrich") || at.Code != none.Code || at.Body.String() != none.Body.String() {
				t.Errorf("%s: status %d, of nobody %d: %s", pattern, at.Code, none.Code, at.Body)
			}
			if pattern != "GET /{$}" && at.Code != http.StatusNotFound {
				t.Errorf("%s: status %d: %s", pattern, at.Code, at.Body)
			}
		}
	}
	for _, secret := range []string{"Olive", "Ostrich", "Gwen", "Thomas"} {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}

// handset is a carer's phone that is signed in at a running hub, without scripts.
type handset struct {
	w            *town
	cookie, csrf string
}

// handset signs a carer in at a running hub.
func (w *town) handset(carer string) *handset {
	w.t.Helper()
	path := strings.TrimPrefix(strings.TrimSpace(w.carehub("invite", carer, "--dir", w.dir)), w.url)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader("once=1"))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", formMedia)
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	one := &handset{w: w, cookie: resp.Cookies()[0].String()}
	_, home := one.ask("GET", "/", nil)
	one.csrf = hidden.FindStringSubmatch(home)[2]
	return one
}

func (h *handset) ask(method, path string, form url.Values, headers ...string) (int, string) {
	h.w.t.Helper()
	if form != nil {
		form = maps.Clone(form)
		form.Set("csrf", h.csrf)
		headers = append(headers, "Content-Type", formMedia)
	}
	return h.w.ask(method, path, "", form.Encode(), append(headers, "Cookie", h.cookie)...)
}

// sends sends a form for an event of the patient.
func (h *handset) sends(form url.Values) (int, string) {
	h.w.t.Helper()
	return h.ask("POST", "/log/p-7f3k/send", form)
}

// TestPossibleRepeatIsAsked: what anybody logged a few minutes ago is asked about, by name where that may be seen, and two
// pages that are sent at once are one event.
func TestPossibleRepeatIsAsked(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth, tom := w.handset("ruth"), w.handset("tom")
	var saved atomic.Int32
	var taps sync.WaitGroup
	for n := range 8 {
		taps.Go(func() { // pages of their own; the last two are one that was tapped twice
			switch status, answer := ruth.sends(url.Values{"what": {"admission"}, "key": {fmt.Sprint("page-", min(n, 6))}}); {
			case status == http.StatusSeeOther:
				saved.Add(1)
			case status != http.StatusConflict || !strings.Contains(answer, "You logged the same"):
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	taps.Wait()
	if n := saved.Load(); n < 1 || n > 2 {
		t.Errorf("%d were saved", n)
	}
	one := url.Values{"what": {"admission"}, "key": {"page-of-tom"}}
	if status, answer := tom.ask("POST", "/log/p-7f3k/check", one); status != http.StatusOK || !strings.Contains(answer, "Somebody logged the same") || strings.Contains(answer, "Ruth Example") {
		t.Errorf("status %d: %s", status, answer)
	}
	if status, answer := tom.ask("POST", "/log/p-7f3k/send", one, "Accept", "application/json"); status != http.StatusConflict || !strings.Contains(answer, `"repeat"`) {
		t.Errorf("status %d: %s", status, answer)
	}
	one.Set("another", "yes")
	if status, answer := tom.sends(one); status != http.StatusSeeOther {
		t.Errorf("status %d: %s", status, answer)
	}
	if _, answer := ruth.ask("POST", "/log/p-7f3k/check", url.Values{"what": {"admission"}, "key": {"page-of-ruth"}}); !strings.Contains(answer, "Tom Example logged the same 1 minute ago") {
		t.Error(answer)
	}
	waitUntil(t, "two are told of", func() bool { return len(w.hospice.messages()) == 2 })
	if again := w.hospice.messages()[1].Event; !again.Has(events.FlagRepeat) || again.By.ID != "tom" {
		t.Errorf("%+v", again)
	}
}

// TestSameKeyOnPages: a key is one event, whatever is sent under it later, and whoever comes back to its check is led there.
func TestSameKeyOnPages(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start()
	ruth := w.handset("ruth")
	one := url.Values{"what": {"discharge"}, "key": {"page-1"}, "place": {"Riverside Hospital"}}
	for range 2 {
		if status, answer := ruth.sends(one); status != http.StatusSeeOther {
			t.Errorf("status %d: %s", status, answer)
		}
	}
	if status, _ := ruth.ask("POST", "/log/p-7f3k/check", one); status != http.StatusSeeOther {
		t.Errorf("its check: status %d", status)
	}
	one.Set("words", "He walked in by himself.")
	if status, answer := ruth.sends(one); status != http.StatusConflict || !strings.Contains(answer, "sent this already") {
		t.Errorf("status %d: %s", status, answer)
	}
	if status, answer := ruth.ask("POST", "/log/p-7f3k/send", one, "Accept", "application/json"); status != http.StatusConflict || !strings.Contains(answer, `"event":"ev-7f3k-`) {
		t.Errorf("status %d: %s", status, answer)
	}
	if status, _ := ruth.w.ask("POST", "/log/p-7f3k/send", "", one.Encode(), "Content-Type", formMedia, "Cookie", ruth.cookie); status != http.StatusForbidden {
		t.Errorf("without proof that the page sent it: status %d", status)
	}
}

// TestEndedOnPages: what somebody logs after their authority has ended is passed on with a mark, and they see nothing new.
func TestEndedOnPages(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.edit("routing/p-7f3k.yaml", "until: 2027-06-30", "until: 2026-01-31")
	w.start()
	tom := w.handset("tom")
	_, home := tom.ask("GET", "/", nil)
	one := url.Values{"what": {"fall"}, "key": {"page-1"}}
	_, check := tom.ask("POST", "/log/p-7f3k/check", one)
	for _, said := range []string{home, check} {
		if !strings.Contains(said, "grandad") || strings.Contains(said, "Thomas") || strings.Contains(said, "Riverside Surgery") {
			t.Error(said)
		}
	}
	if !strings.Contains(check, "has ended") {
		t.Error(check)
	}
	resp, err := w.phonePost(tom, "/log/p-7f3k/send", one)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	at := resp.Header.Get("Location")
	if status, answer := tom.ask("GET", at, nil); status != http.StatusOK || !strings.Contains(answer, "has ended") || strings.Contains(answer, "Riverside Surgery") {
		t.Errorf("%s: status %d: %s", at, status, answer)
	}
	if status, _ := tom.ask("GET", at+"/rows", nil); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	waitUntil(t, "the hospice is told", func() bool { return len(w.hospice.messages()) == 1 })
	if e := w.hospice.messages()[0].Event; !e.Has(events.FlagAuthorityEnded) {
		t.Errorf("%+v", e)
	}
}

func (w *town) phonePost(h *handset, path string, form url.Values) (*http.Response, error) {
	w.t.Helper()
	form = maps.Clone(form)
	form.Set("csrf", h.csrf)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", formMedia)
	req.Header.Set("Cookie", h.cookie)
	return w.http.Do(req)
}

// TestLivePageEndsWithItsSession: whoever is revoked is shown nothing more on a page that was open.
func TestLivePageEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	letGo := w.surgery.holds()
	defer letGo()
	w.start()
	ruth := w.handset("ruth")
	resp, err := w.phonePost(ruth, "/log/p-7f3k/send", url.Values{"what": {"fall"}, "key": {"page-1"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+resp.Header.Get("Location")+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", ruth.cookie)
	live, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	w.carehub("revoke", "ruth", "--dir", w.dir)
	letGo()
	said, err := io.ReadAll(live.Body) // it ends
	if err != nil || !strings.Contains(string(said), "Telling Riverside Surgery") || strings.Contains(string(said), "Received by the Riverside Surgery system") {
		t.Errorf("%v: %s", err, said)
	}
}
