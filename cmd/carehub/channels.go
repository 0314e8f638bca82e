package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"carehub/config"
	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/egress"
	"carehub/subscribers/email"
	"carehub/subscribers/fhirmsg"
	"carehub/subscribers/push"
	"carehub/subscribers/sms"
	"carehub/subscribers/webhook"
)

// version of the software, as recipients see it. A release sets it when linking.
var version = "0.1.0"

// channels are the ways of reaching people that this build has, by their name in YAML, and what they share.
type channels struct {
	of      *config.Hub
	types   map[string]subscribers.Type
	guard   *egress.Guard
	http    *egress.Client
	webhook *webhook.Channel
	fhir    *fhirmsg.Channel
	push    *push.Channel
	mail    *email.Channel // nil when the hub sends no mail
	// equipped are those that have what the store has for them.
	equipped map[any]bool
}

// newChannels makes the channel types as hub.yaml sets them up. It opens no connection. Those before that are set up in the same
// way are kept, with their connections; before is nil at the start.
func newChannels(hub *config.Hub, before *channels) (*channels, error) {
	c := &channels{of: hub, equipped: map[any]bool{}}
	web := before.sameWeb(hub)
	c.openWeb(hub, before, web)
	c.types = map[string]subscribers.Type{"webhook": c.webhook, "fhir": c.fhir, "email": noMail{}, "sms": noTexts{}, "push": c.push}
	var err error
	if web && hub.SMS != nil && reflect.DeepEqual(before.of.SMS, hub.SMS) {
		c.types["sms"] = before.types["sms"]
	} else {
		err = c.openTexts(hub, c.guard)
	}
	if hub.Mail == nil {
		return c, err
	}
	if web && before.sameMail(hub) {
		c.mail, c.types["email"] = before.mail, before.mail
		return c, err
	}
	mail, failed := email.New(mailConfig(hub, c.guard))
	if failed != nil {
		c.types["email"] = brokenMail{}
		return c, fmt.Errorf("hub.yaml: mail: %w", failed)
	}
	c.mail, c.types["email"] = mail, mail
	return c, err
}

// openWeb makes what sends by HTTP, or takes it over.
func (c *channels) openWeb(hub *config.Hub, before *channels, same bool) {
	if same {
		c.guard, c.http, c.webhook, c.fhir, c.equipped = before.guard, before.http, before.webhook, before.fhir, maps.Clone(before.equipped)
	} else {
		c.guard = egress.New(hub.Egress.Allow)
		c.http = c.guard.Client(hub.Egress.Roots)
		c.webhook = webhook.New(c.http, webhook.Options{Version: version, AllowPlain: c.guard.AllowPlain, MayDial: c.guard.MayDial})
		c.fhir = fhirmsg.New(c.http, fhirmsg.Options{Version: version, AllowPlain: c.guard.AllowPlain, MayDial: c.guard.MayDial})
	}
	if same && before.of.Contact.Email == hub.Contact.Email {
		c.push = before.push
		return
	}
	c.push = push.New(c.http, push.Options{Version: version, Contact: hub.Contact.Email, AllowPlain: c.guard.AllowPlain, MayDial: c.guard.MayDial})
}

// sameWeb reports whether the hub may call whom it might call before, and trusts the same certificates.
func (c *channels) sameWeb(hub *config.Hub) bool {
	return c != nil && slices.Equal(c.of.Egress.Allow, hub.Egress.Allow) && c.of.Egress.Roots.Equal(hub.Egress.Roots)
}

// sameMail reports whether mail goes out as it did, by the same server and in the same words.
func (c *channels) sameMail(hub *config.Hub) bool {
	if c.mail == nil || c.of.Name != hub.Name || c.of.Contact.Email != hub.Contact.Email || !c.of.Mail.Roots.Equal(hub.Mail.Roots) {
		return false
	}
	then, now := *c.of.Mail, *hub.Mail
	then.Roots, now.Roots, then.Bounces, now.Bounces = nil, nil, nil, nil
	return reflect.DeepEqual(then, now)
}

// same reports whether everybody is reached through what they were reached through before.
func (c *channels) same(before *channels) bool { return maps.Equal(c.types, before.types) }

// retire closes what the channels in force have not taken over. What is under way may end.
func (c *channels) retire(ctx context.Context, now *channels) {
	if c.http != now.http {
		c.http.CloseIdleConnections()
	}
	if c.mail != nil && c.mail != now.mail {
		c.mail.Close(ctx)
	}
}

// openTexts makes the channel of text messages, if the hub has a gateway.
func (c *channels) openTexts(hub *config.Hub, guard *egress.Guard) error {
	s := hub.SMS
	if s == nil {
		return nil
	}
	settings := sms.Config{URL: s.URL, Form: s.Format == config.SMSForm, From: s.From, To: s.Fields.To, Text: s.Fields.Text,
		Sender: s.Fields.From, ID: s.Fields.ID, PerMinute: s.Rate, Version: version, AllowPlain: guard.AllowPlain, MayDial: guard.MayDial}
	if s.Auth != nil {
		settings.Bearer, settings.User, settings.Password = s.Auth.Bearer.Reveal(), s.Auth.User, s.Auth.Password.Reveal()
	}
	texts, err := sms.New(c.http, settings)
	if err != nil {
		c.types["sms"] = brokenTexts{}
		return fmt.Errorf("hub.yaml: sms: %w", err)
	}
	c.types["sms"] = texts
	return nil
}

func (c *channels) close(ctx context.Context) {
	c.http.CloseIdleConnections()
	if c.mail != nil {
		c.mail.Close(ctx)
	}
}

// channelTypes is newChannels for checking a folder, where a wrong mail setting has been reported at its line already.
func channelTypes(hub *config.Hub) map[string]subscribers.Type {
	c, _ := newChannels(hub, nil)
	return c.types
}

func mailConfig(hub *config.Hub, guard *egress.Guard) email.Config {
	m := hub.Mail
	c := email.Config{Host: m.Host, Port: m.Port, From: m.From, ReplyTo: hub.Contact.Email, HubName: hub.Name, Hello: m.Hello,
		TLS: email.TLS(m.TLS), RootCAs: m.Roots, FullTo: m.FullTo, PerMinute: m.Rate,
		AllowPlain: func(ip netip.Addr) bool { return guard.AllowPlain(ip.String()) }}
	if m.Auth != nil {
		c.Auth = mailAuth(m.Auth)
	}
	return c
}

// mailAuth is a sign-in to a mail server as hub.yaml has it.
func mailAuth(a *config.Auth) email.Auth {
	auth := email.Auth{Mechanism: a.Mechanism, User: a.User, Password: a.Password.Reveal, ClientCert: a.Certificate}
	switch {
	case a.TokenURL != "":
		auth.Token = email.OAuth2(a.TokenURL, a.ClientID, a.ClientSecret.Reveal, a.Scopes...)
	case !a.Token.IsZero():
		auth.Token = func(context.Context) (string, error) { return a.Token.Reveal(), nil }
	}
	return auth
}

// noMail refuses email channels in a hub that sends no mail.
type noMail struct{}

func (noMail) Open(func(any) error) (subscribers.Endpoint, error) {
	return nil, &subscribers.FieldError{Field: "to", Message: "cannot be reached: hub.yaml has no mail"}
}

// brokenMail stands in while hub.yaml's mail is wrong, which is a problem of its own and not one of each mailbox.
type brokenMail struct{}

func (brokenMail) Open(decode func(any) error) (subscribers.Endpoint, error) {
	var s struct {
		To      string         `yaml:"to,required"`
		Content events.Content `yaml:"content"`
	}
	return nil, decode(&s)
}

// noTexts refuses text messages in a hub without a gateway.
type noTexts struct{}

func (noTexts) Open(func(any) error) (subscribers.Endpoint, error) {
	return nil, &subscribers.FieldError{Field: "to", Message: "cannot be reached: hub.yaml has no sms"}
}

// brokenTexts stands in while hub.yaml's sms is wrong, which is a problem of its own and not one of each phone.
type brokenTexts struct{}

func (brokenTexts) Open(decode func(any) error) (subscribers.Endpoint, error) {
	var s sms.Settings
	if err := decode(&s); err != nil {
		return nil, err
	}
	return nil, s.Check()
}
