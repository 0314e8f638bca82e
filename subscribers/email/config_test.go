package email_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/channeltest"
	"carehub/subscribers/email"
)

func usable() email.Config {
	return email.Config{
		Host: "smtp.example", From: sender, ReplyTo: "help@hub.example", HubName: "Riverside carers' network",
		FullTo: []string{"GP.example"},
	}
}

func TestNew(t *testing.T) {
	private10 := func(ip netip.Addr) bool { return netip.MustParsePrefix("10.0.0.0/8").Contains(ip) }
	cases := []struct {
		field  string // the one that is wrong; "" is none
		change func(*email.Config)
	}{
		{"", func(*email.Config) {}},
		{"host", func(c *email.Config) { c.Host = "" }},
		{"host", func(c *email.Config) { c.Host = "smtp.example\r\nQUIT" }},
		{"port", func(c *email.Config) { c.Port = 70000 }},
		{"hello", func(c *email.Config) { c.Hello = "hub example" }},
		{"name", func(c *email.Config) { c.HubName = "hub\r\nBcc: nobody@bad.example" }},
		{"from", func(c *email.Config) { c.From = "Hub <care@hub.example>" }},
		{"email", func(c *email.Config) { c.ReplyTo = "" }},
		{"connections", func(c *email.Config) { c.Connections = -1 }},
		{"per_minute", func(c *email.Config) { c.PerMinute = -1 }},
		{"timeout", func(c *email.Config) { c.Timeout = -1 }},
		{"tls", func(c *email.Config) { c.TLS = "opportunistic" }},
		{"tls", func(c *email.Config) { c.TLS = email.TLSNone }},
		{"tls", func(c *email.Config) { c.TLS, c.Host = email.TLSNone, "10.1.2.3" }},
		{"tls", func(c *email.Config) { c.TLS, c.Host, c.AllowPlain = email.TLSNone, "192.0.2.1", private10 }},
		{"", func(c *email.Config) { c.TLS, c.Host, c.AllowPlain = email.TLSNone, "10.1.2.3", private10 }},
		{"", func(c *email.Config) { c.TLS, c.Host = email.TLSNone, "localhost" }},
		{"", func(c *email.Config) { c.TLS, c.Host = email.TLSNone, "::1" }},
		{"mechanism", func(c *email.Config) { c.Auth.Mechanism = "CRAM-MD5" }},
		{"user", func(c *email.Config) { c.Auth = email.Auth{Mechanism: "LOGIN", Password: secret("x")} }},
		{"password", func(c *email.Config) { c.Auth = email.Auth{Mechanism: "SCRAM-SHA-256", User: user} }},
		{"token", func(c *email.Config) { c.Auth = email.Auth{Mechanism: "XOAUTH2", User: user} }},
		{"certificate", func(c *email.Config) { c.Auth = email.Auth{Mechanism: "EXTERNAL"} }},
	}
	for i, c := range cases {
		config := usable()
		c.change(&config)
		channel, err := email.New(config)
		holdField(t, fmt.Sprint("case ", i), err, c.field)
		if err == nil {
			channel.Close(t.Context())
		}
	}
}

func holdField(t *testing.T, name string, err error, field string) {
	t.Helper()
	wrong, ok := errors.AsType[*subscribers.FieldError](err)
	switch {
	case field == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case field != "" && (!ok || wrong.Field != field):
		t.Errorf("%s: got %v, want a FieldError on %s", name, err, field)
	case field != "" && strings.Contains(err.Error(), "bad.example"):
		t.Errorf("%s: the error repeats the address: %v", name, err)
	}
}

func TestOpen(t *testing.T) {
	channel, err := email.New(usable())
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close(t.Context())
	cases := []struct{ to, content, field string }{
		{recipient, "", ""},
		{recipient, "link", ""},
		{recipient, "summary", ""},
		{recipient, "full", ""},
		{"reception@GP.EXAMPLE", "full", ""},
		{"reception@sub.gp.example", "full", "content"},
		{"reception@gp.example.bad.example", "full", "content"},
		{"reception@gp.example@bad.example", "full", "to"},
		{recipient, "everything", "content"},
		{"", "link", "to"},
		{"bad.example", "link", "to"},
		{"Reception <reception@bad.example>", "link", "to"},
		{"<reception@bad.example>", "link", "to"},
		{"a@bad.example, b@bad.example", "link", "to"},
		{"a@bad.example>\r\nRCPT TO:<b@bad.example", "link", "to"},
		{"a@bad.example\x00", "link", "to"},
		{" a@bad.example", "link", "to"},
		{`"a b"@bad.example`, "link", "to"},
		{"möglich@bad.example", "link", "to"},
		{strings.Repeat("a", 250) + "@bad.example", "link", "to"},
	}
	for _, c := range cases {
		yaml := fmt.Sprintf("to: %q\n", c.to)
		if c.content != "" {
			yaml += "content: " + c.content + "\n"
		}
		_, err := channel.Open(channeltest.Decoder(t, yaml, nil))
		holdField(t, c.to, err, c.field)
	}
}

func TestOpenReturnsWhatTheDecoderFound(t *testing.T) {
	channel, err := email.New(usable())
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close(t.Context())
	found := errors.New("unknown key")
	if _, err := channel.Open(func(any) error { return found }); err != found {
		t.Errorf("got %v, want the decoder's error", err)
	}
}

// Over the limit a message is not sent late but refused at once, for the engine to try again.
func TestPerMinute(t *testing.T) {
	s := start(t, &server{})
	c := s.config()
	c.PerMinute = 4 // of which one at once
	e, _ := open(t, c, events.ContentLink)
	mustSend(t, e, numbered(t, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	f := failed(t, e.Send(ctx, numbered(t, 2)))
	if f.Reason != events.ReasonBusy || f.Permanent {
		t.Errorf("got %v (%v), want busy, temporary", f, f.Err)
	}
}
