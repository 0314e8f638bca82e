package answers

import (
	"fmt"
	"testing"
	"time"

	"carehub/events"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// ward is an event for the frailty team, who are to answer within half an hour, or else the duty line, and then Ruth; and for
// the surgery, who need not answer.
func ward(any bool) *events.Record {
	return &events.Record{V: 1, Event: events.Event{ID: "ev", Recorded: noon}, Plan: events.Plan{Recipients: []events.Recipient{
		{ID: "team", Acknowledge: &events.Acknowledge{Within: 30 * time.Minute, Steps: []int{2, 3}, Any: any}}, {ID: "surgery"},
		{ID: "duty", Step: true}, {ID: "ruth", Step: true}}}}
}

func TestOutlook(t *testing.T) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	out := func(state events.State, minutes int) events.Outcome {
		return events.Outcome{State: state, At: at(minutes)}
	}
	spared := out(events.Spared, 0)
	for name, c := range map[string]struct {
		team, surgery, duty, ruth events.Outcome
		asked                     map[int]time.Time
		any                       bool
		now                       int
		want                      string
	}{
		"there is time":                 {out(events.Sent, 1), out(events.Sent, 1), spared, spared, nil, false, 20, "open, in 11m0s"},
		"not told yet":                  {out(events.Retrying, 20), out(events.Sent, 1), spared, spared, nil, false, 29, "open, in 1m0s"},
		"told late, so it counts later": {out(events.Received, 25), out(events.Sent, 1), spared, spared, nil, false, 50, "open, in 5m0s"},
		"time is over":                  {out(events.Sent, 0), out(events.Sent, 1), spared, spared, nil, false, 30, "open, unanswered [0], tell [2], next of map[0:30m0s]"},
		"time is over and it is untold": {out(events.Retrying, 29), out(events.Sent, 1), spared, spared, nil, false, 30, "open, tell [2], next of map[0:30m0s]"},
		"refused at once":               {out(events.Refused, 1), out(events.Sent, 1), spared, spared, nil, false, 2, "open, tell [2], next of map[0:30m0s]"},
		"declined at once":              {out(events.Declined, 1), out(events.Sent, 1), spared, spared, nil, false, 2, "open, tell [2], next of map[0:30m0s]"},
		"the step has time of its own":  {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Sent, 31), spared, map[int]time.Time{2: at(31)}, false, 40, "open, in 21m0s, next of map[0:21m0s]"},
		"the step came late after an outage": {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Trying, 300), spared, map[int]time.Time{2: at(300)}, false, 310,
			"open, in 20m0s, next of map[0:20m0s]"},
		"the step can only be phoned": {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Refused, 31), spared, map[int]time.Time{2: at(31)}, false, 31,
			"open, tell [3], next of map[0:30m0s 2:30m0s]"},
		"the second step": {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Sent, 31), spared, map[int]time.Time{2: at(31)}, false, 61,
			"open, unanswered [2], tell [3], next of map[0:30m0s 2:30m0s]"},
		"nobody is left": {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Unacknowledged, 31), out(events.Sent, 62), map[int]time.Time{2: at(31), 3: at(62)}, false, 92,
			"unanswered [3], alarm [0]"},
		"the step answered":              {out(events.Unacknowledged, 0), out(events.Sent, 1), out(events.Acknowledged, 40), spared, map[int]time.Time{2: at(31)}, false, 99, ""},
		"answered":                       {out(events.Acknowledged, 9), out(events.Sent, 1), spared, spared, nil, false, 99, ""},
		"another's answer is not enough": {out(events.Sent, 0), out(events.Acknowledged, 1), spared, spared, nil, false, 10, "open, in 20m0s"},
		"another's answer is enough":     {out(events.Sent, 0), out(events.Acknowledged, 1), spared, spared, nil, true, 99, ""},
	} {
		rec := ward(c.any)
		receipts := make([]events.Receipt, 4)
		for i, o := range []events.Outcome{c.team, c.surgery, c.duty, c.ruth} {
			receipts[i] = events.Receipt{Recipient: rec.Plan.Recipients[i], Outcome: o}
		}
		o := outlook(rec, receipts, func(i int) (time.Time, bool) { at, ok := c.asked[i]; return at, ok },
			func(when time.Time) time.Duration { return at(c.now).Sub(when) })
		if got := said(o); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func said(o outcome) (text string) {
	add := func(format string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, args...)
	}
	if o.open {
		add("open")
	}
	if o.wait < forever {
		add("in %v", o.wait)
	}
	if len(o.unanswered) > 0 {
		add("unanswered %v", o.unanswered)
	}
	if len(o.tell) > 0 {
		add("tell %v", o.tell)
	}
	if len(o.alarm) > 0 {
		add("alarm %v", o.alarm)
	}
	if len(o.steps) > 0 {
		add("next of %v", o.steps)
	}
	return text
}

// TestOutlookQuietHours: nobody has to answer in their quiet hours, whether they were told before or wait to be.
func TestOutlookQuietHours(t *testing.T) {
	rec := ward(false)
	rec.Event.Recorded = time.Date(2026, 11, 25, 21, 50, 0, 0, time.UTC)
	rec.Plan.Recipients[0].Quiet = &events.Quiet{From: "22:00", To: "07:00", Zone: "UTC"}
	for _, c := range []struct {
		state events.State
		after time.Duration
		want  string
	}{
		{events.Sent, 5 * time.Minute, "open, in 9h25m0s"},
		{events.Sent, 9*time.Hour + 29*time.Minute, "open, in 1m0s"},
		{events.Sent, 9*time.Hour + 30*time.Minute, "open, unanswered [0], tell [2], next of map[0:30m0s]"},
		{events.Waiting, 3 * time.Hour, "open, in 6h30m0s"},
	} {
		receipts := make([]events.Receipt, 4)
		for i, to := range rec.Plan.Recipients {
			receipts[i] = events.Receipt{Recipient: to, Outcome: events.Outcome{State: events.Spared, At: rec.Event.Recorded}}
		}
		receipts[0].State = c.state
		o := outlook(rec, receipts, func(int) (time.Time, bool) { return time.Time{}, false },
			func(at time.Time) time.Duration { return rec.Event.Recorded.Add(c.after).Sub(at) })
		if got := said(o); got != c.want {
			t.Errorf("%s after %s: %q, want %q", c.state, c.after, got, c.want)
		}
	}
}
