package email

import (
	"bytes"
	"cmp"
	"errors"
	"net/mail"
	"regexp"
	"time"

	gomail "github.com/wneessen/go-mail"

	"carehub/events"
	"carehub/events/fhir"
)

// message is what goes over the wire: the envelope and the bytes after DATA.
type message struct {
	from, to string
	bytes    []byte
}

// The errors of write. What led to them could quote the message.
var (
	errID      = errors.New("the delivery has no usable id")
	errContent = errors.New("the message cannot be read back")
	errLayout  = errors.New("the message cannot be laid out")
)

// token is what may stand in a header without any encoding.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// write builds the message of d, with files, to one address. It depends on nothing but its arguments and the configuration: no clock, no
// chance.
func (c *Channel) write(to string, d events.Delivery, files ...file) (message, error) {
	if !token.MatchString(d.ID) || !token.MatchString(d.Ref) {
		return message{}, errID
	}
	content, err := fhir.Decode(d.Message)
	if err != nil {
		return message{}, errContent
	}
	content.Hub.Name = cmp.Or(content.Hub.Name, c.config.HubName)
	if d.Content == events.ContentFull && !c.mayHaveFull(to) {
		d.Content = events.ContentLink // the address is looked up when sending, and may be another than when this was planned
	}
	l := compose(d, content)
	if d.Content == events.ContentFull || d.Content == events.ContentSummary {
		l.Facts = append(l.Facts, attached(content.Event, d.Documents, files)...)
	}
	html, err := l.html()
	if err != nil {
		return message{}, errLayout
	}
	return c.assemble(heading{from: returnPath(d), to: to, id: d.ID, hub: content.Hub.Name, subject: subject(content.Hub.Name, d), lang: l.Lang, date: d.Recorded}, l.text(), html, files...)
}

// heading is what the headers of a message say.
type heading struct {
	from, to, id, hub, subject, lang string // from, of the envelope, is the hub's own unless given
	date                             time.Time
}

// assemble puts the headers before the two forms of the letter. The one date is when the event was recorded, or a note
// decided on: the time of sending is in the Received headers, and would make each attempt another message.
func (c *Channel) assemble(h heading, text, html string, files ...file) (message, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(&mail.Address{Name: h.hub, Address: c.config.From})
	m.ToMailAddress(&mail.Address{Address: h.to})
	m.ReplyToMailAddress(&mail.Address{Address: c.config.ReplyTo})
	m.Subject(h.subject)
	m.SetMessageIDWithValue(h.id + "@" + domain(c.config.From))
	m.SetDateWithValue(h.date.UTC())
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	m.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	m.SetGenHeader(gomail.HeaderContentLang, h.lang)
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	// From everything between the boundaries, so that nobody can write words that contain it.
	boundary := "carehub-" + events.Hash([]byte(h.id+text+html))
	if len(files) == 0 {
		m.SetBoundary(boundary)
	}
	if attach(m, files) != nil {
		return message{}, errLayout
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return message{}, errLayout
	}
	if len(files) > 0 {
		return message{from: cmp.Or(h.from, c.config.From), to: h.to, bytes: settle(b.Bytes(), boundary)}, nil
	}
	return message{from: cmp.Or(h.from, c.config.From), to: h.to, bytes: b.Bytes()}, nil
}

// returnPath is the envelope's sender (RFC 5321, 4.4), where the delivery has one of its own.
func returnPath(d events.Delivery) string {
	if d.Return == nil {
		return ""
	}
	return d.Return()
}

// subject says nothing of the patient or the event.
func subject(hub string, d events.Delivery) string {
	if isWelsh(d) {
		return subjectInWelsh(hub, d)
	}
	what := hub + ": a message about someone in your care"
	switch {
	case d.Kind == events.Alarm && d.Notice:
		what = hub + ": something needs your attention"
	case d.Kind == events.Alarm:
		what = hub + ": somebody could not be told"
	case d.Urgent:
		what += " [urgent]"
	}
	if d.Test {
		what = "TEST " + what
	}
	return what + " - ref " + d.Ref
}
