package email

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/wneessen/go-mail/smtp"
)

// needs is what the settings of a mechanism must hold.
type needs struct{ user, password, token, certificate bool }

var mechanisms = map[string]needs{
	"":                   {},
	sasl.Plain:           {user: true, password: true},
	sasl.Login:           {user: true, password: true},
	"SCRAM-SHA-1":        {user: true, password: true},
	"SCRAM-SHA-256":      {user: true, password: true},
	"SCRAM-SHA-1-PLUS":   {user: true, password: true},
	"SCRAM-SHA-256-PLUS": {user: true, password: true},
	"XOAUTH2":            {user: true, token: true},
	sasl.OAuthBearer:     {token: true},
	sasl.External:        {certificate: true},
}

// exchange returns the client's side of the mechanism: go-mail's where it has a good one, else go-sasl's over the bridge.
func (c *Config) exchange(client *smtp.Client, secret string) (smtp.Auth, error) {
	user := c.Auth.User
	switch c.Auth.Mechanism {
	case sasl.Plain:
		return &bridge{client: sasl.NewPlainClient("", user, secret)}, nil
	case sasl.Login:
		return smtp.LoginAuth(user, secret, c.Host, true), nil // true: authenticate has made sure of TLS
	case "SCRAM-SHA-1":
		return smtp.ScramSHA1Auth(user, secret), nil
	case "SCRAM-SHA-256":
		return smtp.ScramSHA256Auth(user, secret), nil
	case "SCRAM-SHA-1-PLUS":
		state, err := client.GetTLSConnectionState()
		return smtp.ScramSHA1PlusAuth(user, secret, state), err
	case "SCRAM-SHA-256-PLUS":
		state, err := client.GetTLSConnectionState()
		return smtp.ScramSHA256PlusAuth(user, secret, state), err
	case "XOAUTH2":
		return smtp.XOAuth2Auth(user, secret), nil
	case sasl.OAuthBearer:
		options := &sasl.OAuthBearerOptions{Username: user, Token: secret, Host: c.Host, Port: c.Port}
		return &bridge{client: sasl.NewOAuthBearerClient(options)}, nil
	case sasl.External:
		return &bridge{client: sasl.NewExternalClient(user)}, nil
	}
	return nil, errMechanism
}

// secret returns the password or a fresh token, whichever the mechanism takes.
func (a *Auth) secret(ctx context.Context) (string, error) {
	switch need := mechanisms[a.Mechanism]; {
	case need.password:
		return a.Password(), nil
	case need.token:
		return a.Token(ctx)
	}
	return "", nil
}

// authenticate proves who we are, once per connection. Some of go-mail's mechanisms look neither at what the server offers
// nor at encryption, so both are checked here for all of them.
func (c *Config) authenticate(client *smtp.Client, secret string) error {
	if c.Auth.Mechanism == "" {
		return nil
	}
	if _, encrypted := client.TLSConnectionState(); !encrypted && c.TLS != TLSNone {
		return at(stepTLS, errNoSTARTTLS)
	}
	// Not ServerInfo.Auth: that still holds what was offered before TLS when nothing is offered after it.
	if _, offered := client.Extension("AUTH"); !slices.Contains(strings.Fields(offered), c.Auth.Mechanism) {
		return at(stepAuth, errMechanism)
	}
	auth, err := c.exchange(client, secret)
	if err != nil {
		return at(stepAuth, err)
	}
	return at(stepAuth, client.Auth(auth))
}

// bridge lets go-mail speak a mechanism of go-sasl.
type bridge struct {
	client sasl.Client
	unsent bool // the initial response was empty, and go-mail cannot say so in the AUTH command
}

// Start begins the exchange.
func (b *bridge) Start(*smtp.ServerInfo) (string, []byte, error) {
	mechanism, first, err := b.client.Start()
	b.unsent = len(first) == 0
	return mechanism, first, err
}

// Next answers a challenge. The answer is never nil while the server waits for one: go-mail would take that for success.
func (b *bridge) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil // 235: nothing is left to say, and go-sasl's clients would call it unexpected
	}
	if b.unsent && len(challenge) == 0 {
		b.unsent = false
		return []byte{}, nil
	}
	answer, err := b.client.Next(challenge)
	if _, refused := errors.AsType[*sasl.OAuthBearerError](err); refused {
		return []byte{1}, nil // RFC 7628, 3.2.3: the server then says so with a code
	}
	if answer == nil {
		answer = []byte{}
	}
	return answer, err
}
