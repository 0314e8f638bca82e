package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/receipts"
)

// TestQuietHours: on the embedded store a discharge waits for the end of the nurses' quiet hours, over a restart, and says
// until when; others are told at once; a fall of the same patient is told at once and takes it along.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Now().In(london).Add(-time.Hour).Format("15:04"), time.Now().In(london).Add(3*time.Hour).Format("15:04")
	w.edit("subscribers/district-nurses.yaml", "channels:", fmt.Sprintf("quiet_hours: {from: %q, to: %q}\nchannels:", from, to))
	w.start()
	ruth := w.token("ruth")
	home := w.says(ruth, "dad came home")
	waits := func() {
		t.Helper()
		waitUntil(t, "all others have been told", func() bool {
			v := w.view(ruth, home.ID)
			return !slices.ContainsFunc(v.Recipients, func(r receipts.Recipient) bool { return r.ID != "district-nurses" && !r.State.Told() })
		})
		got := row(w.view(ruth, home.ID), "district-nurses")
		if got.State != events.Waiting || !strings.HasPrefix(got.Words, "Quiet hours. We will tell District nurses at ") || !strings.Contains(got.Words, to) {
			t.Errorf("%+v, want them to wait until %s", got, to)
		}
	}
	waits()
	w.stop()
	w.start()
	waits()
	if got := w.nurses.ids(); len(got) > 0 {
		t.Errorf("the nurses were told of %v", got)
	}
	fell := w.says(ruth, "dad fell")
	w.settled(ruth, fell.ID)
	if got := w.nurses.ids(); !slices.Equal(got, []string{home.ID, fell.ID}) {
		t.Errorf("the nurses were told of %v, want %v first", got, home.ID)
	}
	if got := row(w.view(ruth, home.ID), "district-nurses").State; got != events.Received {
		t.Errorf("the first is %s", got)
	}
}
