package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"carehub/events"
	"carehub/events/page"
)

// ShiftLife is how long somebody stays signed in who came by way of their organisation: a shift.
const ShiftLife = 8 * time.Hour

const (
	rediscover  = time.Hour // between two looks at what a provider says of itself
	maxName     = 100       // runes of a name
	gateTimeout = 20 * time.Second
)

// Provider is an OpenID provider that the staff of a subscriber sign in with. Whoever meets any of Emails, Domains and Claims may.
type Provider struct {
	Name         string // that the staff know it by
	Issuer       string
	ClientID     string
	ClientSecret string `json:"-"`
	Subscriber   string
	Emails       []string            // lower case; only addresses that the provider has verified count
	Domains      []string            // of addresses, likewise
	Claims       map[string][]string // values of which one must be there
}

// terms are a fingerprint of who is let in. When they change, everybody has to come in by the new ones.
func (p Provider) terms() string {
	text, _ := json.Marshal(p) // strings always marshal
	return hashOf(string(text))
}

// gate is a provider as it was last found.
type gate struct {
	Provider
	terms string

	mu    sync.Mutex
	found *oidc.Provider
	at    time.Time
}

// gate returns the provider that the staff of a subscriber sign in with now.
func (s *Service) gate(subscriber string) (*gate, bool) {
	all := s.Providers()
	i := slices.IndexFunc(all, func(p Provider) bool { return p.Subscriber == subscriber })
	if i < 0 {
		return nil, false
	}
	terms := all[i].terms()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.gates[subscriber]; g == nil || g.terms != terms || g.ClientSecret != all[i].ClientSecret {
		s.gates[subscriber] = &gate{Provider: all[i], terms: terms}
	}
	return s.gates[subscriber], true
}

// trip is what must come back from a provider as it was sent there.
type trip struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE (RFC 7636)
	Next     string `json:"next"`
}

func (s *Service) gateRoutes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("GET /signin/oidc/{subscriber}", s.leave)
	handle("GET /signin/oidc/{subscriber}/callback", s.comeBack)
}

// discover asks a provider for its endpoints, once in a while.
func (s *Service) discover(ctx context.Context, g *gate) (*oidc.Provider, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := s.now(); g.found == nil || now.Sub(g.at) > rediscover {
		found, err := oidc.NewProvider(ctx, g.Issuer)
		if err != nil {
			return nil, err
		}
		g.found, g.at = found, now
	}
	return g.found, nil
}

func (s *Service) oauth(g *gate, provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: g.ClientID, ClientSecret: g.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: s.Hub().URL + "/signin/oidc/" + g.Subscriber + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
}

// leave leads to a provider.
func (s *Service) leave(w http.ResponseWriter, r *http.Request) {
	g, ok := s.gate(r.PathValue("subscriber"))
	if !ok {
		s.dead(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), s.HTTP), gateTimeout)
	defer cancel()
	provider, err := s.discover(ctx, g)
	if err != nil {
		s.gateAway(w, r, g, err)
		return
	}
	t := trip{Verifier: oauth2.GenerateVerifier(), Next: page.Local(r.URL.Query().Get("next"))}
	t.State, _ = fresh()
	t.Nonce, _ = fresh()
	if err := s.hand(w, "oidc-"+g.Subscriber, t); err != nil {
		s.gateAway(w, r, g, err)
		return
	}
	page.Redirect(w, s.oauth(g, provider).AuthCodeURL(t.State, oidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier)))
}

// gateAway says that a provider cannot be asked. What failed is about machines only.
func (s *Service) gateAway(w http.ResponseWriter, r *http.Request, g *gate, err error) {
	s.Log.Error("a provider cannot be asked who somebody is", "subscriber", g.Subscriber, "error", err.Error())
	s.write(w, r, http.StatusServiceUnavailable, "how.title", "oidc.away", s.ways("/"))
}

// refusal is why somebody is not let in: a word for the log, and what the page says.
type refusal struct{ reason, problem string }

func (r refusal) Error() string { return r.reason }

// Refusals. Why a token is no good is of no use to whoever brings it.
func stale(reason string) error { return refusal{reason, "oidc.stale"} }

var errStranger = refusal{"not among those who may", "oidc.stranger"}

// comeBack lets in whom a provider has sent back with proof of who they are.
func (s *Service) comeBack(w http.ResponseWriter, r *http.Request) {
	g, ok := s.gate(r.PathValue("subscriber"))
	if !ok {
		s.dead(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), s.HTTP), gateTimeout)
	defer cancel()
	var t trip
	var name, secret string
	err := s.returned(w, r, g, &t)
	if err == nil {
		name, err = s.identify(ctx, g, r.URL.Query().Get("code"), t)
	}
	if err == nil {
		now := s.now()
		secret, err = s.begin(ctx, session{ID: g.Subscriber, Kind: events.System, Name: name, Terms: g.terms, Device: device(r.UserAgent()),
			Created: now, Seen: now, Until: now.Add(ShiftLife)})
	}
	var refused refusal
	switch {
	case errors.As(err, &refused):
		s.Log.Warn("sign-in refused", "by", "oidc", "subscriber", g.Subscriber, "reason", refused.reason)
		s.write(w, r, http.StatusForbidden, "how.title", refused.problem, s.ways("/"))
	case err != nil:
		s.gateAway(w, r, g, err)
	default:
		s.Log.Info("signed in", "subscriber", g.Subscriber, "by", "oidc")
		s.record(r, Entry{By: events.Actor{Kind: events.System, ID: g.Subscriber}, Name: name, How: "oidc"})
		s.keep(w, secret, ShiftLife)
		page.Redirect(w, t.Next)
	}
}

// returned checks that this browser was sent to the provider, and that it is this provider that sent it back (RFC 9207).
func (s *Service) returned(w http.ResponseWriter, r *http.Request, g *gate, t *trip) error {
	query := r.URL.Query()
	switch issuer := query.Get("iss"); {
	case !s.claim(w, r, "oidc-"+g.Subscriber, t):
		return stale("no ticket")
	case !same(query.Get("state"), t.State):
		return stale("state")
	case issuer != "" && issuer != g.Issuer:
		return stale("issuer")
	case query.Get("error") != "":
		return stale("the provider refused")
	}
	return nil
}

// identify has the provider say who somebody is, and returns their name if they may sign in.
func (s *Service) identify(ctx context.Context, g *gate, code string, t trip) (name string, err error) {
	provider, err := s.discover(ctx, g)
	if err != nil {
		return "", err
	}
	granted, err := s.oauth(g, provider).Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) {
		if answered.Response.StatusCode < 500 {
			return "", stale("the code")
		}
		return "", errors.New("the token endpoint answers " + answered.Response.Status) // its body may be about somebody
	}
	if err != nil {
		return "", err
	}
	raw, _ := granted.Extra("id_token").(string)
	token, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: g.ClientID, Now: s.Clock}).Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return "", stale("the id token has expired")
	case err != nil:
		return "", stale("the id token is not valid")
	case !same(token.Nonce, t.Nonce):
		return "", stale("nonce")
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return "", stale("the id token cannot be read")
	}
	if authorised, _ := claims["azp"].(string); len(token.Audience) > 1 && authorised != g.ClientID { // Core, 3.1.3.7
		return "", stale("audience")
	}
	if err := s.askMore(ctx, provider, granted, token.Subject, claims); err != nil {
		return "", err
	}
	if !g.allows(claims) {
		return "", errStranger
	}
	return g.called(claims), nil
}

// askMore adds what the provider says of somebody at its userinfo endpoint, where many keep what is not in the ID token.
func (s *Service) askMore(ctx context.Context, provider *oidc.Provider, granted *oauth2.Token, subject string, claims map[string]any) error {
	if provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(granted))
	if err != nil {
		return errors.New("the userinfo endpoint does not answer")
	}
	more := map[string]any{}
	if info.Subject != subject || info.Claims(&more) != nil { // Core, 5.3.2: it may be about somebody else
		return stale("userinfo")
	}
	for name, value := range more {
		if _, known := claims[name]; !known {
			claims[name] = value
		}
	}
	return nil
}

// allows reports whether somebody may sign in. Of an address that the provider has not verified nothing is believed.
func (p Provider) allows(claims map[string]any) bool {
	email, _ := claims["email"].(string)
	email = strings.ToLower(email)
	if verified := claims["email_verified"]; verified == true || verified == "true" {
		_, domain, _ := strings.Cut(email, "@")
		if slices.Contains(p.Emails, email) || slices.Contains(p.Domains, domain) {
			return true
		}
	}
	for name, wanted := range p.Claims {
		for _, value := range texts(claims[name]) {
			if slices.Contains(wanted, value) {
				return true
			}
		}
	}
	return false
}

// texts are a claim that is a text, or a list of them.
func texts(claim any) (all []string) {
	list, many := claim.([]any)
	if !many {
		list = []any{claim}
	}
	for _, one := range list {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// called is what somebody is called, as the provider has it.
func (p Provider) called(claims map[string]any) string {
	for _, claim := range []string{"name", "preferred_username", "email"} {
		text, _ := claims[claim].(string)
		text = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsGraphic(r) {
				return r
			}
			return -1
		}, text))
		if runes := []rune(text); len(runes) > maxName {
			text = string(runes[:maxName])
		}
		if text != "" {
			return text
		}
	}
	return p.Name
}

// way is one provider on the page that says how to get in.
type way struct{ Name, Href string }

func (s *Service) providers(next string) (all []way) {
	for _, p := range s.Providers() {
		all = append(all, way{p.Name, "/signin/oidc/" + p.Subscriber + "?next=" + url.QueryEscape(next)})
	}
	return all
}
