package fhir_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"carehub/events"
	"carehub/events/fhir"
)

type envelope struct {
	ID         string
	Identifier struct{ Value string }
	Entry      []struct {
		FullURL  string
		Resource struct {
			ID          string
			Destination []struct{ Name, Endpoint string }
		}
	}
}

func open(t *testing.T, b []byte) (e envelope) {
	t.Helper()
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAddress(t *testing.T) {
	for name, m := range messages() {
		stored := encode(t, m)
		to := destination()
		sent := address(t, stored, m.Event.ID, to)
		was, is := open(t, stored), open(t, sent)
		header := is.Entry[0]
		switch {
		case is.ID == was.ID || header.Resource.ID == was.Entry[0].Resource.ID:
			t.Errorf("%s: the recipient's message has the ids of the stored one", name)
		case header.FullURL != "urn:uuid:"+header.Resource.ID:
			t.Errorf("%s: the header's fullUrl and id differ", name)
		case is.Identifier != was.Identifier:
			t.Errorf("%s: the care event has changed its identifier", name)
		case len(header.Resource.Destination) != 1 || header.Resource.Destination[0].Name != to.Name ||
			header.Resource.Destination[0].Endpoint != to.Endpoint:
			t.Errorf("%s: the destination is %+v", name, header.Resource.Destination)
		}
		if !bytes.Equal(sent, address(t, stored, m.Event.ID, to)) {
			t.Errorf("%s: other bytes at the second attempt", name)
		}
		onlyThose(t, name, stored, sent)
	}
}

// onlyThose puts the stored ids and destination back and expects the stored bytes.
func onlyThose(t *testing.T, name string, stored, sent []byte) {
	t.Helper()
	was, is := open(t, stored), open(t, sent)
	cut := func(b []byte) string {
		_, rest, _ := strings.Cut(string(b), `"destination":[`)
		destination, _, _ := strings.Cut(rest, `],"sender":`)
		return destination
	}
	back := strings.NewReplacer(is.ID, was.ID, is.Entry[0].Resource.ID, was.Entry[0].Resource.ID, cut(sent), cut(stored)).
		Replace(string(sent))
	if back != string(stored) {
		t.Errorf("%s: more has changed than the ids and the destination", name)
	}
}

func TestAddressPerRecipient(t *testing.T) {
	m := message(events.Admission, "1")
	stored, to := encode(t, m), destination()
	one := open(t, address(t, stored, m.Event.ID, to))
	to.Recipient = "hospice"
	other := open(t, address(t, stored, m.Event.ID, to))
	if one.ID == other.ID || one.Entry[0].Resource.ID == other.Entry[0].Resource.ID {
		t.Error("two recipients' messages share an id")
	}
}

func TestAddressRefuses(t *testing.T) {
	m := message(events.Admission, "1")
	stored := string(encode(t, m))
	cases := map[string]string{
		"nothing":              "",
		"no message":           `{"resourceType":"Bundle","id":"`,
		"another first":        strings.Replace(stored, `"resourceType":"MessageHeader"`, `"resourceType":"Basic"`, 1),
		"two destinations":     strings.Replace(stored, `"focus":[`, `"destination":[{}],"focus":[`, 1),
		"no sender":            strings.Replace(stored, `"sender":`, `"zender":`, 1),
		"indented":             strings.Replace(stored, `"entry":[`, `"entry": [`, 1),
		"cut within the entry": stored[:strings.Index(stored, `"entry":[{"fullUrl":"urn:uuid:`)+40],
	}
	for name, b := range cases {
		if _, err := fhir.Open([]byte(b), m.Event.ID); events.KindOf(err) != events.Internal || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	other := message(events.Admission, "2").Event.ID
	if _, err := fhir.Open([]byte(stored), other); err == nil {
		t.Error("a message was addressed as one about another event")
	}
}

// TestAddressAndWhatPeopleType has a carer type what Address looks for.
func TestAddressAndWhatPeopleType(t *testing.T) {
	m := message(events.Fall, "1")
	m.Event.Words = `{"resourceType":"Bundle","id":" "entry":[{"fullUrl":"urn:uuid: ","resource":{"resourceType":"MessageHeader","id":" "destination":[ ],"sender":`
	m.Event.Place, m.Hub.Name = m.Event.Words[:100], m.Event.Words
	got, err := fhir.Decode(address(t, encode(t, m), m.Event.ID, destination()))
	if err != nil || got.Event.Words != m.Event.Words || got.Hub.Name != m.Hub.Name {
		t.Errorf("%v: came back as %+v", err, got)
	}
}
