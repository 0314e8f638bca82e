package page

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"carehub/events"
)

var twoLanguages = fstest.MapFS{
	"words.en.json": {Data: []byte(`{"hello": "Hello {name}", "teams#one": "{n} team", "teams#other": "{n} teams"}`)},
	"words.cy.json": {Data: []byte(`{"hello": "Helo {name}", "teams#two": "{n} dîm", "teams#other": "{n} tîm"}`)},
}

func TestLanguageIsTheReaders(t *testing.T) {
	body := Parse(`<p>{{$.Say "hello" "name" .Body}}, {{$.Count "teams" 2}}</p>`, Catalogue(twoLanguages))
	for _, c := range []struct{ path, accept, cookie, want, set string }{
		{"/", "", "", "Hello &lt;Ruth&gt;, 2 teams", ""},
		{"/", "cy-GB,cy;q=0.9,en;q=0.5", "", "Helo &lt;Ruth&gt;, 2 dîm", ""},
		{"/", "de", "", "Hello &lt;Ruth&gt;, 2 teams", ""},
		{"/", "cy", "lang=en-GB", "Hello", ""},
		{"/?lang=cy", "en", "", "Helo", "lang=cy"},
		{"/?lang=xx", "en", "lang=cy", "Helo", ""},
	} {
		p := Writer{Log: slog.New(slog.DiscardHandler), Hub: func() events.Sender { return events.Sender{Name: "H", URL: "https://hub.example"} }}
		r := httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Accept-Language", c.accept)
		r.Header.Set("Cookie", c.cookie)
		w := httptest.NewRecorder()
		p.Write(w, r, 200, body, Content{Title: "A", Body: "<Ruth>"})
		lang := "en-GB"
		if strings.HasPrefix(c.want, "Helo") {
			lang = "cy"
		}
		if got := w.Body.String(); !strings.Contains(got, c.want) || !strings.Contains(got, `<html lang="`+lang+`">`) || w.Header().Get("Content-Language") != lang {
			t.Errorf("%+v: %s", c, got)
		}
		if set := w.Header().Get("Set-Cookie"); !strings.HasPrefix(set, c.set) || c.set != "" && !strings.Contains(set, "Secure") || c.set == "" && set != "" {
			t.Errorf("%+v: cookie %q", c, set)
		}
	}
}

func TestCatalogueThatLacksAKey(t *testing.T) {
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "[goodbye]") {
			t.Error(said)
		}
	}()
	broken := fstest.MapFS{"words.en.json": {Data: []byte(`{"hello": "Hello", "goodbye": "Goodbye"}`)}, "words.cy.json": {Data: []byte(`{"hello": "Helo"}`)}}
	Catalogue(broken)
}

func TestTimesInWords(t *testing.T) {
	london, _ := time.LoadLocation("Europe/London")
	at := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(london)
	for _, c := range []struct{ got, want string }{
		{English.Moment(at), "Sunday 25 October 2026, 01:30 BST"},
		{Welsh.Moment(at.Add(time.Hour)), "dydd Sul 25 Hydref 2026, 01:30 GMT"},
		{Welsh.Date(at), "25 Hydref 2026"},
		{English.At(at, at), "01:30"},
		{English.At(at, at.AddDate(0, 0, 1)), "01:30 on Sunday 25 October"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLocal(t *testing.T) {
	for path, want := range map[string]string{"/log/p-7f3k?step=2": "/log/p-7f3k?step=2", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "": "/", "log": "/", "/a\nb": "/"} {
		if got := Local(path); got != want {
			t.Errorf("%q: %q", path, got)
		}
	}
}

func TestPageWithASession(t *testing.T) {
	c := Content{Title: "A", Session: Session{Name: "Ruth", CSRF: "token"}, Scripts: []string{"/static/a.js"}, Nav: []Link{{Href: "/", Text: "Home", Here: true}}}
	response := write(c, `<form method="post">{{template "csrf" $}}</form>`)
	for _, want := range []string{`name="csrf" value="token"`, `src="/static/a.js" defer`, `aria-current="page"`, "Signed in as Ruth", `action="/signout"`} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("no %q in %s", want, response.Body)
		}
	}
	if p := response.Header().Get("Content-Security-Policy"); !strings.Contains(p, "script-src 'self'") || strings.Contains(p, "unsafe") {
		t.Error(p)
	}
}

func TestPlacesAreFilledOnce(t *testing.T) {
	w := Words{English: {"odd": "{a}{b} {a} {unknown} {{a} {a"}}
	if got, want := w.Say(English, "odd", "a", "{b}", "b", 2), "{b}2 {b} {unknown} {{b} {a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
