package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"carehub/subscribers"
)

// Config is how the hub hands its mail over: one account at one submission server (RFC 6409).
type Config struct {
	Host string
	Port int // default 587

	From    string // address that messages come from, without a name; usually the account itself
	ReplyTo string // a person at the hub
	HubName string // shown with From and in the subject; also in the body where the message names no hub
	Hello   string // name given in EHLO; default the domain of From

	// TLS is TLSMandatory unless set. TLSNone is taken only for localhost, loopback addresses and addresses that AllowPlain
	// accepts; a nil AllowPlain accepts none.
	TLS        TLS
	AllowPlain func(netip.Addr) bool
	RootCAs    *x509.CertPool // nil: the system's

	Auth   Auth
	FullTo []string // domains that may be sent full content, exactly as written: no subdomains

	Connections int           // open at one time at the most; default 4
	PerMinute   int           // messages in any 60 s at the most; 0 is unlimited
	Timeout     time.Duration // of one attempt as a whole, waiting for a free connection included; default 60 s
}

// TLS says whether the connection must be encrypted. There is nothing in between.
type TLS string

const (
	TLSMandatory TLS = "mandatory" // STARTTLS (RFC 3207) with a verified certificate, or no mail
	TLSNone      TLS = "none"
)

// Auth is how the hub proves to the server who it is.
type Auth struct {
	// Mechanism is a SASL mechanism: PLAIN, LOGIN, SCRAM-SHA-1, SCRAM-SHA-256, either SCRAM with -PLUS, XOAUTH2, OAUTHBEARER
	// or EXTERNAL. Empty: none.
	Mechanism string
	User      string
	Password  func() string
	// Token returns an access token. It is asked once for every AUTH, and must keep to ctx.
	Token func(ctx context.Context) (string, error)
	// ClientCert is shown to the server when it asks; EXTERNAL needs it.
	ClientCert *tls.Certificate
}

const (
	defaultPort        = 587
	defaultConnections = 4
	defaultTimeout     = time.Minute
)

// complete fills in the defaults and reports the first thing that is wrong, by the key it has in hub.yaml.
func (c *Config) complete() error {
	setDefault(&c.Port, defaultPort)
	setDefault(&c.Connections, defaultConnections)
	setDefault(&c.Timeout, defaultTimeout)
	setDefault(&c.TLS, TLSMandatory)
	for _, check := range []func() error{c.checkNumbers, c.checkAddresses, c.checkTLS, c.Auth.check} {
		if err := check(); err != nil {
			return err
		}
	}
	setDefault(&c.Hello, domain(c.From))
	return nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (c *Config) checkNumbers() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return wrong("port", "must be between 1 and 65535")
	case c.Connections < 1:
		return wrong("connections", "must be 1 or more")
	case c.PerMinute < 0:
		return wrong("per_minute", "cannot be negative; 0 is unlimited")
	case c.Timeout < 0:
		return wrong("timeout", "cannot be negative")
	}
	return nil
}

func (c *Config) checkAddresses() error {
	if c.Host == "" || !printable(c.Host) {
		return wrong("host", "must name the mail server")
	}
	if !printable(c.Hello) {
		return wrong("hello", "must be a host name")
	}
	if c.HubName == "" || strings.ContainsFunc(c.HubName, unicode.IsControl) {
		return wrong("name", "must be the hub's name, on one line")
	}
	if err := checkAddress(c.From); err != nil {
		return wrong("from", err.Error())
	}
	if err := checkAddress(c.ReplyTo); err != nil {
		return wrong("email", err.Error())
	}
	return nil
}

func (c *Config) checkTLS() error {
	switch {
	case c.TLS == TLSMandatory, c.TLS == TLSNone && c.plainHost():
		return nil
	case c.TLS == TLSNone:
		return wrong("tls", "none is only for a server on this machine, or at an IP address on an allowed private network")
	}
	return wrong("tls", `must be "mandatory" or "none"`)
}

// plainHost reports whether the host may be spoken to in the clear. A name is not looked up: it could be another address
// when it is dialled.
func (c *Config) plainHost() bool {
	if c.Host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(c.Host)
	return err == nil && (ip.IsLoopback() || c.AllowPlain != nil && c.AllowPlain(ip))
}

func (c *Config) address() string { return net.JoinHostPort(c.Host, fmt.Sprint(c.Port)) }

func (a *Auth) check() error {
	need, ok := mechanisms[a.Mechanism]
	switch {
	case !ok:
		return wrong("mechanism", "must be one of "+strings.Join(Mechanisms(), ", "))
	case need.user && a.User == "":
		return wrong("user", a.Mechanism+" needs a user")
	case need.password && a.Password == nil:
		return wrong("password", a.Mechanism+" needs a password")
	case need.token && a.Token == nil:
		return wrong("token", a.Mechanism+" needs a source of tokens")
	case need.certificate && a.ClientCert == nil:
		return wrong("certificate", a.Mechanism+" needs a client certificate")
	}
	return nil
}

// Mechanisms lists the values that Auth.Mechanism may have, sorted, without the empty one.
func Mechanisms() []string {
	var all []string
	for m := range mechanisms {
		if m != "" {
			all = append(all, m)
		}
	}
	slices.Sort(all)
	return all
}

func wrong(field, message string) error {
	return &subscribers.FieldError{Field: field, Message: message}
}

// printable reports whether s is ASCII that one can see: nothing that could end a line or a word of an SMTP command.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// maxAddress is the longest address that fits a path (RFC 5321, 4.5.3.1.3, less the angle brackets).
const maxAddress = 254

// checkAddress accepts one bare address. Its errors do not repeat it.
func checkAddress(s string) error {
	parsed, err := mail.ParseAddress(s)
	switch {
	case s == "":
		return fmt.Errorf("an email address is missing")
	case len(s) > maxAddress:
		return fmt.Errorf("the email address is longer than %d characters", maxAddress)
	case !printable(s):
		return fmt.Errorf("an email address must be plain ASCII without spaces; write an international domain as xn--…")
	case err != nil || parsed.Address != s || parsed.Name != "":
		return fmt.Errorf("must be one email address and nothing else, such as reception@gp.example")
	}
	return nil
}

// domain returns what follows the last @ of an address, in lower case.
func domain(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
