package config

import (
	"slices"
	"strings"

	"carehub/config/strict"
)

// Bounces is where mail servers report what they could not deliver, and how the hub gets those reports: from a mailbox, or
// posted by the mail server.
type Bounces struct {
	Address string `yaml:"address,required"` // care+b-*@hub.example; * is for the token of each delivery
	IMAP    *IMAP  `yaml:"imap"`
	Post    *Post  `yaml:"post"`
}

// IMAP is the mailbox that reports arrive in.
type IMAP struct {
	Host    string `yaml:"host,required"`
	Port    int    `yaml:"port"`    // default 993, with TLS from the first byte
	Mailbox string `yaml:"mailbox"` // default INBOX
	Auth    *Auth  `yaml:"auth"`    // default that of mail
}

// Post lets the mail server hand reports over at POST /mail/bounces.
type Post struct {
	Token strict.Secret `yaml:"token,required"`
}

const (
	returnToken  = 40 // characters of a token in the return address
	minPostToken = 24 // characters: 18 random bytes, however they are written
	imapPort     = 993
)

func (b *Bounces) check(folder *strict.Folder, top strict.Node, egress Egress, mail *Auth) {
	b.checkAddress(top)
	if b.IMAP == nil && b.Post == nil && b.Address != "" {
		top.Report(strict.Missing, "mail.bounces.imap", "or post is needed: how the reports reach the hub")
	}
	if b.Post != nil {
		if token := b.Post.Token.Reveal(); token != "" && len(token) < minPostToken {
			top.Report(strict.BadValue, "mail.bounces.post.token", "must have at least %d characters", minPostToken)
		}
	}
	if b.IMAP != nil {
		b.IMAP.check(folder, top, egress, mail)
	}
}

// checkAddress wants one * in the local part, and room for the token there (RFC 5321, 4.5.3.1.1).
func (b *Bounces) checkAddress(top strict.Node) {
	const at = "mail.bounces.address"
	local, _, _ := strings.Cut(b.Address, "@")
	switch {
	case b.Address == "": // missing
	case strings.Count(b.Address, "*") != 1 || !strings.Contains(local, "*"):
		top.Report(strict.BadValue, at, "must have one * before the @, where each delivery's token goes, as in care+b-*@hub.example")
	case len(local)-1+returnToken > 64:
		top.Report(strict.BadValue, at, "may have %d characters before the @ beside the *", 64-returnToken)
	default:
		address(top, at, strings.Replace(b.Address, "*", "a", 1))
	}
}

func (i *IMAP) check(folder *strict.Folder, top strict.Node, egress Egress, mail *Auth) {
	if !given(top, "mail.bounces.imap.port") {
		i.Port = imapPort
	}
	if i.Port < 1 || i.Port > 65535 {
		top.Report(strict.BadValue, "mail.bounces.imap.port", "must be between 1 and 65535")
	}
	if strings.ContainsAny(i.Host, "/ @") {
		top.Report(strict.BadValue, "mail.bounces.imap.host", "must be a host name or address, without port")
	}
	i.Mailbox = or(i.Mailbox, "INBOX")
	if i.Auth == nil {
		i.Auth = mail
	} else {
		i.Auth.check(folder, top, egress, "mail.bounces.imap.auth")
	}
	if i.Auth == nil || !slices.Contains(byPassword, i.Auth.Mechanism) && !slices.Contains(byToken, i.Auth.Mechanism) {
		top.Report(strict.Missing, "mail.bounces.imap.auth", "is needed, with a password or a token: mail.auth has none that an IMAP server takes")
	}
}
