package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"carehub/config/strict"
)

// Mail is the mail server that the hub sends through.
type Mail struct {
	Host   string         `yaml:"host,required"`
	Port   int            `yaml:"port"` // default 587
	From   string         `yaml:"from,required"`
	Hello  string         `yaml:"hello"`   // name given in EHLO, default the domain of from
	TLS    string         `yaml:"tls"`     // TLSMandatory, or TLSNone to hosts in egress.allow
	Auth   *Auth          `yaml:"auth"`    // nil: none
	FullTo []string       `yaml:"full_to"` // verified domains, lower case, which may be sent content: full
	Rate   int            `yaml:"rate"`    // messages a minute, 0 without limit
	CAFile string         `yaml:"ca_file"` // PEM certificates to trust beside the system's; use Roots
	Roots  *x509.CertPool // nil: the system's

	Bounces *Bounces `yaml:"bounces"` // nil: what comes back is not noticed
}

// The values of mail.tls.
const (
	TLSMandatory = "mandatory"
	TLSNone      = "none"
)

// Auth is how the hub signs in to its mail server: with a password, with a token, or with a token that it fetches by
// OAuth2 client credentials (RFC 6749, 4.4).
type Auth struct {
	Mechanism    string        `yaml:"mechanism,required"`
	User         string        `yaml:"user"`
	Password     strict.Secret `yaml:"password"`
	Token        strict.Secret `yaml:"token"`
	TokenURL     string        `yaml:"token_url"`
	ClientID     string        `yaml:"client_id"`
	ClientSecret strict.Secret `yaml:"client_secret"`
	Scopes       []string      `yaml:"scopes"`

	// With EXTERNAL the hub shows a certificate and needs no user (RFC 4422, appendix A). Both are PEM.
	CertFile    string           `yaml:"client_cert"`
	Key         strict.Secret    `yaml:"client_key"`
	Certificate *tls.Certificate // of CertFile and Key; nil if there is none, empty if checked without secrets
}

var (
	byPassword = []string{
		"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
	}
	byToken    = []string{"XOAUTH2", "OAUTHBEARER"}
	mechanisms = slices.Concat(byPassword, byToken, []string{"EXTERNAL"})
)

func (m *Mail) check(folder *strict.Folder, top strict.Node, egress Egress) {
	if mail, _ := top.Get("mail"); !has(mail, "port") {
		m.Port = 587
	}
	if m.Port < 1 || m.Port > 65535 {
		top.Report(strict.BadValue, "mail.port", "must be between 1 and 65535")
	}
	if strings.ContainsAny(m.Host, "/ @") {
		top.Report(strict.BadValue, "mail.host", "must be a host name or address, without port")
	}
	if m.Rate < 0 {
		top.Report(strict.BadValue, "mail.rate", "must not be negative")
	}
	address(top, "mail.from", m.From)
	m.checkDomains(top)
	m.checkTLS(top, egress)
	m.Roots = roots(folder, top, "mail.ca_file", m.CAFile)
	if m.Auth != nil {
		m.Auth.check(folder, top, egress, "mail.auth")
	}
	if m.Bounces != nil {
		m.Bounces.check(folder, top, egress, m.Auth)
	}
}

func (m *Mail) checkDomains(top strict.Node) {
	for i, domain := range m.FullTo {
		if strings.ContainsAny(domain, "@/*: ") || !strings.Contains(domain, ".") {
			top.Report(strict.BadValue, index("mail.full_to", i), "must be a domain such as nhs.example, without @ or *")
		}
		m.FullTo[i] = strings.ToLower(domain)
	}
}

func (m *Mail) checkTLS(top strict.Node, egress Egress) {
	m.TLS = or(m.TLS, TLSMandatory)
	switch {
	case m.TLS != TLSMandatory && m.TLS != TLSNone:
		top.Report(strict.BadValue, "mail.tls", "must be mandatory or none%s", strict.DidYouMean(m.TLS, []string{TLSMandatory, TLSNone}))
	case m.TLS == TLSMandatory || m.Host == "":
	case !egress.Allows(m.Host):
		top.Report(strict.Conflict, "mail.tls", "none is accepted only for an address in egress.allow")
	case m.Auth != nil:
		top.Report(strict.Conflict, "mail.auth", "must be left out: credentials are not sent without TLS")
	}
}

// check reports what is wrong with a sign-in, which stands under a key of the file.
func (a *Auth) check(folder *strict.Folder, top strict.Node, egress Egress, at string) {
	require := func(missing bool, key string) {
		if missing {
			top.Report(strict.Missing, at+".mechanism", "%s needs %s", a.Mechanism, key)
		}
	}
	switch {
	case a.Mechanism == "": // missing, or reported
	case slices.Contains(byPassword, a.Mechanism):
		require(a.User == "", "user")
		require(!given(top, at+".password"), "password")
	case slices.Contains(byToken, a.Mechanism):
		require(a.User == "", "user")
		a.checkToken(top, egress, at, require)
	case a.Mechanism == "EXTERNAL":
		require(a.CertFile == "", "client_cert")
		require(!given(top, at+".client_key"), "client_key")
		a.readCertificate(folder, top, at)
	default:
		top.Report(strict.BadValue, at+".mechanism", "must be one of %s%s",
			strings.Join(mechanisms, ", "), strict.DidYouMean(a.Mechanism, mechanisms))
	}
}

// checkToken wants either a token or all that is needed to fetch one.
func (a *Auth) checkToken(top strict.Node, egress Egress, at string, require func(bool, string)) {
	if given(top, at+".token") {
		if a.TokenURL != "" {
			top.Report(strict.Conflict, at+".token", "token and token_url exclude each other")
		}
		return
	}
	if a.TokenURL == "" {
		require(true, "token, or token_url, client_id and client_secret")
		return
	}
	require(a.ClientID == "", "client_id")
	require(!given(top, at+".client_secret"), "client_secret")
	u, err := url.Parse(a.TokenURL)
	if err != nil || !absolute(u) || u.Scheme == "http" && !egress.Allows(u.Hostname()) {
		top.Report(strict.BadValue, at+".token_url", "must be https:// and a host; http:// only to an address in egress.allow")
	}
}

func (a *Auth) readCertificate(folder *strict.Folder, top strict.Node, at string) {
	if a.CertFile == "" || a.Key.IsZero() {
		return
	}
	if folder.NoSecrets {
		a.Certificate = new(tls.Certificate)
		return
	}
	pem, err := folder.Named(a.CertFile)
	if err != nil {
		top.Report(strict.NamedFile, at+".client_cert", "names a file that cannot be read")
		return
	}
	pair, err := tls.X509KeyPair(pem, []byte(a.Key.Reveal()))
	if err != nil {
		top.Report(strict.NamedFile, at+".client_cert", "and client_key must be a PEM certificate and its key")
		return
	}
	a.Certificate = &pair
}

// given reports whether a key stands in the file, whatever came of reading it.
func given(top strict.Node, path string) bool {
	n, ok := top, true
	for key := range strings.SplitSeq(path, ".") {
		if n, ok = n.Get(key); !ok {
			return false
		}
	}
	return true
}

func has(n strict.Node, key string) bool {
	_, ok := n.Get(key)
	return ok
}

func index(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
