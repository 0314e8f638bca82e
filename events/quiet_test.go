package events_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need Europe/London wherever they run

	"carehub/events"
)

func hours(t testing.TB, from, to, zone string) events.Hours {
	t.Helper()
	h, err := events.Quiet{From: from, To: to, Zone: zone}.Hours()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestQuietLeft: by the clock on the wall, in the nights in which the clocks change too.
func TestQuietLeft(t *testing.T) {
	for _, c := range []struct {
		why, from, to, zone, at string
		left                    time.Duration
	}{
		{"an evening", "22:00", "07:00", "Europe/London", "2026-11-26T22:00:00Z", 9 * time.Hour},
		{"a morning", "22:00", "07:00", "Europe/London", "2026-11-26T06:59:30Z", 30 * time.Second},
		{"its end", "22:00", "07:00", "Europe/London", "2026-11-26T07:00:00Z", 0},
		{"a day", "22:00", "07:00", "Europe/London", "2026-11-26T21:59:59Z", 0},
		{"noon", "12:30", "13:15", "Europe/London", "2026-11-26T12:45:00Z", 30 * time.Minute},
		{"the night with an hour more", "22:00", "07:00", "Europe/London", "2026-10-24T21:00:00Z", 10 * time.Hour},
		{"the night with an hour less", "22:00", "07:00", "Europe/London", "2027-03-27T22:00:00Z", 8 * time.Hour},
		{"in summer", "22:00", "07:00", "Europe/London", "2027-06-01T21:30:00Z", 8*time.Hour + 30*time.Minute},
		{"elsewhere", "22:00", "07:00", "Asia/Kathmandu", "2027-06-01T17:00:00Z", 8*time.Hour + 15*time.Minute},
		{"the end is a time that this night does not have", "22:00", "01:30", "Europe/London", "2027-03-27T23:00:00Z", 2 * time.Hour},
		{"the end comes twice this night: the first counts", "22:00", "01:30", "Europe/London", "2026-10-24T23:30:00Z", time.Hour},
		{"the hour comes again, and with it the quiet", "22:00", "01:30", "Europe/London", "2026-10-25T01:10:00Z", 20 * time.Minute},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := hours(t, c.from, c.to, c.zone).Left(at); got != c.left {
			t.Errorf("%s: %s is left, want %s", c.why, got, c.left)
		}
	}
}

// TestQuietAfter: time runs only while it is not quiet, and After and Awake say the same.
func TestQuietAfter(t *testing.T) {
	h := hours(t, "22:00", "07:00", "Europe/London")
	for _, c := range []struct {
		from   string
		length time.Duration
		want   string
	}{
		{"2026-11-26T12:00:00Z", 2 * time.Hour, "2026-11-26T14:00:00Z"},
		{"2026-11-26T21:00:00Z", 2 * time.Hour, "2026-11-27T08:00:00Z"},
		{"2026-11-26T23:00:00Z", 2 * time.Hour, "2026-11-27T09:00:00Z"},
		{"2026-11-26T20:00:00Z", 20 * time.Hour, "2026-11-28T10:00:00Z"},
		{"2026-10-24T20:00:00Z", 2 * time.Hour, "2026-10-25T08:00:00Z"},
		{"2027-03-27T21:00:00Z", 2 * time.Hour, "2027-03-28T07:00:00Z"},
	} {
		from, _ := time.Parse(time.RFC3339, c.from)
		want, _ := time.Parse(time.RFC3339, c.want)
		if got := h.After(from, c.length); !got.Equal(want) {
			t.Errorf("%s after %s: %s, want %s", c.length, c.from, got, want)
		}
		if got := h.Awake(from, want); got != c.length {
			t.Errorf("from %s to %s: %s, want %s", c.from, c.want, got, c.length)
		}
	}
}

func TestQuietRefused(t *testing.T) {
	for want, q := range map[string]events.Quiet{
		"from must be a time of day": {From: "24:00", To: "07:00", Zone: "Europe/London"},
		"to must be a time of day":   {From: "22:00", To: "7:00", Zone: "Europe/London"},
		"to must be another time":    {From: "07:00", To: "07:00", Zone: "Europe/London"},
		"zone must be":               {From: "22:00", To: "07:00", Zone: "Local"},
	} {
		if _, err := q.Hours(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
}

func BenchmarkQuietLeft(b *testing.B) {
	h := hours(b, "22:00", "07:00", "Europe/London")
	at := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	for b.Loop() {
		h.Left(at)
	}
}
