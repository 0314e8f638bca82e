package main

import (
	"context"
	"fmt"
	"net/netip"

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
	types   map[string]subscribers.Type
	guard   *egress.Guard
	http    *egress.Client
	webhook *webhook.Channel
	push    *push.Channel
	mail    *email.Channel // nil when the hub sends no mail
	// equipped are those that have what the store has for them.
	equipped map[any]bool
}

// newChannels makes the channel types as hub.yaml sets them up. It opens no connection.
func newChannels(hub *config.Hub) (*channels, error) {
	guard := egress.New(hub.Egress.Allow)
	c := &channels{guard: guard, http: guard.Client(hub.Egress.Roots)}
	c.webhook = webhook.New(c.http, webhook.Options{Version: version, AllowPlain: guard.AllowPlain, MayDial: guard.MayDial})
	c.push = push.New(c.http, push.Options{Version: version, Contact: hub.Contact.Email, AllowPlain: guard.AllowPlain, MayDial: guard.MayDial})
	c.types = map[string]subscribers.Type{
		"webhook": c.webhook,
		"fhir":    fhirmsg.New(c.http, fhirmsg.Options{Version: version, AllowPlain: guard.AllowPlain, MayDial: guard.MayDial}),
		"email":   noMail{},
		"sms":     noTexts{},
		"push":    c.push,
	}
	err := c.openTexts(hub, guard)
	if hub.Mail == nil {
		return c, err
	}
	mail, failed := email.New(mailConfig(hub, guard))
	if failed != nil {
		c.types["email"] = brokenMail{}
		return c, fmt.Errorf("hub.yaml: mail: %w", failed)
	}
	c.mail, c.types["email"] = mail, mail
	return c, err
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
	c, _ := newChannels(hub)
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
