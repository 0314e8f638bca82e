// Package page is the frame that every page of the hub stands in: its looks, its languages, the hub's phone number, and the
// headers that keep what a page says from leaking. A page loads nothing but the scripts of this hub that it names, and works
// without them.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"carehub/events"
)

//go:embed page.css
var style string

//go:embed frame.html
var frame string

//go:embed words.en.json words.cy.json
var files embed.FS

var frameWords = Catalogue(files)

var framed = template.Must(template.New("frame").Parse(frame))

// Template is a page of a package, with what it says.
type Template struct {
	page  *template.Template
	words Words
}

// Parse makes a page of what stands between its heading and its footer: a template that gets a Content, and says what words
// has by {{$.Say "key" "place" value}} and {{$.Count "key" n}}. A form that changes something has {{template "csrf" $}} in it.
// Without words the page is in English.
func Parse(body string, words Words) *Template {
	t := template.Must(framed.Clone())
	template.Must(t.New("body").Parse(body))
	return &Template{t, words}
}

// Policies let a page load nothing but its own style and, if it has any, the hub's own scripts, send its forms nowhere else, and
// be framed by nobody (CSP Level 3).
var plainPolicy, scriptedPolicy = func() (string, string) {
	sum := sha256.Sum256([]byte(style))
	own := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src 'self'; "
	rest := "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return own + rest, own + "script-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; " + rest
}()

// Session is somebody who has signed in, as pages know them.
type Session struct {
	Actor events.Actor
	Name  string // of the person: an actor may be an organisation
	CSRF  string // what a form of theirs must send back in its field csrf
}

// Link is one of a page's ways on.
type Link struct {
	Href, Text string
	Here       bool // it leads to the page that it is on
}

// Content is what one page says.
type Content struct {
	Title    string
	Window   string // title of the window, which browsers keep, where it must not be Title
	Problem  string // what was wrong with the form that was sent; empty if nothing was
	Ref      string // of the event that it is about, if any
	Session  Session
	Nav      []Link
	Scripts  []string // addresses on this hub
	Manifest string   // address of the web app's manifest, if it is one of its pages
	Body     any      // for the template
}

// Writer writes pages of one hub.
type Writer struct {
	Hub func() events.Sender
	Log *slog.Logger
}

// view is what a template gets.
type view struct {
	Content
	Lang  Lang
	Style template.CSS
	Hub   events.Sender
	words Words
}

// Say is a text of the page's package.
func (v view) Say(key string, pairs ...any) string { return v.words.Say(v.Lang, key, pairs...) }

// Count is a text of the page's package that depends on a number.
func (v view) Count(key string, n int, pairs ...any) string {
	return v.words.Count(v.Lang, key, n, pairs...)
}

// Frame is a text of the frame.
func (v view) Frame(key string, pairs ...any) string { return frameWords.Say(v.Lang, key, pairs...) }

// Tel is a phone number as a link.
func (v view) Tel(phone string) template.URL { return Tel(phone) }

// Others are the languages that the reader may choose instead.
func (v view) Others() (others []Language) {
	for _, l := range Langs {
		if l.Lang != v.Lang && v.words != nil {
			others = append(others, l)
		}
	}
	return others
}

// Write answers a request with a page. The address of a page is often the key to it, so no other site learns of it.
func (p Writer) Write(w http.ResponseWriter, r *http.Request, status int, t *Template, c Content) {
	for name, value := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": plainPolicy, "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff",
	} {
		w.Header().Set(name, value)
	}
	if len(c.Scripts) > 0 {
		w.Header().Set("Content-Security-Policy", scriptedPolicy)
	}
	lang := LangOf(r)
	if t.words == nil {
		lang = English
	}
	v := view{c, lang, template.CSS(style), p.Hub(), t.words} // #nosec G203 -- our own file, embedded
	if chosen, ok := known(r.URL.Query().Get(langParam)); ok {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(chosen), Path: "/", MaxAge: 400 * 24 * 3600, HttpOnly: true,
			Secure: strings.HasPrefix(v.Hub.URL, "https:"), SameSite: http.SameSiteLaxMode})
	}
	w.Header().Set("Content-Language", string(v.Lang))
	var b strings.Builder
	if err := t.page.Execute(&b, v); err != nil {
		p.Log.Error("page", "err", err)
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a reader who is gone can open it again
}

// Tel is a phone number as a URI (RFC 3966): digits and a leading plus are all that it keeps.
func Tel(phone string) template.URL {
	return template.URL("tel:" + strings.Map(func(r rune) rune { // #nosec G203 -- nothing but digits and plus is left
		if r == '+' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, phone))
}

// Redirect leads on to another page, by GET.
func Redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// Local is a path of this hub that a form or a link asks to be led back to, or home where it is none: no other site is led to.
func Local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return "/"
	}
	return path
}
