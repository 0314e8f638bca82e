package email_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

func note() subscribers.Note {
	return subscribers.Note{
		ID: "note_k2bv56gyavoeb4ppkj7hoxxz55", At: time.Date(2026, 11, 25, 14, 41, 0, 0, time.UTC), Subject: "please verify this address",
		Title: "Please verify this address", Paragraphs: []string{"None is sent before <that>."}, Link: "https://hub.example/inbox/8sYc2mQvT0kR4hLZ",
		Action: "Verify this address", Foot: "Phone +44 7700 900123 or reply to this message.",
	}
}

// TestNote: a mail of the hub's own goes out as any other does.
func TestNote(t *testing.T) {
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentLink)
	m := e.(subscribers.Mailbox)
	for range 2 {
		if err := m.Post(t.Context(), note()); err != nil {
			t.Fatal(err)
		}
	}
	all := s.taken()
	if !bytes.Equal(all[0].data, all[1].data) {
		t.Error("the second attempt has other bytes")
	}
	got := read(t, all[0])
	for name, want := range map[string]string{
		"To": "<" + m.Address() + ">", "Reply-To": "<help@hub.example>", "Message-Id": "<note_k2bv56gyavoeb4ppkj7hoxxz55@hub.example>",
		"Subject": "Riverside carers' network: please verify this address", "Date": "Wed, 25 Nov 2026 14:41:00 +0000",
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	level{says: []string{"None is sent before <that>.", "https://hub.example/inbox/8sYc2mQvT0kR4hLZ", "Verify this address", "We do not use email for emergencies"},
		silent: []string{"Read the message", "someone in your care"}}.hold(t, got)
}

func TestNoteToAnotherAddress(t *testing.T) {
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentLink)
	m := e.(subscribers.Mailbox)
	other, err := m.At("amy@gp.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Post(t.Context(), note()); err != nil {
		t.Fatal(err)
	}
	if to := s.taken()[0].to; to != "amy@gp.example" || m.Address() == to {
		t.Errorf("it went to %s", to)
	}
	for _, wrong := range []string{"", "amy", "Amy <amy@gp.example>", "amy@gp.example\r\nBcc: eve@bad.example", "a@b.example,c@d.example"} {
		if _, err := m.At(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestNoteWithoutAnID(t *testing.T) {
	s := start(t, &server{})
	e, _ := open(t, s.config(), events.ContentLink)
	n := note()
	n.ID = "x\r\nBcc: eve@bad.example"
	err := e.(subscribers.Mailbox).Post(t.Context(), n)
	if f, ok := errors.AsType[*events.Failure](err); !ok || f.Reason != events.ReasonInternal || len(s.taken()) != 0 {
		t.Errorf("%v", err)
	}
}
