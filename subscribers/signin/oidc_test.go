package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carehub/events"
	"carehub/subscribers/signin"
)

// issuer is an OpenID provider that says what a test wants it to.
type issuer struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	signer *rsa.PrivateKey // of the next token
	claims map[string]any  // of the next token
}

func newIssuer(t *testing.T) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, signer: key}
	mux := http.NewServeMux()
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code_verifier") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": i.token()})
	})
	return i
}

func (i *issuer) token() string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.signer, KeyID: "k"}}, nil)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	payload, _ := json.Marshal(i.claims) // a test's own
	signed, err := signer.Sign(payload)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	text, _ := signed.CompactSerialize() // it was just signed
	return text
}

// visitor is a browser on its way to the provider and back.
type visitor struct {
	d       *desk
	cookies map[string]*http.Cookie
}

func (v *visitor) get(path string) *http.Response {
	r := httptest.NewRequestWithContext(v.d.t.Context(), "GET", path, nil)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.d.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if v.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	return w.Result()
}

// leaves starts on the way to the provider and returns what was asked of it.
func (v *visitor) leaves() url.Values {
	v.d.t.Helper()
	answer := v.get("/signin/oidc/frailty-team?next=/log")
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || answer.StatusCode != http.StatusSeeOther || to.Query().Get("code_challenge_method") != "S256" {
		v.d.t.Fatalf("status %d to %v %v", answer.StatusCode, to, err)
	}
	return to.Query()
}

func staffDesk(t *testing.T) (*desk, *issuer) {
	i := newIssuer(t)
	d := newDesk(t)
	d.providers = []signin.Provider{{Name: "Frailty login", Issuer: i.URL, ClientID: "hub", ClientSecret: "secret", Subscriber: "frailty-team",
		Emails: []string{"jo@frailty.example"}, Domains: []string{"team.example"}, Claims: map[string][]string{"groups": {"carehub"}}}}
	d.service, d.mux = d.hub()
	return d, i
}

// TestStaffSignIn changes one thing about a sign-in that would succeed.
func TestStaffSignIn(t *testing.T) {
	d, i := staffDesk(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(claims map[string]any, back url.Values, v *visitor)
		status int
	}{
		"nothing":  {nil, 303},
		"a domain": {func(c map[string]any, _ url.Values, _ *visitor) { c["email"] = "Ann@Team.example" }, 303},
		"a claim": {func(c map[string]any, _ url.Values, _ *visitor) {
			delete(c, "email")
			c["groups"] = []string{"x", "carehub"}
		}, 303},
		"its own iss":           {func(_ map[string]any, b url.Values, _ *visitor) { b.Set("iss", i.URL) }, 303},
		"two audiences":         {func(c map[string]any, _ url.Values, _ *visitor) { c["aud"] = []string{"hub", "x"}; c["azp"] = "hub" }, 303},
		"a stranger":            {func(c map[string]any, _ url.Values, _ *visitor) { c["email"] = "sam@frailty.example" }, 403},
		"a domain's end":        {func(c map[string]any, _ url.Values, _ *visitor) { c["email"] = "sam@evil-team.example" }, 403},
		"not verified":          {func(c map[string]any, _ url.Values, _ *visitor) { c["email_verified"] = false }, 403},
		"verified unsaid":       {func(c map[string]any, _ url.Values, _ *visitor) { delete(c, "email_verified") }, 403},
		"another group":         {func(c map[string]any, _ url.Values, _ *visitor) { delete(c, "email"); c["groups"] = "carehubs" }, 403},
		"wrong nonce":           {func(c map[string]any, _ url.Values, _ *visitor) { c["nonce"] = "another" }, 403},
		"no nonce":              {func(c map[string]any, _ url.Values, _ *visitor) { delete(c, "nonce") }, 403},
		"wrong audience":        {func(c map[string]any, _ url.Values, _ *visitor) { c["aud"] = "another" }, 403},
		"for another party":     {func(c map[string]any, _ url.Values, _ *visitor) { c["aud"] = []string{"hub", "x"}; c["azp"] = "x" }, 403},
		"expired":               {func(c map[string]any, _ url.Values, _ *visitor) { c["exp"] = d.now.Add(-time.Minute).Unix() }, 403},
		"another issuer":        {func(c map[string]any, _ url.Values, _ *visitor) { c["iss"] = "https://evil.example" }, 403},
		"another key":           {func(map[string]any, url.Values, *visitor) { i.signer = other }, 403},
		"wrong state":           {func(_ map[string]any, b url.Values, _ *visitor) { b.Set("state", "another") }, 403},
		"no state":              {func(_ map[string]any, b url.Values, _ *visitor) { b.Del("state") }, 403},
		"another iss":           {func(_ map[string]any, b url.Values, _ *visitor) { b.Set("iss", "https://evil.example") }, 403},
		"an error":              {func(_ map[string]any, b url.Values, _ *visitor) { b.Set("error", "access_denied") }, 403},
		"another browser":       {func(_ map[string]any, _ url.Values, v *visitor) { clear(v.cookies) }, 403},
		"another trip's ticket": {func(_ map[string]any, _ url.Values, v *visitor) { v.leaves() }, 403},
		"a forged ticket": {func(_ map[string]any, _ url.Values, v *visitor) {
			for _, cookie := range v.cookies {
				cookie.Value = "x" + cookie.Value
			}
		}, 403},
		"too late": {func(c map[string]any, _ url.Values, _ *visitor) { d.now = d.now.Add(10 * time.Minute) }, 403},
	} {
		v := &visitor{d, map[string]*http.Cookie{}}
		asked := v.leaves()
		back := url.Values{"code": {"c"}, "state": {asked.Get("state")}}
		i.signer = i.key
		i.claims = map[string]any{"iss": i.URL, "sub": "1", "aud": "hub", "nonce": asked.Get("nonce"), "iat": d.now.Unix(), "exp": d.now.Add(time.Hour).Unix(),
			"name": "Jo Nurse", "email": "Jo@frailty.example", "email_verified": true}
		if c.change != nil {
			c.change(i.claims, back, v)
		}
		answer := v.get("/signin/oidc/frailty-team/callback?" + back.Encode())
		in := v.cookies["__Host-carehub"] != nil
		if answer.StatusCode != c.status || in != (c.status == 303) || in && answer.Header.Get("Location") != "/log" {
			t.Errorf("%s: status %d to %q, signed in: %t", name, answer.StatusCode, answer.Header.Get("Location"), in)
		}
		if again := v.get("/signin/oidc/frailty-team/callback?" + back.Encode()); again.StatusCode != 403 {
			t.Errorf("%s: again: status %d", name, again.StatusCode)
		}
	}
}

// TestStaffSession: staff are signed in for a shift, as their organisation and by the terms that they came in by.
func TestStaffSession(t *testing.T) {
	d, i := staffDesk(t)
	v := &visitor{d, map[string]*http.Cookie{}}
	asked := v.leaves()
	i.claims = map[string]any{"iss": i.URL, "sub": "1", "aud": "hub", "nonce": asked.Get("nonce"), "exp": d.now.Add(time.Hour).Unix(),
		"name": "Jo\n Nurse", "groups": "carehub"}
	v.get("/signin/oidc/frailty-team/callback?code=c&state=" + asked.Get("state"))
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(v.cookies["__Host-carehub"])
	who, ok := d.service.Session(r)
	if !ok || who.Actor != (events.Actor{Kind: events.System, ID: "frailty-team"}) || who.Name != "Jo Nurse" || who.CSRF == "" {
		t.Fatalf("%t %+v", ok, who)
	}
	if len(d.entries) != 1 || d.entries[0].By != who.Actor || d.entries[0].Name != "Jo Nurse" || d.entries[0].How != "oidc" {
		t.Errorf("on record is %+v", d.entries)
	}
	if v.get("/log"); len(d.did) != 1 || !strings.HasSuffix(d.did[0], "frailty-team Jo Nurse") {
		t.Error(d.did)
	}
	before := d.providers[0]
	for name, change := range map[string]func(p *signin.Provider){
		"others may":       func(p *signin.Provider) { p.Claims = nil },
		"another provider": func(p *signin.Provider) { p.Issuer = "https://login.example" },
		"another team":     func(p *signin.Provider) { p.Subscriber = "hospice" },
	} {
		d.providers[0] = before
		change(&d.providers[0])
		if changed, _ := d.hub(); signedIn(changed, r) {
			t.Errorf("%s, and who was let in before still is", name)
		}
	}
	d.providers[0] = before
	if same, _ := d.hub(); !signedIn(same, r) {
		t.Error("out after a restart")
	}
	d.now = d.now.Add(signin.ShiftLife - time.Minute)
	if !signedIn(d.service, r) {
		t.Error("out before the end of the shift")
	}
	v.get("/log") // does not prolong it
	d.now = d.now.Add(time.Minute)
	if signedIn(d.service, r) {
		t.Error("in after the shift")
	}
}

func signedIn(s *signin.Service, r *http.Request) bool {
	_, ok := s.Session(r)
	return ok
}

func TestProviderIsAway(t *testing.T) {
	d, i := staffDesk(t)
	i.Close()
	if answer := (&visitor{d, map[string]*http.Cookie{}}).get("/signin/oidc/frailty-team"); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", answer.StatusCode)
	}
	if answer := (&visitor{d, map[string]*http.Cookie{}}).get("/signin/oidc/nobody"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", answer.StatusCode)
	}
}
