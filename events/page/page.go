// Package page is the frame that every page of the hub stands in: its looks, the hub's phone number, and the headers that
// keep what a page says from leaking. Pages run no scripts and load nothing.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"carehub/events"
)

//go:embed page.css
var style string

//go:embed frame.html
var frame string

var framed = template.Must(template.New("frame").Parse(frame))

// Parse makes a page of what stands between its heading and its footer: a template that gets a Content.
func Parse(body string) *template.Template {
	t := template.Must(framed.Clone())
	template.Must(t.New("body").Parse(body))
	return t
}

// policy lets a page load nothing but its own style, send its forms nowhere else, and be framed by nobody (CSP Level 3).
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}()

// Content is what one page says.
type Content struct {
	Title   string
	Window  string // title of the window, which browsers keep, where it must not be Title
	Problem string // what was wrong with the form that was sent; empty if nothing was
	Ref     string // of the event that it is about, if any
	Body    any    // for the template
}

// Writer writes pages of one hub.
type Writer struct {
	Hub func() events.Sender
	Log *slog.Logger
}

// Write answers a request with a page. The address of a page is often the key to it, so no other site learns of it.
func (p Writer) Write(w http.ResponseWriter, status int, t *template.Template, c Content) {
	for name, value := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff",
	} {
		w.Header().Set(name, value)
	}
	hub := p.Hub()
	var b strings.Builder
	err := t.Execute(&b, struct {
		Content
		Style template.CSS
		Tel   template.URL
		Hub   events.Sender
	}{c, template.CSS(style), tel(hub.Phone), hub}) // #nosec G203 -- our own file, embedded
	if err != nil {
		p.Log.Error("page", "err", err)
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a reader who is gone can open it again
}

// tel is a phone number as a URI (RFC 3966): digits and a leading plus are all that it keeps.
func tel(phone string) template.URL {
	return template.URL("tel:" + strings.Map(func(r rune) rune { // #nosec G203 -- nothing but digits and plus is left
		if r == '+' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, phone))
}
