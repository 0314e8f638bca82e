package events_test

import (
	"crypto/sha256"
	"encoding/binary"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"carehub/events"
)

// TestForms holds what is checked by hand against the forms as docs/design.md gives them.
func TestForms(t *testing.T) {
	patient := regexp.MustCompile(`^p-[a-z0-9]{2,32}$`)
	name := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	id := regexp.MustCompile(`^(?:ev-([a-z0-9]{2,32})|al)-[a-z2-7]{26}$`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`(p-)?[a-z0-9-]{0,66}[A-Z\n]?`),
			rapid.StringMatching(`(ev-|al-|ev)[a-z0-9]{0,34}-?[a-z2-7]{25,27}[018A\n]?`),
			rapid.StringMatching(`(ev-[a-z0-9]{2,32}|al)-[a-z2-7]{26}`),
			rapid.String(),
		).Draw(t, "text")
		if got := events.ValidPatient(s); got != patient.MatchString(s) {
			t.Fatalf("ValidPatient(%q) is %v", s, got)
		}
		if got := events.ValidName(s); got != name.MatchString(s) {
			t.Fatalf("ValidName(%q) is %v", s, got)
		}
		want := ""
		if found := id.FindStringSubmatch(s); found != nil {
			want = events.HubPatient
			if found[1] != "" {
				want = "p-" + found[1]
			}
		}
		if got := events.PatientOf(s); got != want || events.ValidID(s) != (want != "") {
			t.Fatalf("PatientOf(%q) is %q, want %q", s, got, want)
		}
	})
}

// TestUUID derives by the library what every stored message has in it.
func TestUUID(t *testing.T) {
	namespace := uuid.MustParse("6f1e8a0c-54b7-5a0e-9f0b-6d1c3b9d5a11")
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.String()).Draw(t, "parts")
		h := sha256.New()
		for _, p := range parts {
			_ = binary.Write(h, binary.BigEndian, uint64(len(p)))
			h.Write([]byte(p))
		}
		if got, want := events.UUID(parts...), uuid.NewSHA1(namespace, h.Sum(nil)).String(); got != want {
			t.Fatalf("%q gave %s, want %s", parts, got, want)
		}
	})
}

func TestNotice(t *testing.T) {
	event := events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "k")
	for about, want := range map[events.About]bool{
		{Event: event, Reason: events.ReasonOverdue}:           false,
		{Event: event, Reason: events.ReasonUnverified}:        false,
		{Event: "2/17", Reason: events.ReasonLost}:             false,
		{Event: "store-2026-11-25", Reason: events.ReasonDisk}: true,
		{Event: "inbox-x", Reason: events.ReasonPaused}:        true,
	} {
		if about.Notice() != want {
			t.Errorf("%+v: %v", about, !want)
		}
	}
}
