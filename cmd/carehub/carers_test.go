package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
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
		"GET /e/{event}/live":         get("/e/{event}/live"),
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
	path := strings.TrimPrefix(link, b.hub.folder.hub.URL)
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
	b, mine, theirs, nobody := newBystander(t)
	ruth := b.signIn("ruth")
	for pattern, attempts := range carersPages() {
		for _, a := range attempts {
			try := func(w whom) *httptest.ResponseRecorder {
				w["csrf"] = ruth.csrf
				filled := a.about(b.hub.folder.hub.URL, w)
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
