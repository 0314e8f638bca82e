package bounces

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
)

// Verdict is what a message says of a mail.
type Verdict int

const (
	Other  Verdict = iota // nothing that counts: no report, or one of a mail that was delivered, relayed or expanded
	Delay                 // not delivered yet
	Failed                // not delivered, for good
)

// Report is what was read out of a message.
type Report struct {
	Verdict Verdict
	Status  string // RFC 3463, such as 5.1.1; empty where there is none
}

// Read reads a delivery status notification (RFC 3464, in a multipart/report by RFC 6522), or what some mail systems send in
// its place. It takes anything: what it cannot make out is Other.
//
// A report that names several recipients, because the address stood for several mailboxes, is a failure if it says so of any:
// telling somebody twice harms nobody. A failure counts whatever its status was while the mail server was trying, 4.4.7 of a
// mail that has been given up included.
func Read(message []byte) Report {
	m, err := mail.ReadMessage(bytes.NewReader(message[:min(len(message), MaxMessage)]))
	if err != nil {
		return Report{}
	}
	w := walk{}
	w.part(textproto.MIMEHeader(m.Header), m.Body, 0)
	if w.formal {
		return w.report
	}
	return plain(m.Header, w.text.String())
}

// What is looked at of a message.
const (
	maxDepth  = 8
	maxParts  = 64
	maxGroups = 256      // of a report: the message's and one for each recipient
	maxText   = 64 << 10 // bytes
)

// walk goes through the parts of a message.
type walk struct {
	parts  int
	formal bool // there was a delivery status
	report Report
	text   strings.Builder // of the parts that people read
}

func (w *walk) part(h textproto.MIMEHeader, body io.Reader, depth int) {
	if w.parts++; w.parts > maxParts || depth > maxDepth {
		return
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain" // RFC 2045, 5.2
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		w.multipart(body, params["boundary"], depth)
	case kind == "message/delivery-status", kind == "message/global-delivery-status": // RFC 6533 has the second
		w.formal = true
		w.status(decoded(h, body))
	case strings.HasPrefix(kind, "text/") && kind != "text/rfc822-headers":
		_, _ = io.Copy(&w.text, io.LimitReader(decoded(h, body), int64(maxText-w.text.Len()))) // what can be had of it
	}
}

func (w *walk) multipart(body io.Reader, boundary string, depth int) {
	if boundary == "" {
		return
	}
	for r := multipart.NewReader(body, boundary); w.parts <= maxParts; {
		p, err := r.NextRawPart()
		if err != nil {
			return
		}
		w.part(p.Header, p, depth+1)
	}
}

// decoded undoes the transfer encoding (RFC 2045, 6). A report must have none, and some have.
func decoded(h textproto.MIMEHeader, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// status reads groups of fields with blank lines between them (RFC 3464, 2.1), the worst counts.
func (w *walk) status(body io.Reader) {
	r := textproto.NewReader(bufio.NewReader(io.LimitReader(body, maxText)))
	for range maxGroups {
		fields, err := r.ReadMIMEHeader()
		if found := group(fields); found.Verdict > w.report.Verdict {
			w.report = found
		}
		if _, malformed := errors.AsType[textproto.ProtocolError](err); err != nil && !malformed {
			return
		}
	}
}

var statusCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}`)

// group reads the fields of one recipient.
func group(fields textproto.MIMEHeader) Report {
	action, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(fields.Get("Action"))), " ")
	status := statusCode.FindString(strings.TrimSpace(fields.Get("Status")))
	switch {
	case strings.HasPrefix(status, "2"):
	case action == "failed":
		return Report{Failed, status}
	case action == "delayed":
		return Report{Delay, status}
	}
	return Report{}
}
