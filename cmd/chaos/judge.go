package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"carehub/events"
)

// findings are what a run has found. The first six must be 0.
type findings struct {
	Lost       int `json:"lost"`         // recipients of acknowledged events with nothing in the receivers' file
	OutOfOrder int `json:"out_of_order"` // first arrivals that came before an earlier one of the same recipient and patient
	Changed    int `json:"changed"`      // repeats with another id or other bytes
	Unequal    int `json:"unequal"`      // outcomes that the hub tells otherwise than the receivers, or not at all
	Excess     int `json:"excess"`       // kills with more repeats than deliveries in flight or younger than the interval
	Stood      int `json:"stood"`        // times that a recipient who was well got nothing of a patient for longer than -pause

	Seed       uint64         `json:"seed"`
	Hubs       int            `json:"hubs"`
	NATS       int            `json:"nats"`
	Seconds    float64        `json:"seconds"` // of logging
	Kills      int            `json:"kills"`
	Faults     map[string]int `json:"faults"`
	Events     int            `json:"events"`     // acknowledged
	Deliveries int            `json:"deliveries"` // different ones that were taken
	Refused    int            `json:"refused"`    // for good, by the picky one
	Repeats    int            `json:"repeats"`
	Worst      repeats        `json:"worst"`  // kill, by repeats
	Oldest     time.Duration  `json:"oldest"` // delivery that a kill made repeat: its age at the kill
	Pause      time.Duration  `json:"pause"`  // the longest in which a recipient who was well got nothing of a patient, restarts included
	Within     int            `json:"within"` // faults that began in it
	Single     time.Duration  `json:"single"` // the longest pause in which no more than one fault began
	Machine    string         `json:"machine"`

	details []string
}

// repeats of one kill, and the deliveries that were in flight or younger than the ledger's interval: what may repeat.
type repeats struct {
	Repeats int `json:"repeats"`
	Exposed int `json:"exposed"`
}

func (f *findings) broken() error {
	if f.Events == 0 {
		return errors.New("nothing was acknowledged, so nothing is proved")
	}
	if f.Lost+f.OutOfOrder+f.Changed+f.Unequal+f.Excess+f.Stood == 0 {
		return nil
	}
	var err error
	for _, d := range f.details[:min(20, len(f.details))] {
		err = errors.Join(err, errors.New(d))
	}
	return errors.Join(errors.New("a promise was broken"), err)
}

func (f *findings) note(count *int, format string, args ...any) {
	*count++
	f.details = append(f.details, fmt.Sprintf(format, args...))
}

func (f *findings) print(out io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(f)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what string, value any) { fmt.Fprintf(t, "%s\t%v\n", what, value) }
	row("kills of a hub", f.Kills)
	row("events acknowledged", fmt.Sprintf("%d in %.0f s, %.0f/s", f.Events, f.Seconds, float64(f.Events)/f.Seconds))
	row("different deliveries taken", f.Deliveries)
	row("refused for good, as they should be", f.Refused)
	row("lost", f.Lost)
	row("first arrivals out of order", f.OutOfOrder)
	row("repeats with other id or bytes", f.Changed)
	row("outcomes unlike what receivers saw", f.Unequal)
	row("repeats", f.Repeats)
	row("repeats of the worst kill", fmt.Sprintf("%d; in flight or younger than the ledger's interval were %d", f.Worst.Repeats, f.Worst.Exposed))
	row("oldest delivery repeated after a kill", f.Oldest.Round(time.Millisecond))
	row("longest pause of a recipient who was well", fmt.Sprintf("%v, in which %d faults began; of one fault %v", f.Pause.Round(time.Millisecond), f.Within, f.Single.Round(time.Millisecond)))
	row("pauses longer than may be", f.Stood)
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		row(name, f.Faults[name])
	}
	row("seed, machine", fmt.Sprintf("%d, %s", f.Seed, f.Machine))
	return t.Flush()
}

// record is the receivers' file, read.
type record struct {
	all   []arrival
	first map[string]arrival   // by recipient and event: that came
	took  map[string][]arrival // by recipient and event
	order map[string][]string  // events in the order of their first arrival, by recipient and patient
}

func key(recipient, of string) string { return recipient + " " + of }

func readRecord(file string) (*record, error) {
	f, err := os.Open(file) // #nosec G304 -- the run's own
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &record{first: map[string]arrival{}, took: map[string][]arrival{}, order: map[string][]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var a arrival
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if a.Kind != events.Alarm {
			r.add(a)
		}
	}
	return r, lines.Err()
}

func (r *record) add(a arrival) {
	r.all = append(r.all, a)
	k := key(a.To, a.Event)
	if _, repeat := r.first[k]; !repeat {
		r.first[k] = a
		r.order[key(a.To, a.Patient)] = append(r.order[key(a.To, a.Patient)], a.Event)
	}
	if a.Did == takes || a.Did == crawls {
		r.took[k] = append(r.took[k], a)
	}
}

// quiet waits until every recipient has dealt with everything acknowledged. Whoever is missing then is for the judge.
func (w *world) quiet(ctx context.Context, l *loggers) error {
	for _, wire := range append(w.wires, w.natsWires...) {
		wire.mend()
	}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		r, err := readRecord(w.seen)
		if err != nil {
			return err
		}
		if w.missing(r, l) == 0 {
			break
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return pause(ctx, 2*time.Second) // for outcomes to be written, and for repeats that nobody expects
}

// missing counts what somebody has neither taken nor refused.
func (w *world) missing(r *record, l *loggers) (n int) {
	for _, acks := range l.acked {
		for _, a := range acks {
			for to := range w.recipients {
				if !r.dealt(w.recipient(to), a.Event) {
					n++
				}
			}
		}
	}
	return n
}

func (r *record) dealt(to, event string) bool {
	k := key(to, event)
	return len(r.took[k]) > 0 || to == picky && unwelcome(to, r.first[k].ID)
}

func (w *world) judge(ctx context.Context, l *loggers, s *storm, logged time.Duration) (*findings, error) {
	r, err := readRecord(w.seen)
	if err != nil {
		return nil, err
	}
	f := &findings{Seed: w.seed, Hubs: len(w.hubs), NATS: len(w.nats), Seconds: logged.Seconds(), Kills: len(s.kills), Faults: s.counts,
		Events: int(l.total.Load()), Machine: fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	for n, acks := range l.acked {
		for to := range w.recipients {
			f.arrivals(r, w.recipient(to), patient(n), acks)
		}
	}
	for _, a := range r.all {
		if first := r.first[key(a.To, a.Event)]; a.ID != first.ID || a.Sum != first.Sum {
			f.note(&f.Changed, "a repeat of %s at %s is not as the first", a.Event, a.To)
		}
	}
	// Only kills of hubs have a bound. Who cuts a connection after taking asks for a repeat, and while the servers of the
	// store are away no outcome is written.
	f.repeated(r, s.kills, l.intervals(s.kills, w.interval), w.faults == "kill" && len(w.nats) == 0)
	f.pauses(r, s.troubles, s.struck, w.settings.pause)
	return f, f.outcomes(ctx, w, r, l)
}

// arrivals judges what one recipient got of one patient.
func (f *findings) arrivals(r *record, to, patient string, acks []ack) {
	place := map[string]int{}
	for i, a := range acks {
		place[a.Event] = i
		if !r.dealt(to, a.Event) {
			f.note(&f.Lost, "%s never had %s, acknowledged at %s", to, a.Event, time.Unix(0, a.At).UTC().Format(time.TimeOnly))
		}
	}
	last := -1
	for _, event := range r.order[key(to, patient)] {
		if i, ok := place[event]; ok && i < last {
			f.note(&f.OutOfOrder, "%s had %s after a later one", to, event)
		} else if ok {
			last = i
		}
	}
}

// repeated counts repeats, and for each kill those that it caused beside those it may cause.
func (f *findings) repeated(r *record, kills []kill, intervals []time.Duration, bounded bool) {
	caused, exposed := make([]int, len(kills)), make([]int, len(kills))
	for _, took := range r.took {
		f.Deliveries++
		f.Repeats += len(took) - 1
		first := time.Unix(0, took[0].At)
		for i, k := range kills {
			if first.After(k.at.Add(-intervals[i])) && first.Before(k.again) {
				exposed[i]++
			}
		}
		for _, again := range took[1:] {
			at := time.Unix(0, again.At)
			if i, found := slices.BinarySearchFunc(kills, at, func(k kill, t time.Time) int { return k.at.Compare(t) }); found || i > 0 {
				caused[i-1]++
				f.Oldest = max(f.Oldest, kills[i-1].at.Sub(first))
			}
		}
	}
	for i := range kills {
		if caused[i] >= f.Worst.Repeats {
			f.Worst = repeats{caused[i], exposed[i]}
		}
		if bounded && caused[i] > exposed[i] {
			f.note(&f.Excess, "kill %d: %d repeats, %d deliveries in flight or younger than %s", i+1, caused[i], exposed[i], intervals[i])
		}
	}
}

// intervals are how old a delivery may be at each kill and still be repeated: least, or what it takes on a disk that hangs. How
// long that hung shows in the longest time without any event acknowledged that ended in the two seconds before the kill or lasted until
// it, for loggers never pause; the ledger gathers for a tenth of a second between a write that was under way and its own.
func (l *loggers) intervals(kills []kill, least time.Duration) []time.Duration {
	var at []int64
	for _, acks := range l.acked {
		for _, a := range acks {
			at = append(at, a.At)
		}
	}
	slices.Sort(at)
	all := make([]time.Duration, len(kills))
	for i, k := range kills {
		begun := int64(0)
		if i > 0 {
			begun = kills[i-1].again.UnixNano()
		}
		first, _ := slices.BinarySearch(at, begun)
		end, _ := slices.BinarySearch(at, k.at.UnixNano())
		all[i] = max(least, 100*time.Millisecond+2*longest(at[first:end], k.at))
	}
	return all
}

// longest is the longest time between two of all, or from the last until the end, of those that ended in the two seconds before.
func longest(all []int64, end time.Time) (most time.Duration) {
	from := end.Add(-2 * time.Second).UnixNano()
	for i, t := range append(slices.Clip(all), end.UnixNano()) {
		if i > 0 && t > from {
			most = max(most, time.Duration(t-all[i-1]))
		}
	}
	return most
}
