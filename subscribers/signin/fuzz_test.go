package signin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carehub/events"
	"carehub/subscribers/signin"
)

// FuzzCookies: whatever a browser sends as its cookies, as a link's token, or as what a passkey says, it signs nobody in,
// at whichever door. An input knocks at one: most of the time goes into the page that it is answered with.
func FuzzCookies(f *testing.F) {
	for door := range byte(4) {
		f.Add(door, "__Host-carehub=x; __Host-carehub-passkey=e30.x", "token", `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA"}}`)
		f.Add(door, "__Host-carehub=; __Host-carehub=\x00; __Host-carehub-oidc-frailty-team=.", "..", "{")
	}
	d := newDesk(f)
	d.providers = []signin.Provider{{Subscriber: "frailty-team", Issuer: "http://127.0.0.1:1"}}
	d.service, d.mux = d.hub()
	hand := httptest.NewRecorder()
	d.mux.ServeHTTP(hand, httptest.NewRequest("POST", "/signin/passkey/challenge", nil))
	ticket := hand.Result().Cookies()[0]
	f.Fuzz(func(t *testing.T, door byte, cookies, token, body string) {
		r := knock(door, token, body)
		r.Header.Set("Cookie", cookies)
		r.AddCookie(ticket) // a good one
		w := httptest.NewRecorder()
		d.mux.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if c.Name == "__Host-carehub" && c.Value != "" {
				t.Errorf("signed in by %q %q %q", cookies, token, body)
			}
		}
		if who, ok := d.service.Session(r); ok || who.Actor != (events.Actor{}) {
			t.Errorf("%+v", who)
		}
	})
}

func knock(door byte, token, body string) *http.Request {
	switch door % 4 {
	case 0:
		return httptest.NewRequest("POST", "/signin/passkey", strings.NewReader(body))
	case 1:
		return httptest.NewRequest("GET", "/signin/oidc/frailty-team/callback?code=c", nil)
	case 2:
		return httptest.NewRequest("GET", "/log", nil)
	}
	r := httptest.NewRequest("POST", "/signin/x", strings.NewReader(body))
	r.URL.Path, r.RequestURI = "/signin/"+token, ""
	return r
}
