package config

import (
	"net/url"
	"slices"
	"strings"

	"carehub/config/strict"
)

// Signin is who signs in to the pages beside carers, who are invited.
type Signin struct {
	OIDC []OIDC `yaml:"oidc"`
}

// OIDC lets the staff of a subscriber sign in where their organisation has them sign in (OpenID Connect Core 1.0). Whoever
// meets any one of Emails, Domains and Claims may.
type OIDC struct {
	Name         string                          `yaml:"name,required"` // of what they know it by, for the button
	Issuer       string                          `yaml:"issuer,required"`
	ClientID     string                          `yaml:"client_id,required"`
	ClientSecret strict.Secret                   `yaml:"client_secret,required"`
	Subscriber   strict.At[string]               `yaml:"subscriber,required"` // that they sign in for
	Emails       []string                        `yaml:"emails"`              // whole addresses, lower case
	Domains      []string                        `yaml:"domains"`             // of addresses, lower case
	Claims       strict.Map[strict.List[string]] `yaml:"claims"`              // of the ID token: the values that do
}

func (s *Signin) check(top strict.Node, egress Egress) {
	var seen []string
	for i := range s.OIDC {
		o, at := &s.OIDC[i], index("signin.oidc", i)
		o.check(top, egress, at)
		if slices.Contains(seen, o.Subscriber.V) && o.Subscriber.V != "" {
			top.Report(strict.Conflict, at+".subscriber", "%s has a way to sign in already", o.Subscriber.V)
		}
		seen = append(seen, o.Subscriber.V)
	}
}

func (o *OIDC) check(top strict.Node, egress Egress, at string) {
	u, err := url.Parse(o.Issuer)
	if o.Issuer != "" && (err != nil || !absolute(u) || u.Scheme == "http" && !egress.Allows(u.Hostname())) {
		top.Report(strict.BadValue, at+".issuer", "must be https:// and a host, without query or fragment; http only for an address in egress.allow")
	}
	if len(o.Emails)+len(o.Domains)+len(o.Claims) == 0 {
		top.Report(strict.Missing, at, "needs emails, domains or claims: whom of the organisation to let in")
	}
	for n, email := range o.Emails {
		address(top, index(at+".emails", n), email)
		o.Emails[n] = strings.ToLower(email)
	}
	for n, domain := range o.Domains {
		if strings.ContainsAny(domain, "@/*: ") || !strings.Contains(domain, ".") {
			top.Report(strict.BadValue, index(at+".domains", n), "must be a domain such as nhs.example, without @ or *")
		}
		o.Domains[n] = strings.ToLower(domain)
	}
	for _, claim := range o.Claims {
		if len(claim.V) == 0 || slices.Contains(claim.V.Values(), "") {
			top.Report(strict.BadValue, at+".claims."+claim.Key, "must name at least one value")
		}
	}
}
