package receipts

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/page"
)

var update = flag.Bool("update", false, "write testdata/words*.golden anew")

// TestWords holds the fixed words. A change in testdata is a change of what carers are told: read it as one.
func TestWords(t *testing.T) {
	fixed(t, page.English, "testdata/words.golden")
	fixed(t, page.Welsh, "testdata/words.cy.golden")
}

func fixed(t *testing.T, lang page.Lang, golden string) {
	t.Helper()
	surgery := events.Recipient{Name: "Riverside Surgery", Phone: "01234 567890", Channels: []events.Channel{{Key: "webhook", Type: "webhook"}, {Key: "email-2", Type: "email"}}}
	hospice := events.Recipient{Name: "The Hospice"}
	at, next := friday, friday.Add(10*time.Minute)
	var got bytes.Buffer
	for _, c := range []struct {
		to events.Recipient
		o  events.Outcome
	}{
		{surgery, events.Outcome{State: events.Held, At: at, Next: next}},
		{surgery, events.Outcome{State: events.Held, At: at}},
		{surgery, events.Outcome{State: events.Withdrawn, At: at}},
		{surgery, events.Outcome{State: events.Withdrawn, At: at, Attempts: 2}},
		{surgery, events.Outcome{State: events.Waiting, At: at, Next: friday.Add(16 * time.Hour)}},
		{surgery, events.Outcome{State: events.Trying, At: at}},
		{surgery, events.Outcome{State: events.Retrying, At: at, Channel: "webhook", Next: next, Reason: events.ReasonTimeout}},
		{surgery, events.Outcome{State: events.Retrying, At: at, Channel: "webhook", Next: next, Alarm: "al-x"}},
		{hospice, events.Outcome{State: events.Retrying, At: at}},
		{surgery, events.Outcome{State: events.Retrying, At: at, Channel: "email-2", Reason: events.ReasonBounced, Alarm: "al-x"}},
		{surgery, events.Outcome{State: events.Sent, At: at, Channel: "email-2"}},
		{surgery, events.Outcome{State: events.Sent, At: friday.Add(-24 * time.Hour), Channel: "email-2"}},
		{surgery, events.Outcome{State: events.Received, At: at, Channel: "webhook"}},
		{hospice, events.Outcome{State: events.Received, At: at}},
		{surgery, events.Outcome{State: events.Acknowledged, At: at}},
		{surgery, events.Outcome{State: events.Acknowledged, At: at, Ack: &events.Ack{Answer: events.Seen, Name: "Jo", At: at, Line: "we'll ring today."}}},
		{surgery, events.Outcome{State: events.Acknowledged, At: at, Ack: &events.Ack{Answer: events.Acting, Name: "Jo", Role: "nurse", At: at}}},
		{surgery, events.Outcome{State: events.Declined, At: at, Ack: &events.Ack{Answer: events.NotForUs, Name: "Jo", At: at}}},
		{surgery, events.Outcome{State: events.Declined, At: at}},
		{surgery, events.Outcome{State: events.Unacknowledged, At: at, Next: next}},
		{hospice, events.Outcome{State: events.Unacknowledged, At: at}},
		{surgery, events.Outcome{State: events.Refused, At: at, Reason: events.ReasonAddress, Alarm: "al-x"}},
		{surgery, events.Outcome{State: events.Refused, At: at, Reason: events.ReasonGone}},
		{surgery, events.Outcome{State: events.Refused, At: at, Reason: events.ReasonAddress, Alarmed: true}}, // by an older build
		{hospice, events.Outcome{State: events.Refused, At: at}},
		{surgery, events.Outcome{State: events.Refused, At: at, Channel: "email-2", Reason: events.ReasonBounced, Alarm: "al-x"}},
		{surgery, events.Outcome{State: events.Refused, At: at, Reason: events.ReasonNoChannel, Alarm: "al-x"}},
		{surgery, events.Outcome{State: events.Failed, At: at, Reason: events.ReasonGaveUp, Alarm: "al-x"}},
		{surgery, events.Outcome{State: "brewing", At: at}},
	} {
		r := events.Receipt{Recipient: c.to, Outcome: c.o}
		fmt.Fprintf(&got, "%-14s %s\n", c.o.State, Words(lang, r, friday.Add(time.Minute), london))
		if r.Heard = r.Alarm != ""; r.Heard {
			fmt.Fprintf(&got, "%14s %s\n", "heard", Words(lang, r, friday.Add(time.Minute), london))
		}
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got.Bytes(), want)
	}
}

func TestWordsAreInTheHubsTime(t *testing.T) {
	r := events.Receipt{Recipient: events.Recipient{Name: "Riverside Surgery"}, Outcome: events.Outcome{State: events.Received}}
	for given, want := range map[string]string{
		"2026-10-25T00:59:00Z": "Received by the Riverside Surgery system at 01:59.", // summer time
		"2026-10-25T01:00:00Z": "Received by the Riverside Surgery system at 01:00.",
		"2027-03-28T00:59:00Z": "Received by the Riverside Surgery system at 00:59.",
		"2027-03-28T01:00:00Z": "Received by the Riverside Surgery system at 02:00.",
	} {
		at, err := time.Parse(time.RFC3339, given)
		if err != nil {
			t.Fatal(err)
		}
		r.At = at
		if got := Words(page.English, r, at, london); got != want {
			t.Errorf("%s: %s", given, got)
		}
	}
}

func TestMessage(t *testing.T) {
	for name, c := range map[string]struct {
		flags  []events.Flag
		phones []string
		want   string
	}{
		"plain":    {nil, nil, "Saved."},
		"unrouted": {[]events.Flag{events.FlagUnrouted}, []string{"01234 567890", "111"}, "Saved, but no team is set up to be told. Please phone 01234 567890 or 111."},
		"no phone": {[]events.Flag{events.FlagUnrouted}, nil, "Saved, but no team is set up to be told. Please phone them yourself."},
		"repeat":   {[]events.Flag{events.FlagRepeat}, nil, "Saved. The same was logged less than 15 minutes before. It may be the same event."},
	} {
		if got := Message(page.English, events.Event{Flags: c.flags}, c.phones); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
