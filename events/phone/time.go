package phone

import (
	"strconv"
	"time"

	"carehub/events"
)

const (
	justNow    = 2 * time.Minute
	maxWaiting = 30 * 24 * time.Hour
)

// waited is how long a log waited on the phone for a signal. The phone counts from the tap to the sending, so that a clock
// that is wrong does no harm; a moment is just now.
func waited(seconds string) time.Duration {
	n, err := strconv.Atoi(seconds)
	if d := time.Duration(n) * time.Second; err == nil && d >= justNow {
		return min(d, maxWaiting)
	}
	return 0
}

func (p *Pages) now() time.Time { return p.Clock().In(p.Zone()) }

// moments are when the clocks showed a time of a day: twice in the hour that is repeated as they go back (hazard: wrong time). What
// has yet to come is none of them.
func (p *Pages) moments(day, clock string) (all []time.Time, problem string) {
	at, err := time.ParseInLocation(time.DateOnly+" 15:04", day+" "+clock, p.Zone())
	if err != nil {
		return nil, "problem.time"
	}
	for _, apart := range []time.Duration{-time.Hour, 0, time.Hour} {
		if other := at.Add(apart); other.Format("15:04") == at.Format("15:04") && !other.After(p.now().Add(events.MaxFuture)) {
			all = append(all, other)
		}
	}
	if len(all) == 0 {
		return nil, "problem.future"
	}
	return all, ""
}

// which is the moment that is meant. Where nobody was asked, as without a signal, it is the first.
func which(all []time.Time, clocks string) time.Time {
	if clocks == clocksAfter {
		return all[len(all)-1]
	}
	return all[0]
}

// What Form.Clocks says.
const (
	clocksBefore = "before"
	clocksAfter  = "after"
)

// unclear reports whether it has to be asked which of two moments is meant.
func (p *Pages) unclear(day, clock, clocks string) bool {
	if clock == "" || clocks == clocksBefore || clocks == clocksAfter {
		return false
	}
	all, _ := p.moments(day, clock)
	return len(all) > 1
}
