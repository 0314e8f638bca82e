package bounces

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
)

// Some mail systems say in words alone that a mail was not delivered. Words are believed only if the mail system wrote them,
// and a permanent code (RFC 5321, 4.2.1; RFC 3463, 3.1) stands among them: what people and their auto-replies write never
// counts.

// systems are the local parts that mail systems write from (RFC 5321, 4.5.1; RFC 3834, 3.3). Exchange's goes on with hexadecimal
// digits.
var systems = []string{"mailer-daemon", "postmaster", "mail-daemon", "maildaemon", "microsoftexchange"}

var (
	// A reply code with an enhanced one, as SMTP has it, or as Exchange has it ("550 5.1.10 …", "#5.1.1", "550-5.1.1").
	enhanced = regexp.MustCompile(`(?:^|[^\d.])(5\.\d{1,3}\.\d{1,3})(?:[^\d.]|\.?$|\.\s)`)
	bare     = regexp.MustCompile(`(?:^|[^\d.])(55[0-6])(?:[ -]|$)`)
	// Warnings quote codes too, of what will be tried again.
	waiting = regexp.MustCompile(`(?i)\b(delay(ed)?|warning|incomplete|will (be retried|keep trying|continue)|still (trying|being retried))\b`)
)

// plain reads what a person would.
func plain(h mail.Header, text string) Report {
	if !fromSystem(h) || !nullSender(h) {
		return Report{}
	}
	if waiting.MatchString(h.Get("Subject")) || waiting.MatchString(firstLines(text)) {
		return Report{Verdict: Delay}
	}
	if m := enhanced.FindStringSubmatch(text); m != nil {
		return Report{Failed, m[1]}
	}
	if bare.MatchString(text) {
		return Report{Verdict: Failed}
	}
	return Report{}
}

func fromSystem(h mail.Header) bool {
	from, err := h.AddressList("From")
	if err != nil || len(from) != 1 {
		return false
	}
	local, _, _ := strings.Cut(strings.ToLower(from[0].Address), "@")
	return slices.ContainsFunc(systems, func(s string) bool { return strings.HasPrefix(local, s) })
}

// nullSender reports whether the message came from <>, as reports do, or nothing is known of where from. Postfix has
// <MAILER-DAEMON> for it where it hands messages to programs.
func nullSender(h mail.Header) bool {
	path, known := h["Return-Path"]
	if !known {
		return true
	}
	address := strings.Trim(path[0], " <>")
	return address == "" || address == "MAILER-DAEMON"
}

// firstLines is what a report says before it quotes.
func firstLines(text string) string { return text[:min(len(text), 600)] }
