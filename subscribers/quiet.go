package subscribers

import (
	"cmp"
	"errors"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// quietHours are the quiet_hours of a provider or carer.
type quietHours struct {
	From strict.At[string] `yaml:"from,required"`
	To   strict.At[string] `yaml:"to,required"`
	Zone strict.At[string] `yaml:"zone"`
}

// quiet checks quiet hours; nil where there are none, or none that could be kept.
func (l *loader) quiet(h *quietHours) *events.Quiet {
	if h == nil || h.From.V == "" || h.To.V == "" { // reported
		return nil
	}
	q := events.Quiet{From: h.From.V, To: h.To.V, Zone: h.Zone.V}
	checked := q
	checked.Zone = cmp.Or(q.Zone, "UTC")
	_, err := checked.Hours()
	if wrong, ok := errors.AsType[*events.QuietError](err); ok {
		at := map[string]strict.Pos{"from": h.From.Pos, "to": h.To.Pos, "zone": h.Zone.Pos}[wrong.Key]
		l.folder.Report(strict.BadValue, at, "%s", wrong)
		return nil
	}
	if awake(h) < time.Hour {
		l.folder.Warn(strict.LongQuiet, h.From.Pos, "these quiet hours leave less than an hour a day, for which all that can wait would wait")
	}
	return &q
}

// awake is how long a day quiet hours leave, which have been checked.
func awake(h *quietHours) time.Duration {
	from, _ := events.TimeOfDay(h.From.V)
	to, _ := events.TimeOfDay(h.To.V)
	const day = 24 * 60
	return time.Duration((from-to+day)%day) * time.Minute
}
