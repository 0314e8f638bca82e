package email_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// withDocuments is a delivery with a letter that the recipient may have, and a result that they may not.
func withDocuments(t *testing.T, content events.Content) events.Delivery {
	t.Helper()
	m := sample()
	for _, kind := range []events.DocumentKind{events.DocLetter, events.DocResult} {
		m.Event.Documents = append(m.Event.Documents, events.Document{ID: events.DocumentID(m.Event.ID, kind, "x"), Kind: kind, Media: events.PDF, Size: 300,
			SHA256: strings.Repeat("a", 64), SHA1: "x", Added: time.Date(2026, 9, 1, 17, 30, 0, 0, time.UTC)})
	}
	d := deliver(t, m, content)
	d.Documents = m.Event.Documents[:1]
	d.Open = func(context.Context, events.Document) ([]byte, error) {
		return bytes.Repeat([]byte("%PDF boundary="), 30), nil
	}
	return d
}

// TestAttachment: a full message has what the recipient may have, in parts that are the same at each attempt.
func TestAttachment(t *testing.T) {
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentFull)
	d := withDocuments(t, events.ContentFull)
	mustSend(t, e, d)
	mustSend(t, e, d)
	taken := s.taken()
	if !bytes.Equal(taken[0].data, taken[1].data) {
		t.Error("the second attempt has other bytes")
	}
	m, err := mail.ReadMessage(bytes.NewReader(taken[0].data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	mixed := multipart.NewReader(m.Body, params["boundary"])
	first, err := mixed.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err = mime.ParseMediaType(first.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	forms := multipart.NewReader(first, params["boundary"])
	text := part(t, forms, "text/plain; charset=UTF-8")
	if !strings.Contains(text, "With it: Letter, attached to this message: letter-2026-09-01.pdf") ||
		!strings.Contains(strings.Join(strings.Fields(text), " "), "With it: Result; please ask whoever reported this if you need it") {
		t.Error(text)
	}
	_ = part(t, forms, "text/html; charset=UTF-8")
	letter, err := mixed.NextPart()
	if err != nil || letter.FileName() != "letter-2026-09-01.pdf" || !strings.HasPrefix(letter.Header.Get("Content-Type"), events.PDF) {
		t.Fatal(letter.Header, err)
	}
	content, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, letter))
	if want, _ := d.Open(t.Context(), d.Documents[0]); err != nil || !bytes.Equal(content, want) {
		t.Error("the letter is another", err)
	}
	if _, err := mixed.NextPart(); err != io.EOF {
		t.Error("there is more", err)
	}
}

// TestNothingAttached: what says less than all has nothing with it, and neither has one to a domain that may not have full messages.
func TestNothingAttached(t *testing.T) {
	for content, says := range map[events.Content]string{events.ContentSummary: "With it: Letter, at the link below", events.ContentLink: ""} {
		got := send(t, withDocuments(t, content)) // which has two parts, or the test ends
		if !strings.Contains(got.text, says) || strings.Contains(got.text, "Letter") != (says != "") {
			t.Errorf("%s: %s", content, got.text)
		}
	}
}

// TestDocumentIsLost: the message goes without it, and says to ask.
func TestDocumentIsLost(t *testing.T) {
	for _, kind := range []events.ErrorKind{events.NotFound, events.Internal} {
		d := withDocuments(t, events.ContentFull)
		d.Open = func(context.Context, events.Document) ([]byte, error) { return nil, &events.Error{Kind: kind} }
		got := send(t, d) // which has two parts, or the test ends
		if !strings.Contains(strings.Join(strings.Fields(got.text), " "), "With it: Letter; please ask whoever reported this if you need it") {
			t.Errorf("%s: %s", kind, got.text)
		}
	}
}

// TestDocumentCannotBeRead: while the store is away nothing is sent without it; that is the hub's own fault, and temporary.
func TestDocumentCannotBeRead(t *testing.T) {
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentFull)
	d := withDocuments(t, events.ContentFull)
	d.Open = func(context.Context, events.Document) ([]byte, error) {
		return nil, &events.Error{Kind: events.Unavailable}
	}
	failure, ok := errors.AsType[*events.Failure](e.Send(t.Context(), d))
	if !ok || failure.Permanent || failure.Reason != events.ReasonInternal || len(s.taken()) != 0 {
		t.Error(failure)
	}
}
