package main

import (
	"path/filepath"
	"strings"
	"testing"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream"
	"carehub/subscribers"
)

// An alarm about a message that the store has lost has little to go by, and still reaches the store as an alarm that says
// whom to phone.
func TestAlarmAboutALostMessage(t *testing.T) {
	f, problems := loadFolder("../../deploy/example", loadOptions{noSecrets: true, types: channelTypes})
	if problems.Unfit() {
		t.Fatal(problems)
	}
	store := stream.NewMemory(4)
	about := events.About{Event: "2/17", Recipient: "hospice", Reason: events.ReasonLost}
	for range 2 { // one trouble, one alarm
		if _, err := raiseAlarm(t.Context(), desk{f, nil}, store, about, events.Stored{Partition: 2, Seq: 17}); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := store.Find(t.Context(), events.AlarmID(about))
	if err != nil {
		t.Fatal(err)
	}
	if to := stored.Record.Plan.Recipients; len(to) != 1 || to[0].ID != "admin-on-call" {
		t.Errorf("it goes to %+v", to)
	}
	m, err := fhir.Decode(stored.Message)
	if err != nil || !strings.Contains(m.Event.Words, "Riverside Hospice") || !strings.Contains(m.Event.Words, "01234 567892") {
		t.Errorf("%v: it says %q", err, m.Event.Words)
	}
}

// However many Subscriptions a provider has, that none of them is told of an event is one alarm, which says whom to phone.
func TestAlarmOfManySubscriptions(t *testing.T) {
	f, problems := loadFolder("../../deploy/example", loadOptions{noSecrets: true, types: channelTypes})
	if problems.Unfit() {
		t.Fatal(problems)
	}
	store, of := stream.NewMemory(1), events.Stored{}
	of.Record.Event = events.Event{ID: "ev-7f3k-abc", Patient: "p-7f3k", Kind: events.Fall}
	alarms := map[string]bool{}
	for n := range 100 {
		id := events.NewSubscriptionID([]byte{byte(n)})
		of.Record.Plan.Recipients = append(of.Record.Plan.Recipients, events.Recipient{ID: id, For: "hospice", Name: "Riverside Hospice", Phone: "01234 567892"})
		about := events.About{Event: of.Record.Event.ID, Recipient: id, Channel: "subscription", Reason: events.ReasonOverdue}
		if _, err := raiseAlarm(t.Context(), desk{f, nil}, store, about, of); err != nil {
			t.Fatal(err)
		}
		about.Recipient = "hospice"
		alarms[events.AlarmID(about)] = true
	}
	last, err := store.Last(t.Context(), 0)
	if err != nil || last != 1 || len(alarms) != 1 {
		t.Fatalf("%d alarms, %v", last, err)
	}
	for id := range alarms {
		stored, err := store.Find(t.Context(), id)
		if err != nil || !strings.Contains(stored.Record.Event.Words, "Riverside Hospice") || !strings.Contains(stored.Record.Event.Words, "01234 567892") {
			t.Errorf("%v: it says %q", err, stored.Record.Event.Words)
		}
	}
}

// News of a broken channel goes by another one first.
func TestAlarmGoesByAnotherChannelFirst(t *testing.T) {
	channels := []events.Channel{{Key: "email", Type: "email"}, {Key: "email-2", Type: "email"}, {Key: "webhook", Type: "webhook"}}
	if got := otherFirst(channels, "email-2"); got[0].Key != "webhook" || got[1].Key != "email" {
		t.Errorf("the order is %+v", got)
	}
	if got := otherFirst(channels, ""); got[0].Key != "email" {
		t.Errorf("with no channel in trouble the order is %+v", got)
	}
}

// Nobody is asked to phone a carer whom the rules no longer let be told.
func TestAlarmAboutACarerWhoIsKeptOut(t *testing.T) {
	f := crowd(t, 1, 0, nil).folder
	f.register = carersOnly(t)
	of := events.Stored{Record: events.Record{Event: events.Event{ID: "ev-7f3k-abc", Patient: "p-00000", Kind: events.Fall},
		Plan: events.Plan{Recipients: []events.Recipient{{ID: "ruth", Name: "Ruth Example", Phone: "07700 900124"}}}}}
	for _, reason := range []events.Reason{events.ReasonRevoked, events.ReasonOverdue} {
		said := alarmWords(desk{f, nil}, events.About{Event: of.Record.Event.ID, Recipient: "ruth", Reason: reason}, of)
		if strings.Contains(said, "07700") || !strings.Contains(said, "Please do not phone them about it.") {
			t.Errorf("it says %q", said)
		}
	}
}

func carersOnly(t *testing.T) *subscribers.Register {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "carers.yaml"), "ruth: {name: Ruth Example, relationship: daughter, phone: \"07700 900124\"}\n")
	return subscribers.Load(&strict.Folder{Dir: dir, NoSecrets: true}, nil)
}
