package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// That an authority ends is news before it does and on the day, never a silent stop (hazard: authority ends): the alarm
// recipients hear of it thirty days, seven days and one day before, and once it has.
const (
	authorityEvery = time.Hour
	// endedFor is how long after an end somebody still hears of it: a hub that is set up with rules of long ago reports nothing.
	endedFor = 30
)

// ending is what ends on a day: the authority of somebody to log or see, or, without an actor, the basis on which the hub
// holds and passes on anything at all.
type ending struct {
	actor, patient string
	last           strict.Date
}

func (f *folder) endings() []ending {
	var all []ending
	for _, e := range f.rules.Lapses() {
		all = append(all, ending{e.Actor, e.Patient, e.Last})
	}
	for id, p := range f.patients {
		if p.Basis != nil && p.Basis.Until != "" {
			all = append(all, ending{"", id, p.Basis.Until})
		}
	}
	slices.SortFunc(all, func(a, b ending) int {
		return cmp.Or(strings.Compare(string(a.last), string(b.last)), strings.Compare(a.patient, b.patient), strings.Compare(a.actor, b.actor))
	})
	return all
}

// watchAuthority looks each hour what ends.
func (h *hub) watchAuthority(ctx context.Context) error {
	for {
		if err := h.warnEndings(ctx, time.Now()); err != nil && ctx.Err() == nil {
			h.log.Warn("the alarm about an authority that ends is not stored yet", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(authorityEvery):
		}
	}
}

// warnEndings raises one alarm for all that ends on the same day, once for each of the times before it, and again where more ends on it.
func (h *hub) warnEndings(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	f := h.current()
	today := now.In(f.hub.Location)
	for _, due := range dueEndings(f.endings(), today) {
		about := events.About{Event: "authority-" + string(due.last) + "-" + due.stage + "-" + due.hash(), Reason: events.ReasonEnding,
			Patients: strings.Join(due.patients(), " ")}
		if _, err := storeAlarm(ctx, f, h.archive, about, due.words()); err != nil {
			return err
		}
	}
	return nil
}

// dueEnding is all that ends on one day, and how near that is.
type dueEnding struct {
	last  strict.Date
	stage string // 30d, 7d, 1d or over
	days  int    // left; negative when it is over
	what  []ending
}

// hash is of what ends: it stands in the id of the alarm, so that what is added later is heard of.
func (e dueEnding) hash() string {
	var b strings.Builder
	for _, one := range e.what {
		fmt.Fprintln(&b, one.actor, one.patient)
	}
	return events.Hash([]byte(b.String()))
}

// dueEndings are those of which somebody is to hear now, by day. all is sorted by day.
func dueEndings(all []ending, today time.Time) []dueEnding {
	var due []dueEnding
	for _, e := range all {
		days, stage := nearness(e.last, today)
		if stage == "" {
			continue
		}
		if n := len(due) - 1; n >= 0 && due[n].last == e.last {
			due[n].what = append(due[n].what, e)
			continue
		}
		due = append(due, dueEnding{e.last, stage, days, []ending{e}})
	}
	return due
}

// nearness is how many days of an authority are left after today, and which of the times to hear of it that is.
func nearness(last strict.Date, today time.Time) (days int, stage string) {
	end, err := time.Parse(time.DateOnly, string(last))
	if err != nil {
		return 0, ""
	}
	y, m, d := today.Date()
	days = int(end.Sub(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
	switch {
	case days < -endedFor || days > 30:
		return days, ""
	case days < 0:
		return days, "over"
	case days <= 1:
		return days, "1d"
	case days <= 7:
		return days, "7d"
	}
	return days, "30d"
}

// namedEndings is how many the words name; `carehub check` lists all.
const namedEndings = 10

// patients are those whom the words name.
func (e dueEnding) patients() (all []string) {
	for _, one := range e.what[:min(len(e.what), namedEndings)] {
		if !slices.Contains(all, one.patient) {
			all = append(all, one.patient)
		}
	}
	return all
}

func (e dueEnding) words() string {
	var b strings.Builder
	end, _ := time.Parse(time.DateOnly, string(e.last)) // nearness has parsed it
	switch day := end.Format("Monday 2 January 2006"); {
	case e.days < 0:
		fmt.Fprintf(&b, "%s was the last day of ", day)
	case e.days == 0:
		fmt.Fprintf(&b, "Today, %s, is the last day of ", day)
	default:
		fmt.Fprintf(&b, "%s is the last day of ", day)
	}
	for i, one := range e.what[:min(len(e.what), namedEndings)] {
		if i > 0 {
			b.WriteString("; ")
		}
		if one.actor == "" {
			b.WriteString("the consent or other basis for " + one.patient)
		} else {
			b.WriteString("what " + one.actor + " may do for " + one.patient)
		}
	}
	if more := len(e.what) - namedEndings; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	b.WriteString(". What somebody logs after their last day is still passed on, marked so, but they see no more; " +
		"when a basis is over, nothing stops by itself. Please ask, and write the new day into the configuration, or take them out: " +
		"\"carehub check\" shows the lines.")
	return b.String()
}
