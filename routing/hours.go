package routing

import (
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// hoursEntry is a window of the week in which a rule holds.
type hoursEntry struct {
	Days strict.List[string] `yaml:"days"` // on which it begins; none: every day
	From strict.At[string]   `yaml:"from"` // none: whole days
	To   strict.At[string]   `yaml:"to"`   // at or before from: of the next day
	Zone strict.At[string]   `yaml:"zone"` // none: the hub's
}

// window is hours of the week by the clock on the wall of a zone. In a night in which that is changed, it is what the clock
// shows that counts: an hour that comes twice is in it twice, one that is left out is not in it.
type window struct {
	days     [7]bool // on which it begins, by time.Weekday
	from, to int     // minutes since midnight; to at or before from is of the next day
	zone     *time.Location
}

func (w window) open(t time.Time) bool {
	t = t.In(w.zone)
	now, today := 60*t.Hour()+t.Minute(), t.Weekday()
	if w.from < w.to {
		return w.days[today] && w.from <= now && now < w.to
	}
	return w.days[today] && now >= w.from || w.days[(today+6)%7] && now < w.to
}

// edges adds the moments of seven days from start at which the window opens or closes.
func (w window) edges(start time.Time, at []time.Time) []time.Time {
	local := start.In(w.zone)
	for day := range 8 { // in another zone than start's the first one has begun already
		for _, minute := range []int{w.from, w.to} {
			edge := time.Date(local.Year(), local.Month(), local.Day()+day, 0, minute, 0, 0, w.zone)
			if !edge.Before(start) && edge.Before(start.AddDate(0, 0, 7)) {
				at = append(at, edge)
			}
		}
	}
	return at
}

// weekdays are the days by time.Weekday as files write them, and week the order in which people read them.
var (
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	week     = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}
)

// hours checks and compiles the windows of a rule.
func (l *loader) hours(entries strict.List[hoursEntry]) (windows []window) {
	for _, entry := range entries {
		w := window{zone: l.zone(entry.V.Zone)}
		l.days(&w, entry.V.Days)
		l.times(&w, entry)
		windows = append(windows, w)
	}
	return windows
}

func (l *loader) zone(written strict.At[string]) *time.Location {
	if written.V == "" {
		return l.now.Location()
	}
	if known, ok := l.zones[written.V]; ok {
		return known
	}
	zone, err := time.LoadLocation(written.V)
	if err != nil || written.V == "Local" {
		l.folder.Report(strict.BadValue, written.Pos, "zone must be a time zone such as Europe/London")
		zone = l.now.Location()
	}
	l.zones[written.V] = zone
	return zone
}

// days reads mon, sat, mon-fri.
func (l *loader) days(w *window, written strict.List[string]) {
	if len(written) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	for _, days := range written {
		first, last, isRange := strings.Cut(days.V, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			l.folder.Report(strict.BadValue, days.Pos, "days takes mon, tue, wed, thu, fri, sat and sun, and ranges such as mon-fri%s", strict.DidYouMean(days.V, weekdays))
			continue
		}
		for day := from; ; day = (day + 1) % 7 {
			w.days[day] = true
			if day == to {
				break
			}
		}
	}
}

func (l *loader) times(w *window, entry strict.At[hoursEntry]) {
	from, to := entry.V.From, entry.V.To
	switch {
	case from.V == "" && to.V == "" && len(entry.V.Days) > 0:
		return // whole days: from midnight until the next
	case (from.V == "" || to.V == "") && !l.whole:
		return
	case from.V == "" || to.V == "":
		l.folder.Report(strict.Conflict, entry.Pos, "hours need days, or both from and to, or all of them")
		return
	}
	var sound [2]bool
	w.from, sound[0] = events.TimeOfDay(from.V)
	w.to, sound[1] = events.TimeOfDay(to.V)
	for i, written := range []strict.At[string]{from, to} {
		if !sound[i] {
			l.folder.Report(strict.BadValue, written.Pos, "%s must be a time of day in quotes, such as \"18:30\"", []string{"from", "to"}[i])
		}
	}
	if sound[0] && sound[1] && w.from == w.to {
		l.folder.Report(strict.NoTime, to.Pos, "these hours are none: they end when they begin; for a whole day leave out from and to")
	}
}
