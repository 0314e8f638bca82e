package intake

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// when takes a time that can be pinned down. It marks as wrong what is surely meant as a time and cannot be.
func (p *parser) when() bool {
	if p.timed {
		return false
	}
	start := p.next
	for _, read := range []func() (time.Time, bool){p.justNow, p.ago, p.stamp, p.clockTime} {
		if t, ok := read(); ok {
			p.said.Occurred, p.timed = t, true
			return true
		}
		p.next = start
	}
	return false
}

// justNow gives no time at all: the hub's clock says when.
func (p *parser) justNow() (time.Time, bool) {
	return time.Time{}, p.take("just", "now") || p.take("right", "now") || p.take("now")
}

var (
	amount   = regexp.MustCompile(`^([1-9]\d{0,2})([a-z]*)$`)
	compound = regexp.MustCompile(`^(\d{1,3})h(\d{1,2})m?$`)
	units60  = map[string]time.Duration{
		"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	}
)

// ago takes "20m ago", "2 hours ago", "1 hour 20 minutes ago", "half an hour ago".
func (p *parser) ago() (time.Time, bool) {
	var d time.Duration
	switch {
	case p.take("half", "an", "hour"):
		d = 30 * time.Minute
	case p.take("an", "hour"):
		d = time.Hour
	case p.take("a", "minute"):
		d = time.Minute
	default:
		d = p.span()
		d += p.span() // "1 hour 20 minutes"
	}
	return p.now.Add(-d), d > 0 && p.take("ago")
}

// span takes "20m", "20 minutes" or "1h20m"; 0 if none stands here.
func (p *parser) span() time.Duration {
	if p.next == len(p.words) || p.words[p.next].quoted {
		return 0
	}
	low := p.words[p.next].low
	if m := compound.FindStringSubmatch(low); m != nil {
		p.next++
		return time.Duration(number(m[1]))*time.Hour + time.Duration(number(m[2]))*time.Minute
	}
	m := amount.FindStringSubmatch(low)
	if m == nil {
		return 0
	}
	unit, ok := units60[m[2]]
	taken := 1
	if m[2] == "" && p.next+1 < len(p.words) {
		unit, ok = units60[p.words[p.next+1].low]
		taken = 2
	}
	if !ok {
		return 0
	}
	p.next += taken
	return time.Duration(number(m[1])) * unit
}

// stamp takes a date and time with its zone, as in RFC 3339.
func (p *parser) stamp() (time.Time, bool) {
	_ = p.take("at") || p.take("on")
	if p.next == len(p.words) || p.words[p.next].quoted {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, p.words[p.next].text)
	p.next++
	return t.Truncate(time.Second), err == nil
}

// clockTime takes "at 14:30", "today at 2pm", "14:30 yesterday", "on Sunday at 9am".
func (p *parser) clockTime() (time.Time, bool) {
	back, dated := p.day()
	hour, minute, ok := p.clock()
	if ok && !dated {
		back, dated = p.day()
	}
	switch {
	case p.wrong != nil, !ok && !dated:
		return time.Time{}, false
	case !ok:
		p.wrong = p.unclearTime()
		return time.Time{}, false
	}
	return p.local(back, hour, minute)
}

// day takes today, yesterday or a weekday and returns how many days back that is.
func (p *parser) day() (back int, ok bool) {
	switch {
	case p.take("today"):
		return 0, true
	case p.take("yesterday"):
		return 1, true
	}
	start := p.next
	p.take("on")
	for d := range time.Saturday + 1 {
		name := strings.ToLower(d.String())
		if !p.take(name) && !p.take(name[:3]) {
			continue
		}
		back = int(p.now.Weekday()-d+7) % 7
		if back == 0 {
			p.wrong = p.refuse("It is that day of the week today: it could mean today or a week ago.",
				`Write "today at …", or the date as in 2026-10-25T09:00:00Z.`)
		}
		return back, true
	}
	p.next = start
	return 0, false
}

var clockForm = regexp.MustCompile(`^(\d{1,2})(?:[:.](\d{2}))?(?:([ap])\.?m\.?)?$`)

// clock takes "at 14:30", "2pm", "2.30 pm", "noon". A bare "9:15" is refused: it could be morning or evening.
func (p *parser) clock() (hour, minute int, ok bool) {
	start := p.next
	p.take("at")
	if p.take("noon") || p.take("midday") {
		return 12, 0, true
	}
	var m []string
	if p.next < len(p.words) && !p.words[p.next].quoted {
		m = clockForm.FindStringSubmatch(p.words[p.next].low)
	}
	if m == nil {
		p.next = start
		return 0, 0, false
	}
	p.next++
	half := m[3]
	for _, h := range []string{"a", "p"} {
		if half == "" && (p.take(h+"m") || p.take(h+".m") || p.take(h+".m.")) {
			half = h
		}
	}
	hour, minute = number(m[1]), number(m[2])
	switch {
	case half == "" && m[2] == "": // "at 2 Station Road"
		p.next = start
		return 0, 0, false
	case minute > 59, half == "" && (len(m[1]) == 1 || hour > 23), half != "" && (hour < 1 || hour > 12):
		p.wrong = p.unclearTime()
	case half != "":
		hour = hour % 12
		if half == "p" {
			hour += 12
		}
	}
	return hour, minute, true
}

// local is the moment at which clocks in the hub's zone show hour and minute, so many days back. In the night that they
// change there may be two such moments, or none: both are refused.
func (p *parser) local(back, hour, minute int) (time.Time, bool) {
	y, m, d := p.now.Date()
	t := time.Date(y, m, d-back, hour, minute, 0, 0, p.now.Location())
	switch {
	case t.Hour() != hour || t.Minute() != minute:
		p.wrong = p.refuse("That time does not exist: the clocks went forward over it.", `Write how long ago, such as "20m ago".`)
	case twice(t):
		p.wrong = p.refuse("That time came twice: the clocks went back over it.",
			`Write how long ago, such as "20m ago", or the time with its zone, such as 2026-10-25T01:30:00+01:00.`)
	}
	return t, p.wrong == nil
}

// twice reports whether the same local time comes again, or came already, because clocks went back.
func twice(t time.Time) bool {
	_, offset := t.Zone()
	shift := func(at time.Time) time.Duration {
		_, other := at.Zone()
		return time.Duration(other-offset) * time.Second
	}
	start, end := t.ZoneBounds()
	before := !start.IsZero() && t.Before(start.Add(shift(start.Add(-time.Second))))
	after := !end.IsZero() && !t.Before(end.Add(shift(end)))
	return before || after
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // three digits at the most, or none
	return n
}
