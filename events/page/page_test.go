package page

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"carehub/events"
)

func write(c Content, body string) *httptest.ResponseRecorder {
	p := Writer{Log: slog.New(slog.DiscardHandler), Hub: func() events.Sender {
		return events.Sender{Name: "Riverside <carers>", Phone: "+44 7700 900123"}
	}}
	response := httptest.NewRecorder()
	p.Write(response, httptest.NewRequest("GET", "/m/secret", nil), 200, Parse(body, nil), c)
	return response
}

func TestFrame(t *testing.T) {
	page := write(Content{Title: "A & B", Problem: "Wrong.", Ref: "XK32", Body: "<i>"}, "<p>{{.Body}}</p>").Body.String()
	for _, want := range []string{"<h1>A &amp; B</h1>", "Error: A &amp; B", `role="alert"`, "XK32", "<p>&lt;i&gt;</p>", "Riverside &lt;carers&gt;",
		`href="tel:&#43;447700900123"`, "This page does not call an ambulance. In an emergency call 999.", `name="viewport"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestStyleIsWhatThePolicyAllows(t *testing.T) {
	response := write(Content{Title: "A"}, "")
	page := response.Body.String()
	_, rest, _ := strings.Cut(page, "<style>")
	inline, _, _ := strings.Cut(rest, "</style>")
	if inline != style || strings.Contains(page, "style=") || inline == "" {
		t.Errorf("the browser would refuse %q", inline)
	}
	headers := response.Header()
	if p := headers.Get("Content-Security-Policy"); strings.Contains(p, "unsafe") || !strings.Contains(p, "default-src 'none'") {
		t.Errorf("policy %q", p)
	}
	if headers.Get("Referrer-Policy") != "no-referrer" || headers.Get("Cache-Control") != "no-store" || headers.Get("X-Robots-Tag") != "noindex" {
		t.Errorf("%v", headers)
	}
}

func TestTemplateThatFails(t *testing.T) {
	if response := write(Content{Title: "A"}, "{{.Nothing}}"); response.Code != 500 {
		t.Errorf("status %d", response.Code)
	}
}
