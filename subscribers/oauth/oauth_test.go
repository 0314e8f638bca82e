package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/oauth"
)

const aud = "https://hub.example/oauth/token"

// desk is a server on a store in memory, with a clock of its own.
type desk struct {
	t      *testing.T
	store  *stream.Memory
	server *oauth.Server
	now    time.Time
	gone   bool // nobody is registered any more
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, store: stream.NewMemory(1), now: time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)}
	d.server = d.hub()
	return d
}

// hub is one more hub on the store, which follows it.
func (d *desk) hub() *oauth.Server {
	clock := func() time.Time { return d.now }
	s := &oauth.Server{Clients: oauth.NewClients(d.store), Replays: oauth.NewReplays(d.store, clock), Secret: make([]byte, 32), Clock: clock,
		Keys: &oauth.Keys{HTTP: http.DefaultClient, Clock: clock}, URL: func() string { return "https://hub.example" }, Holds: func(string) bool { return !d.gone }}
	known := make(chan struct{})
	go func() { _ = s.Clients.Follow(d.t.Context(), func() { close(known) }) }()
	<-known
	return s
}

func (d *desk) create(r oauth.Request) oauth.Created {
	d.t.Helper()
	made, err := d.server.Clients.Create(d.t.Context(), r, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

// answer is what POST /oauth/token says.
type answer struct {
	status      int
	Token       string `json:"access_token"`
	Type        string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
	header      http.Header
}

func (d *desk) post(form url.Values, edit ...func(*http.Request)) (a answer) {
	d.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	d.server.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		d.t.Fatalf("%v: %s", err, w.Body)
	}
	a.status, a.header = w.Code, w.Header()
	if a.header.Get("Cache-Control") != "no-store" {
		d.t.Error("the answer may be cached")
	}
	return a
}

func basic(c oauth.Created) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret)) }
}

func grant(scope string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
}

// who asks a server whom a token stands for.
func who(s *oauth.Server, token string) (events.Actor, oauth.Scopes, error) {
	r := httptest.NewRequest(http.MethodGet, "/fhir/Patient/p-7f3k", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	by, scopes, ours, err := s.Authenticate(r)
	if !ours && err == nil {
		return by, scopes, &events.Error{Kind: events.NotFound}
	}
	return by, scopes, err
}

func TestSecret(t *testing.T) {
	d := newDesk(t)
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs system/Subscription.crud"})
	a := d.post(grant("system/Encounter.rs system/Subscription.crud system/Patient.cruds openid"), basic(c))
	if a.status != http.StatusOK || a.Type != "Bearer" || a.ExpiresIn != 300 || a.Scope != "system/Encounter.rs system/Subscription.crud system/Patient.rs" {
		t.Fatalf("%+v", a)
	}
	by, scopes, err := who(d.server, a.Token)
	if err != nil || by != (events.Actor{Kind: events.System, ID: "frailty-team"}) || !scopes.Allow("Encounter", "rs") || scopes.Allow("Condition", "r") || scopes.Allow("Patient", "u") {
		t.Errorf("%v: %+v: %v", by, scopes, err)
	}
	if strings.Contains(a.Token, "frailty") {
		t.Error("the token tells")
	}
	value, _, _, _ := d.store.HubGet(t.Context(), oauth.Prefix+c.ID)
	if strings.Contains(string(value), c.Secret) || len(value) == 0 {
		t.Errorf("the record holds the secret: %s", value)
	}
	d.now = d.now.Add(5 * time.Minute)
	if _, _, err := who(d.server, a.Token); events.KindOf(err) != events.Unauthenticated {
		t.Errorf("after five minutes: %v", err)
	}
	if _, _, err := who(d.server, "careat_AAAA"); events.KindOf(err) != events.Unauthenticated {
		t.Errorf("forged: %v", err)
	}
	if _, _, err := who(d.server, "care_abc"); events.KindOf(err) != events.NotFound {
		t.Errorf("a token of the hub's own: %v", err)
	}
}

// TestRevoked: the tokens of a client that is revoked at one hub are worth nothing at another.
func TestRevoked(t *testing.T) {
	d := newDesk(t)
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs"})
	other, token := d.hub(), d.post(grant(""), basic(c)).Token
	if _, _, err := who(other, token); err != nil {
		t.Fatalf("issued at another hub: %v", err)
	}
	d.gone = true
	if _, _, err := who(other, token); err == nil {
		t.Error("the organisation is gone, and the token counts")
	}
	d.gone = false
	if found, err := d.server.Clients.Revoke(t.Context(), c.ID); !found || err != nil {
		t.Fatal(found, err)
	}
	for {
		if _, known := other.Clients.Get(c.ID); !known {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for _, s := range []*oauth.Server{d.server, other} {
		if _, _, err := who(s, token); events.KindOf(err) != events.Unauthenticated {
			t.Errorf("revoked: %v", err)
		}
	}
	if a := d.post(grant(""), basic(c)); a.status != http.StatusUnauthorized || a.Error != "invalid_client" {
		t.Errorf("%+v", a)
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t)
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/Encounter.rs"})
	wrong := oauth.Created{ID: c.ID, Secret: c.Secret + "x"}
	for name, c := range map[string]struct {
		form url.Values
		edit func(*http.Request)
		want string // status and error
	}{
		"no grant type":       {url.Values{}, basic(c), "400 invalid_request"},
		"another grant":       {url.Values{"grant_type": {"password"}}, basic(c), "400 unsupported_grant_type"},
		"no proof":            {grant(""), func(*http.Request) {}, "401 invalid_client"},
		"wrong secret":        {grant(""), basic(wrong), "401 invalid_client"},
		"unknown client":      {grant(""), basic(oauth.Created{ID: "nobody", Secret: c.Secret}), "401 invalid_client"},
		"empty secret":        {grant(""), basic(oauth.Created{ID: c.ID}), "401 invalid_client"},
		"secret in the body":  {url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret}}, func(*http.Request) {}, "400 invalid_request"},
		"another's client_id": {url.Values{"grant_type": {"client_credentials"}, "client_id": {"x"}}, basic(c), "401 invalid_client"},
		"scope not held":      {grant("system/Patient.rs"), basic(c), "400 invalid_scope"},
		"scope not known":     {grant("patient/*.rs"), basic(c), "400 invalid_scope"},
		"twice":               {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, basic(c), "400 invalid_request"},
		"in the URL":          {grant(""), func(r *http.Request) { basic(c)(r); r.URL.RawQuery = "scope=x" }, "400 invalid_request"},
		"as JSON":             {grant(""), func(r *http.Request) { basic(c)(r); r.Header.Set("Content-Type", "application/json") }, "400 invalid_request"},
		"too large":           {grant(strings.Repeat("x", 40<<10)), basic(c), "400 invalid_request"},
		"no assertion type":   {url.Values{"grant_type": {"client_credentials"}, "client_assertion": {"x"}}, func(*http.Request) {}, "400 invalid_request"},
	} {
		a := d.post(c.form, c.edit)
		if got := fmt.Sprint(a.status, " ", a.Error); got != c.want || a.Description == "" {
			t.Errorf("%s: %+v, want %s", name, a, c.want)
		}
		if challenged := a.header.Get("WWW-Authenticate") != ""; challenged != (a.status == http.StatusUnauthorized) {
			t.Errorf("%s: challenged: %v", name, challenged)
		}
	}
}

// pair is a key pair of a client.
type pair struct {
	kid       string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func newPair(t *testing.T, kid string, algorithm jose.SignatureAlgorithm) pair {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.RS384:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		private, err = ecdsa.GenerateKey(map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES384: elliptic.P384(), jose.ES256: elliptic.P256()}[algorithm], rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair{kid, algorithm, private}
}

func (p pair) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: p.private.Public(), KeyID: p.kid, Algorithm: string(p.algorithm), Use: "sig"}
}

func set(pairs ...pair) *jose.JSONWebKeySet {
	s := &jose.JSONWebKeySet{}
	for _, p := range pairs {
		s.Keys = append(s.Keys, p.public())
	}
	return s
}

// sign is an assertion of the client as it should be, unless edited.
func (d *desk) sign(p pair, client, jti string, edit ...func(*jwt.Claims, *jose.SignerOptions)) url.Values {
	d.t.Helper()
	claims := jwt.Claims{Issuer: client, Subject: client, Audience: jwt.Audience{aud}, ID: jti, Expiry: jwt.NewNumericDate(d.now.Add(4 * time.Minute))}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", p.kid)
	for _, e := range edit {
		e(&claims, options)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.algorithm, Key: p.private}, options)
	if err != nil {
		d.t.Fatal(err)
	}
	assertion, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		d.t.Fatal(err)
	}
	form := grant("")
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return form
}

func TestAssertion(t *testing.T) {
	d := newDesk(t)
	rs, es, weak, stranger := newPair(t, "rs", jose.RS384), newPair(t, "es", jose.ES384), newPair(t, "weak", jose.ES256), newPair(t, "es", jose.ES384)
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs", KeySet: set(rs, es)})
	if c.Secret != "" {
		t.Error("a client with keys has a secret")
	}
	for _, p := range []pair{rs, es} {
		if a := d.post(d.sign(p, c.ID, "first-"+p.kid)); a.status != http.StatusOK || a.Scope != "system/*.rs" {
			t.Errorf("%s: %+v", p.kid, a)
		}
	}
	type edit = func(*jwt.Claims, *jose.SignerOptions)
	none := func(*jwt.Claims, *jose.SignerOptions) {}
	for name, c := range map[string]struct {
		form url.Values
		says string
	}{
		"used before":        {d.sign(es, c.ID, "first-es"), "used before"},
		"of a stranger":      {d.sign(stranger, c.ID, "2"), "registered client"},
		"a kid of nobody":    {d.sign(pair{"other", es.algorithm, es.private}, c.ID, "3"), "registered client"},
		"ES256":              {d.sign(weak, c.ID, "4"), "RS384 or ES384"},
		"unknown client":     {d.sign(es, "nobody", "5", none), "registered client"},
		"sub of another":     {d.sign(es, c.ID, "6", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Subject = "x" })), "iss and sub"},
		"made out to others": {d.sign(es, c.ID, "7", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Audience = jwt.Audience{"https://other.example/token"} })), "aud"},
		"to nobody":          {d.sign(es, c.ID, "8", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Audience = nil })), "aud"},
		"expired":            {d.sign(es, c.ID, "9", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Expiry = jwt.NewNumericDate(d.now.Add(-time.Minute)) })), "expired"},
		"no end":             {d.sign(es, c.ID, "10", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Expiry = nil })), "exp"},
		"too long":           {d.sign(es, c.ID, "11", edit(func(c *jwt.Claims, _ *jose.SignerOptions) { c.Expiry = jwt.NewNumericDate(d.now.Add(6 * time.Minute)) })), "five minutes"},
		"not yet": {d.sign(es, c.ID, "12", edit(func(c *jwt.Claims, _ *jose.SignerOptions) {
			c.NotBefore = jwt.NewNumericDate(d.now.Add(2 * time.Minute))
		})), "not valid yet"},
		"no jti":         {d.sign(es, c.ID, ""), "jti"},
		"a long jti":     {d.sign(es, c.ID, strings.Repeat("j", 129)), "jti"},
		"keys elsewhere": {d.sign(es, c.ID, "13", edit(func(_ *jwt.Claims, o *jose.SignerOptions) { o.WithHeader("jku", "https://attacker.example/jwks") })), "registered client"},
	} {
		if a := d.post(c.form); a.status != http.StatusUnauthorized || a.Error != "invalid_client" || !strings.Contains(a.Description, c.says) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	unsigned := d.sign(es, c.ID, "14")
	unsigned.Set("client_assertion", "eyJhbGciOiJub25lIiwia2lkIjoiZXMifQ."+strings.Split(unsigned.Get("client_assertion"), ".")[1]+".")
	if a := d.post(unsigned); a.status != http.StatusUnauthorized {
		t.Errorf("unsigned: %+v", a)
	}
	secret := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs"})
	if a := d.post(d.sign(es, secret.ID, "15")); a.status != http.StatusUnauthorized {
		t.Errorf("a client without keys: %+v", a)
	}
}

// TestReplayAtAnotherHub: what one hub has taken, no other takes; what has had its time is forgotten.
func TestReplayAtAnotherHub(t *testing.T) {
	d := newDesk(t)
	es := newPair(t, "es", jose.ES384)
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs", KeySet: set(es)})
	form := d.sign(es, c.ID, "once")
	if a := d.post(form); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	d.server = d.hub()
	if a := d.post(form); !strings.Contains(a.Description, "used before") {
		t.Errorf("%+v", a)
	}
}

// TestKeysElsewhere: keys are fetched, kept for a while, fetched again for a kid that is new, but not on and on.
func TestKeysElsewhere(t *testing.T) {
	d := newDesk(t)
	one, two := newPair(t, "one", jose.ES384), newPair(t, "two", jose.ES384)
	served, fetched := set(one), 0
	status := http.StatusOK
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(served)
	}))
	defer keys.Close()
	c := d.create(oauth.Request{System: "frailty-team", Scope: "system/*.rs", KeysURL: keys.URL})
	n := 0
	try := func(p pair, want int, wantFetched int) {
		t.Helper()
		n++
		if a := d.post(d.sign(p, c.ID, string(rune('a'+n)))); a.status != want || fetched != wantFetched {
			t.Errorf("%+v, %d fetched, want %d and %d", a, fetched, want, wantFetched)
		}
	}
	try(one, 200, 1)
	try(one, 200, 1)
	served = set(two) // one is taken out, two is new
	try(two, 401, 1)  // too soon to look again
	d.now = d.now.Add(time.Minute)
	try(two, 200, 2)
	try(one, 401, 2)
	d.now = d.now.Add(11 * time.Minute)
	status = http.StatusInternalServerError
	try(two, 401, 3) // kept no longer than that
	try(two, 401, 3)
	status = http.StatusOK
	d.now = d.now.Add(time.Minute)
	try(two, 200, 4)
	served = &jose.JSONWebKeySet{}
	d.now = d.now.Add(11 * time.Minute)
	try(two, 401, 5)
}

func TestCreateRefuses(t *testing.T) {
	d := newDesk(t)
	weak := newPair(t, "weak", jose.ES256)
	private := set()
	es := newPair(t, "es", jose.ES384)
	private.Keys = append(private.Keys, jose.JSONWebKey{Key: es.private, KeyID: "es"})
	for name, c := range map[string]struct {
		r    oauth.Request
		says string
	}{
		"no scope":      {oauth.Request{System: "x"}, "not such as"},
		"unknown scope": {oauth.Request{System: "x", Scope: "system/*.rs patient/*.rs"}, "patient/*.rs"},
		"weak key":      {oauth.Request{System: "x", Scope: "system/*.rs", KeySet: set(weak)}, "no key"},
		"private key":   {oauth.Request{System: "x", Scope: "system/*.rs", KeySet: private}, "private key"},
	} {
		if _, err := d.server.Clients.Create(t.Context(), c.r, d.now); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := oauth.ParseKeys([]byte("{}")); err == nil {
		t.Error("an empty set is taken")
	}
}

func TestScopes(t *testing.T) {
	for text, want := range map[string]bool{
		"system/*.rs": true, "system/*.cruds": true, "system/Encounter.read": true, "system/*.*": true, "system/Subscription.crud": true,
		"system/*.sr": false, "system/*.rr": false, "system/*.": false, "system/Encounter": false, "system/encounter.rs": false, "user/*.rs": false,
		"system/Encounter.rs?class=IMP": false, "system/.rs": false, "system/*.x": false,
	} {
		if got := oauth.ParseScopes(text); (len(got) == 1) != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	all := oauth.ParseScopes("system/*.read system/Subscription.crud")
	if !all.Allow("Subscription", "cruds") || all.Allow("Encounter", "c") || all.Allow("Encounter", "") || all.String() != "system/*.read system/Subscription.crud" {
		t.Errorf("%v", all)
	}
}

func TestConfiguration(t *testing.T) {
	d := newDesk(t)
	w := httptest.NewRecorder()
	d.server.Configuration(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
	var c struct {
		Token   string   `json:"token_endpoint"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || c.Token != aud || len(c.Methods) != 2 {
		t.Errorf("%v: %s", err, w.Body)
	}
}
