package main

import (
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
)

// TestAfterTheLastDay: what was taken in on the last day of a rule may be told, read and answered after midnight; three days later the
// rule gives nothing any more, and what comes in after it never does.
func TestAfterTheLastDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "patient: p-00000\nlogged_by: {carer: {may: log}}\nrules:\n  - on: [admission, attendance, discharge, fall]\n    notify: surgery\n" +
			"  - on: fall\n    notify: hospice\n    until: 2000-01-01\n    acknowledge: {within: 1h, else: [nurses]}\n"
		d := desk{crowd(t, 1, 1, func(string) string { return text }).folder, nil}
		time.Sleep(23*time.Hour + 50*time.Minute) // London has the zone of the clock of a bubble
		take := func() *events.Record {
			e := events.Event{Patient: "p-00000", Kind: events.Fall, By: events.Actor{Kind: events.Carer, ID: "carer"}, Recorded: time.Now()}
			return &events.Record{Event: e, Plan: d.Plan(e)}
		}
		rec := take()
		hospice := events.Actor{Kind: events.System, ID: "hospice"}
		time.Sleep(20 * time.Minute)
		if !d.told(hospice, rec) || !d.isStepFor("nurses", &rec.Event) || !d.reads(events.Actor{Kind: events.System, ID: "nurses"}, "p-00000") {
			t.Error("at 00:10 the end of the rule takes back what was taken in at 23:50")
		}
		if next := take(); len(next.Plan.Recipients) != 1 || d.namesFor("hospice", &next.Event) {
			t.Error("what comes in after the last day names the hospice still")
		}
		time.Sleep(giveUpAfter)
		if d.told(hospice, rec) || d.reads(events.Actor{Kind: events.System, ID: "nurses"}, "p-00000") {
			t.Error("days later the rule still gives something")
		}
	})
}
