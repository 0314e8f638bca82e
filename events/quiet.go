package events

import "time"

// Quiet is when a recipient is not told anything that can wait: from one time of day to another, by the clock on the wall.
// Nothing urgent waits for it. It is frozen with the plan.
type Quiet struct {
	From string `json:"from"` // 22:00
	To   string `json:"to"`   // 07:00: the first minute that is not quiet
	Zone string `json:"zone"` // IANA name
}

// QuietError says what is wrong with one part of quiet hours: from, to or zone.
type QuietError struct{ Key, Problem string }

func (e *QuietError) Error() string { return e.Key + " " + e.Problem }

// Hours returns q ready for use, or a *QuietError: times of day that are none, a zone that nobody knows, hours without an end.
func (q Quiet) Hours() (Hours, error) {
	const aTime = "must be a time of day in quotes, such as \"22:00\""
	h := Hours{}
	var ok bool
	if h.from, ok = TimeOfDay(q.From); !ok {
		return h, &QuietError{"from", aTime}
	}
	if h.to, ok = TimeOfDay(q.To); !ok {
		return h, &QuietError{"to", aTime}
	}
	if h.from == h.to {
		return h, &QuietError{"to", "must be another time than from: hours without an end are no quiet hours"}
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil || q.Zone == "" || q.Zone == "Local" {
		return h, &QuietError{"zone", "must be a time zone such as Europe/London"}
	}
	h.zone = zone
	return h, nil
}

// TimeOfDay reads 22:00 as minutes since midnight.
func TimeOfDay(text string) (minutes int, ok bool) {
	t, err := time.Parse("15:04", text)
	return minute(t), err == nil && len(text) == len("15:04")
}

// Hours are quiet hours that can be asked.
type Hours struct {
	from, to int // minutes since midnight
	zone     *time.Location
}

const day = 24 * 60 // minutes

// Left is how long it is still quiet at t, 0 if it is not. It is counted by the clock on the wall there: in a night that
// has an hour less or more, so do the quiet hours.
func (h Hours) Left(t time.Time) time.Duration {
	return h.until(t, true)
}

// Until is how long it takes at t until it is quiet, 0 if it is.
func (h Hours) Until(t time.Time) time.Duration {
	return h.until(t, false)
}

// until is how long it stays as it is, if it is quiet or not as asked.
func (h Hours) until(t time.Time, quiet bool) time.Duration {
	at := t.In(h.zone).Round(0) // no setting of a clock counts, only what it shows
	for h.quiet(at) == quiet {
		// A quarter of an hour at a time: the clocks may be changed at any one.
		next := at.Truncate(15 * time.Minute).Add(15 * time.Minute)
		if edge := at.Truncate(time.Minute).Add(time.Duration(h.left(at, quiet)) * time.Minute); edge.Before(next) {
			next = edge
		}
		at = next
	}
	return at.Sub(t.Round(0))
}

// quiet reports whether it is quiet when the clock shows t.
func (h Hours) quiet(t time.Time) bool {
	now := minute(t)
	if h.from < h.to {
		return h.from <= now && now < h.to
	}
	return now >= h.from || now < h.to
}

// left is the minutes that a clock goes until the hours begin, or end.
func (h Hours) left(t time.Time, quiet bool) int {
	edge := h.from
	if quiet {
		edge = h.to
	}
	return (edge-minute(t)+day-1)%day + 1
}

func minute(t time.Time) int { return 60*t.Hour() + t.Minute() }

// After is when a length of time is over that runs only while it is not quiet.
func (h Hours) After(t time.Time, length time.Duration) time.Time {
	for {
		t = t.Add(h.Left(t))
		open := h.Until(t)
		if length <= open {
			return t.Add(length)
		}
		t, length = t.Add(open), length-open
	}
}

// Awake is how much of the time from one moment to another is not quiet.
func (h Hours) Awake(from, to time.Time) (awake time.Duration) {
	for from = from.Add(h.Left(from)); from.Before(to); from = from.Add(h.Left(from)) {
		open := min(h.Until(from), to.Sub(from))
		awake += open
		from = from.Add(open)
	}
	return awake
}
