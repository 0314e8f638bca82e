package config

import (
	"errors"
	"strconv"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// Kind is what hub.yaml says of one kind of event. Both times count from when the event was taken in.
type Kind struct {
	Urgency       events.Urgency `yaml:"urgency"`
	FallbackAfter time.Duration  `yaml:"fallback_after"` // until the next channel is tried as well
	AlarmAfter    time.Duration  `yaml:"alarm_after"`    // until the alarm recipients hear that somebody is not told
	Retention     Term           `yaml:"retention"`      // how long the event is kept; 0, the default, is for ever

	_ struct{} `yaml:"code,later"` // of a kind of the hub's own
}

// Term is a long time, as hub.yaml writes it: 90d or 8y.
type Term time.Duration

// UnmarshalText reads days (d) or years (y), from 30 days to 200 years.
func (t *Term) UnmarshalText(text []byte) error {
	hours := map[byte]int{'d': 24, 'y': 8766} // a year is the average one
	if len(text) > 1 {
		n, err := strconv.Atoi(string(text[:len(text)-1]))
		long := min(n, 1e6) * hours[text[len(text)-1]]
		if err == nil && long >= 30*24 && long <= 200*8766 {
			*t = Term(time.Duration(long) * time.Hour)
			return nil
		}
	}
	return errors.New("must be a number of days or years, such as 90d or 8y, and at least 30d")
}

// maxWait bounds fallback_after and alarm_after: after three days a delivery is given up, and a longer wait would be
// silence.
const maxWait = 72 * time.Hour

func defaultKinds() map[events.Kind]Kind {
	urgent := Kind{Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: 15 * time.Minute}
	routine := Kind{Urgency: events.Routine, FallbackAfter: 30 * time.Minute, AlarmAfter: 2 * time.Hour}
	return map[events.Kind]Kind{
		events.Admission: urgent, events.Attendance: urgent, events.Fall: urgent, events.Discharge: routine, events.DocumentAdded: routine,
	}
}

// readKinds lays what hub.yaml says over the defaults.
func (h *Hub) readKinds(folder *strict.Folder) {
	for _, entry := range h.KindKeys {
		name := events.Kind(entry.Key)
		kind, known := h.Kinds[name]
		if !known {
			folder.Report(strict.UnknownKind, entry.Pos, "this build does not know the kind %q%s", entry.Key, strict.DidYouMean(entry.Key, kindNames()))
			continue
		}
		if entry.V.Decode(&kind) == nil {
			kind.check(entry.V)
		}
		h.Kinds[name] = kind
	}
}

func (k Kind) check(node strict.Node) {
	if k.Urgency != events.Urgent && k.Urgency != events.Routine {
		node.Report(strict.BadValue, "urgency", "must be urgent or routine%s",
			strict.DidYouMean(string(k.Urgency), []string{string(events.Urgent), string(events.Routine)}))
	}
	if k.FallbackAfter <= 0 || k.FallbackAfter > maxWait {
		node.Report(strict.BadValue, "fallback_after", "must be more than nothing and at most 72h")
	}
	if k.AlarmAfter <= 0 || k.AlarmAfter > maxWait {
		node.Report(strict.BadValue, "alarm_after", "must be more than nothing and at most 72h")
	}
}

func kindNames() []string {
	names := make([]string, len(events.Routed))
	for i, k := range events.Routed {
		names[i] = string(k)
	}
	return names
}
