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
	plan := events.Plan{Hub: "https://hub.example", Urgency: events.Urgent, FallbackAfter: time.Minute, AlarmAfter: w.alarmAfter, GiveUpAfter: 72 * time.Hour, About: &a}
	for _, r := range to {
		rc := events.Recipient{ID: r, Name: r}
		for _, c := range w.subs[r].Channels {
			rc.Channels = append(rc.Channels, c.Channel)
		}
		if r == "ruth" {
			rc.Rule = events.LoggersRule
		}
		plan.Recipients = append(plan.Recipients, rc)
	}
	st, _, err := w.store.Publish(w.t.Context(), events.Record{V: 1, Event: ev, Plan: plan}, msg)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// pushOut logs so many other events of a patient that those before are out of memory once nobody needs them.
func (w *world) pushOut(patient string) {
	w.t.Helper()
	w.mu.Lock()
	w.register("else")
	w.mu.Unlock()
	for range 100 {
		w.log(events.Admission, patient, "else")
	}
	pass(10 * time.Second)
}
