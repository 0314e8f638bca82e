package correct

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/stream"
)

var night = time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)

// ward is a store with one event for four: told, being told, untold, and a step that was spared.
type ward struct {
	store     *stream.Memory
	event     events.Stored
	rows      []Row
	mine      bool
	withdrawn int
	failing   error // of what comes before the correction is stored
	asked     []string
}

func newWard(t *testing.T) (*ward, *Corrections) {
	t.Helper()
	w := &ward{store: stream.NewMemory(4), rows: []Row{Told, UnderWay, Untold, Untold}, mine: true}
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	e := events.Event{ID: events.NewID(by, "p-7f3k", "1"), Patient: "p-7f3k", Kind: events.Fall, Occurred: night, Recorded: night, By: by, Words: "He is awake."}
	plan := events.Plan{Urgency: events.Urgent, AlarmAfter: time.Minute, Recipients: []events.Recipient{
		{ID: "told", Acknowledge: &events.Acknowledge{Within: time.Hour, Steps: []int{3}}}, {ID: "under-way", Step: true}, {ID: "untold"}, {ID: "step", Step: true}}}
	o := Options{Store: w.store, Events: w.store, Rules: func() string { return "rules" }, Log: slog.New(slog.DiscardHandler),
		Clock:    func() time.Time { return night.Add(time.Hour) },
		Withdraw: func(context.Context, events.Stored) ([]Row, bool, error) { w.withdrawn++; return w.rows, w.mine, nil },
		Receipts: func(context.Context, events.Stored) ([]events.Receipt, error) {
			return []events.Receipt{{Outcome: events.Outcome{State: events.Sent}}, {Outcome: events.Outcome{State: events.Retrying}},
				{Outcome: events.Outcome{State: events.Waiting}}, {Outcome: events.Outcome{State: events.Spared}}}, nil
		},
		Corrected: func(context.Context, events.Stored) error { return w.failing },
		Asked: func(st events.Stored, r Request) {
			w.asked = append(w.asked, st.Record.Event.ID+" "+string(r.Correction))
		},
		People: func(e events.Event) (events.Patient, events.Person, events.Sender) {
			return events.Patient{ID: e.Patient, Name: "Thomas Example"}, events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example"},
				events.Sender{Name: "Hub", URL: "https://hub.example", Phone: "+44 7700 900123"}
		}}
	patient, person, hub := o.People(e)
	message, err := fhir.Encode(fhir.Message{Event: e, Patient: patient, By: person, Hub: hub, Urgency: plan.Urgency})
	if err == nil {
		w.event, _, err = w.store.Publish(t.Context(), events.Record{V: 1, Event: e, Plan: plan}, message)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w, New(o)
}

func ids(st events.Stored) (all []string) {
	for _, r := range st.Record.Plan.Recipients {
		all = append(all, r.ID)
		if r.Step || r.Acknowledge != nil {
			all = append(all, "asked")
		}
	}
	return all
}

// TestOver: a correction is made once, over failures at any step and whoever delivers, and its request is kept until nothing is under
// way any more.
func TestOver(t *testing.T) {
	w, c := newWard(t)
	id, err := c.Ask(t.Context(), w.event, Request{Correction: events.WrongPerson, By: w.event.Record.Event.By})
	if err != nil {
		t.Fatal(err)
	}
	work := func() error { return c.work(t.Context(), c.asked[w.event.Record.Event.ID]) }
	w.mine = false
	if err := work(); err != nil {
		t.Fatal(err)
	}
	w.mine, w.failing = true, errors.New("away")
	if err := work(); err == nil {
		t.Error("what failed was passed over")
	}
	if _, err := w.store.Find(t.Context(), id); err == nil {
		t.Error("it is stored before its time")
	}
	w.failing = nil
	for range 2 {
		if err := work(); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.asked) != 1 {
		t.Error("forgotten while an attempt was under way")
	}
	w.rows = []Row{Told, Told, Untold, Untold}
	if err := work(); err != nil {
		t.Fatal(err)
	}
	if _, _, kept, err := w.store.HubGet(t.Context(), prefix+w.event.Record.Event.ID); kept || err != nil || len(c.asked) > 0 {
		t.Errorf("kept %v, %v", kept, err)
	}
	made, err := w.store.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	e := made.Record.Event
	if got := ids(made); !slices.Equal(got, []string{"told", "under-way"}) || e.Corrects != w.event.Record.Event.ID || e.Correction != events.WrongPerson ||
		e.Words != "He is awake." || made.Record.Plan.AlarmAfter != time.Minute {
		t.Errorf("%v of %+v", got, e)
	}
	for correction, kind := range map[events.Correction]events.ErrorKind{events.WrongPerson: "", events.Retracted: events.Conflict} {
		again, err := c.Ask(t.Context(), w.event, Request{Correction: correction, By: e.By})
		if kind == "" && (err != nil || again != id) || kind != "" && events.KindOf(err) != kind {
			t.Errorf("%s: %s, %v", correction, again, err)
		}
	}
}

// TestWrongTime: everybody is told of it but who was spared, and nothing is withdrawn. Two who ask at once for two things get one answer.
func TestWrongTime(t *testing.T) {
	w, c := newWard(t)
	right := Request{Correction: events.WrongTime, Occurred: night.Add(-3 * time.Hour), By: w.event.Record.Event.By}
	id, err := c.Ask(t.Context(), w.event, right)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ask(t.Context(), w.event, Request{Correction: events.Retracted, By: right.By}); events.KindOf(err) != events.Conflict {
		t.Errorf("another at once: %v", err)
	}
	if again, err := c.Ask(t.Context(), w.event, right); err != nil || again != id {
		t.Errorf("the same at once: %s, %v", again, err)
	}
	if want := []string{w.event.Record.Event.ID + " wrong-time"}; !slices.Equal(w.asked, want) {
		t.Errorf("on record is %q", w.asked)
	}
	if err := c.work(t.Context(), c.asked[w.event.Record.Event.ID]); err != nil {
		t.Fatal(err)
	}
	made, err := w.store.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(made); !slices.Equal(got, []string{"told", "under-way", "untold"}) || w.withdrawn > 0 || !made.Record.Event.Occurred.Equal(right.Occurred) ||
		!made.Record.Event.Has(events.FlagLate) {
		t.Errorf("%v of %+v", got, made.Record.Event)
	}
}
