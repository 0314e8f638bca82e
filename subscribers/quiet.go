package subscribers

import (
	"cmp"
	"errors"

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
	return &q
}
