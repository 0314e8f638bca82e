package config

import (
	"net/url"
	"strings"

	"carehub/config/strict"
)

// SMS is the gateway that the hub's text messages go through: one POST over HTTP for each.
type SMS struct {
	URL    string    `yaml:"url,required"`
	Format string    `yaml:"format"` // SMSJSON, the default, or SMSForm
	Fields SMSFields `yaml:"fields"`
	From   string    `yaml:"from"` // number or name that the message comes from; empty: the gateway's own
	Auth   *SMSAuth  `yaml:"auth"` // nil: none
	Rate   int       `yaml:"rate"` // messages a minute, 0 without limit
}

// SMSFields are what the gateway calls the parts of a message.
type SMSFields struct {
	To   string `yaml:"to"`   // default to
	Text string `yaml:"text"` // default text
	From string `yaml:"from"` // default from
	ID   string `yaml:"id"`   // of what is the same for each repeat; empty: in the header Idempotency-Key alone
}

// SMSAuth is how the hub signs in to the gateway: by a token (RFC 6750) or by user and password (RFC 7617).
type SMSAuth struct {
	Bearer   strict.Secret `yaml:"bearer"`
	User     string        `yaml:"user"`
	Password strict.Secret `yaml:"password"`
}

// The values of sms.format.
const (
	SMSJSON = "json"
	SMSForm = "form"
)

// maxSMSURL is the longest address of a hub for which a text message has room beside its words.
const maxSMSURL = 100

func (s *SMS) check(top strict.Node, hub *Hub) {
	u, err := url.Parse(s.URL)
	if s.URL != "" && (err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !hub.Egress.Allows(u.Hostname()))) {
		top.Report(strict.BadValue, "sms.url", "must be https:// and a host, without a password; http:// only to an address in egress.allow")
	}
	s.Format = or(s.Format, SMSJSON)
	if s.Format != SMSJSON && s.Format != SMSForm {
		top.Report(strict.BadValue, "sms.format", "must be json or form%s", strict.DidYouMean(s.Format, []string{SMSJSON, SMSForm}))
	}
	s.Fields.To, s.Fields.Text, s.Fields.From = or(s.Fields.To, "to"), or(s.Fields.Text, "text"), or(s.Fields.From, "from")
	s.checkFields(top)
	if s.Rate < 0 {
		top.Report(strict.BadValue, "sms.rate", "must not be negative")
	}
	if s.Auth != nil {
		s.Auth.check(top)
	}
	if len(hub.URL) > maxSMSURL {
		top.Report(strict.BadValue, "url", "must have at most %d characters, for it has to fit into a text message", maxSMSURL)
	}
}

// checkFields reports two parts of one name: one of them would be lost.
func (s *SMS) checkFields(top strict.Node) {
	seen := map[string]bool{}
	for _, name := range []string{s.Fields.To, s.Fields.Text, s.Fields.From, s.Fields.ID} {
		if name != "" && seen[name] {
			top.Report(strict.Conflict, "sms.fields", "must have a name of its own for each part")
			return
		}
		seen[name] = true
	}
}

func (a *SMSAuth) check(top strict.Node) {
	bearer, basic := given(top, "sms.auth.bearer"), given(top, "sms.auth.password")
	switch {
	case bearer && (basic || a.User != ""):
		top.Report(strict.Conflict, "sms.auth", "must be a bearer token or a user and password, not both")
	case bearer:
		if strings.ContainsFunc(a.Bearer.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			top.Report(strict.BadValue, "sms.auth.bearer", "must be printable ASCII without spaces")
		}
	case a.User == "" || !basic:
		top.Report(strict.Conflict, "sms.auth", "needs bearer, or user and password")
	case strings.Contains(a.User, ":"):
		top.Report(strict.BadValue, "sms.auth.user", "must not hold a colon")
	}
}
