package deliver_test

import (
	"fmt"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/subscribers"
)

func (w *world) lookup(id string) (subscribers.Subscriber, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.subs[id]
	return s, ok
}

func (w *world) logAlarm(about string, to ...string) events.Stored {
	w.t.Helper()
	w.n++
	now := time.Now().UTC()
	a := events.About{Event: fmt.Sprint("ev-x-", w.n), Recipient: about, Reason: events.ReasonOverdue}
	id := events.AlarmID(a)
	msg, err := fhir.EncodeAlarm(fhir.Alarm{ID: id, About: a, Words: "x", Recorded: now, Hub: events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}})
	if err != nil {
		w.t.Fatal(err)
	}
	ev := events.Event{ID: id, Patient: events.HubPatient, Kind: events.Alarm, Occurred: now, Recorded: now, By: events.Actor{Kind: events.Hub, ID: events.HubPatient}}
	plan := events.Plan{Hub: "https://hub.example", Urgency: events.Urgent, FallbackAfter: time.Minute, GiveUpAfter: 72 * time.Hour, About: &a}
	for _, r := range to {
		rc := events.Recipient{ID: r, Name: r}
		for _, c := range w.subs[r].Channels {
			rc.Channels = append(rc.Channels, c.Channel)
		}
		plan.Recipients = append(plan.Recipients, rc)
	}
	st, _, err := w.store.Publish(w.t.Context(), events.Record{V: 1, Event: ev, Plan: plan}, msg)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// logDue is log with an alarm due soon.
func (w *world) logDue(patient string, alarmAfter time.Duration, to ...string) events.Stored {
	w.t.Helper()
	w.n++
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	now := time.Now().UTC()
	ev := events.Event{ID: events.NewID(by, patient, fmt.Sprint("due ", w.n)), Patient: patient, Kind: events.Admission, Occurred: now, Recorded: now, By: by}
	ev.Stay = ev.ID
	plan := events.Plan{Hub: "https://hub.example", Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: alarmAfter, GiveUpAfter: 72 * time.Hour}
	for _, r := range to {
		rc := events.Recipient{ID: r, Name: "The " + r}
		for _, c := range w.subs[r].Channels {
			rc.Channels = append(rc.Channels, c.Channel)
		}
		plan.Recipients = append(plan.Recipients, rc)
	}
	msg, err := fhir.Encode(fhir.Message{Event: ev, Patient: events.Patient{ID: patient, Name: "Thomas Example", Born: "1941-03-11"},
		By: events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example"}, Hub: events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}})
	if err != nil {
		w.t.Fatal(err)
	}
	st, _, err := w.store.Publish(w.t.Context(), events.Record{V: 1, Event: ev, Plan: plan}, msg)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}
