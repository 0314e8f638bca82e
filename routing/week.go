package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// monday is the beginning of the first whole week from now on in which no clock is changed where the hub is.
func monday(now time.Time) time.Time {
	days := 7 - (int(now.Weekday())+6)%7
	for {
		start := time.Date(now.Year(), now.Month(), now.Day()+days, 0, 0, 0, 0, now.Location())
		_, before := start.Zone()
		if _, after := start.AddDate(0, 0, 7).Zone(); before == after {
			return start
		}
		days += 7
	}
}

// moments are when in the week from start on the hours of any rule begin or end, and start itself, in order.
func moments(rules []*rule, start time.Time) []time.Time {
	at := []time.Time{start}
	for _, r := range rules {
		if r.only == nil {
			continue
		}
		for _, w := range r.only.hours {
			at = w.edges(start, at)
		}
	}
	for i := range at {
		at[i] = at[i].In(start.Location())
	}
	slices.SortFunc(at, time.Time.Compare)
	return slices.CompactFunc(at, time.Time.Equal)
}

// span is a part of a week.
type span struct{ from, to time.Time }

// between is the time from one moment of a week to the next one.
func between(times []time.Time, i int) span {
	if i+1 < len(times) {
		return span{times[i], times[i+1]}
	}
	return span{times[i], times[0].AddDate(0, 0, 7)}
}

// hoursInWords says parts of a week, in order: mon-fri 08:00-18:30, sat; "" for none of them.
func hoursInWords(spans []span) string {
	spans = joined(spans)
	if len(spans) == 1 && spans[0].to.Equal(spans[0].from.AddDate(0, 0, 7)) {
		return "at any hour"
	}
	var words []string
	days := map[string][]time.Weekday{} // by the hours
	for _, s := range spans {
		clock := s.from.Format("15:04") + "-" + s.to.Format("15:04")
		switch {
		case clock == "00:00-00:00": // whole days
			for day := s.from; day.Before(s.to); day = day.AddDate(0, 0, 1) {
				days[""] = append(days[""], day.Weekday())
			}
			clock = ""
		case s.to.After(s.from.AddDate(0, 0, 1)):
			words = append(words, fmt.Sprintf("from %s %s to %s %s", weekdays[s.from.Weekday()], s.from.Format("15:04"), weekdays[s.to.Weekday()], s.to.Format("15:04")))
			continue
		default:
			days[clock] = append(days[clock], s.from.Weekday())
		}
		if !slices.Contains(words, clock) {
			words = append(words, clock)
		}
	}
	for i, clock := range words {
		if on := days[clock]; on != nil {
			words[i] = strings.TrimSpace(daysInWords(on) + " " + clock)
		}
	}
	return strings.Join(words, ", ")
}

// joined puts parts together that follow each other, over the end of the week too.
func joined(spans []span) (all []span) {
	for _, s := range spans {
		if last := len(all) - 1; last >= 0 && all[last].to.Equal(s.from) {
			all[last].to = s.to
			continue
		}
		all = append(all, s)
	}
	if last := len(all) - 1; last > 0 && all[last].to.Equal(all[0].from.AddDate(0, 0, 7)) {
		all[last].to = all[0].to.AddDate(0, 0, 7)
		all = all[1:]
	}
	return all
}

// daysInWords says days: mon-fri, or mon and wed.
func daysInWords(days []time.Weekday) string {
	var words []string
	for i := 0; i < len(week); i++ {
		end := i
		for end < len(week) && slices.Contains(days, week[end]) {
			end++
		}
		switch end - i {
		case 0:
		case 1, 2:
			words = append(words, weekdays[week[i]])
			end = i + 1
		default:
			words = append(words, weekdays[week[i]]+"-"+weekdays[week[end-1]])
		}
		i = max(i, end-1)
	}
	return strings.Join(words, ", ")
}
