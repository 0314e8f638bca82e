package compare

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"carehub/events"
)

// Tally counts who was told of past events, and who would be by other rules. It keeps numbers for each recipient and day, no
// event. It is not safe for concurrent use.
type Tally struct {
	Since, Until time.Time // in the time zone that days are counted in
	// Label is what a recipient is called.
	Label func(id string) string

	events     int
	left       map[string]int // out, by why
	patients   map[string]bool
	unreached  map[[2]string]int // events that would reach nobody, by patient and kind
	recipients map[string]*recipient
}

// recipient is what is counted of one.
type recipient struct {
	was, now     map[string]int // messages by day
	lost, gained *share
}

// share is some events.
type share struct {
	events   int
	patients map[string]bool
	kinds    map[events.Kind]bool
}

func (s *share) add(e events.Event) {
	s.events++
	s.patients[e.Patient] = true
	s.kinds[e.Kind] = true
}

func newShare() *share { return &share{patients: map[string]bool{}, kinds: map[events.Kind]bool{}} }

// Leave counts an event that no rule decides about.
func (t *Tally) Leave(why string) {
	if t.left == nil {
		t.left = map[string]int{}
	}
	t.left[why]++
}

// Add counts an event: who was told of it, and who would be. Each id counts once.
func (t *Tally) Add(e events.Event, was, now []string) {
	if t.recipients == nil {
		t.patients, t.recipients, t.unreached = map[string]bool{}, map[string]*recipient{}, map[[2]string]int{}
	}
	t.events++
	t.patients[e.Patient] = true
	day := e.Recorded.In(t.Since.Location()).Format(time.DateOnly)
	for _, id := range was {
		r := t.of(id)
		r.was[day]++
		if !slices.Contains(now, id) {
			r.lost.add(e)
		}
	}
	for _, id := range now {
		r := t.of(id)
		r.now[day]++
		if !slices.Contains(was, id) {
			r.gained.add(e)
		}
	}
	if len(now) == 0 && len(was) > 0 {
		t.unreached[[2]string{e.Patient, string(e.Kind)}]++
	}
}

func (t *Tally) of(id string) *recipient {
	r := t.recipients[id]
	if r == nil {
		r = &recipient{was: map[string]int{}, now: map[string]int{}, lost: newShare(), gained: newShare()}
		t.recipients[id] = r
	}
	return r
}

// Simulation is what a tally shows.
type Simulation struct {
	Since     time.Time        `json:"since"`
	Until     time.Time        `json:"until"`
	Events    int              `json:"events"`
	Patients  int              `json:"patients"`
	Left      map[string]int   `json:"left_out"`  // events, by why
	Unreached map[string]int   `json:"unreached"` // events that reached somebody and would reach nobody, by patient/kind
	Recipient []RecipientTally `json:"recipients"`
}

// RecipientTally is what a tally shows of one recipient.
type RecipientTally struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Was    Load   `json:"was"`
	Now    Load   `json:"now"`
	Lost   Share  `json:"lost"`
	Gained Share  `json:"gained"`
}

// Load is how many messages somebody gets. Median and Most are of the days between Since and Until.
type Load struct {
	Messages int     `json:"messages"`
	Median   float64 `json:"median_a_day"`
	Most     int     `json:"most_a_day"`
}

// Share is some of the events.
type Share struct {
	Events   int      `json:"events"`
	Patients int      `json:"patients"`
	Kinds    []string `json:"kinds"`
}

// Simulation returns what was counted; whoever would get most comes first.
func (t *Tally) Simulation() Simulation {
	s := Simulation{Since: t.Since, Until: t.Until, Events: t.events, Patients: len(t.patients), Left: map[string]int{}, Unreached: map[string]int{}, Recipient: []RecipientTally{}}
	maps.Copy(s.Left, t.left)
	for at, n := range t.unreached {
		s.Unreached[at[0]+"/"+at[1]] = n
	}
	days := t.days()
	for id, r := range t.recipients {
		s.Recipient = append(s.Recipient, RecipientTally{id, t.Label(id), load(r.was, days), load(r.now, days), r.lost.shown(), r.gained.shown()})
	}
	slices.SortFunc(s.Recipient, func(a, b RecipientTally) int {
		return cmp.Or(cmp.Compare(b.Now.Messages, a.Now.Messages), cmp.Compare(b.Was.Messages, a.Was.Messages), cmp.Compare(a.ID, b.ID))
	})
	return s
}

// days are all days from Since to Until.
func (t *Tally) days() (days []string) {
	last := t.Until.In(t.Since.Location()).Format(time.DateOnly)
	for day := t.Since; ; day = day.AddDate(0, 0, 1) {
		days = append(days, day.Format(time.DateOnly))
		if days[len(days)-1] >= last {
			return days
		}
	}
}

func load(by map[string]int, days []string) Load {
	counts := make([]int, len(days))
	l := Load{}
	for i, day := range days {
		counts[i] = by[day]
		l.Messages += by[day]
	}
	slices.Sort(counts)
	n := len(counts)
	l.Median = float64(counts[(n-1)/2]+counts[n/2]) / 2
	l.Most = counts[n-1]
	return l
}

func (s *share) shown() Share {
	kinds := []string{}
	for _, k := range events.Routed {
		if s.kinds[k] {
			kinds = append(kinds, string(k))
		}
	}
	return Share{s.events, len(s.patients), kinds}
}

// Text writes the simulation for people, with the recipients who would get most.
func (s Simulation) Text(w io.Writer, top int) {
	fmt.Fprintf(w, "%s of %s since %s. Nothing was sent.\n", plural(s.Events, "event"), plural(s.Patients, "patient"), s.Since.Format("Mon 2 Jan 2006 15:04"))
	for _, why := range slices.Sorted(maps.Keys(s.Left)) {
		fmt.Fprintf(w, "Left out: %s, %s.\n", plural(s.Left[why], "event"), why)
	}
	if len(s.Unreached) > 0 {
		fmt.Fprintln(w, "\nWould reach nobody:")
		for _, at := range slices.Sorted(maps.Keys(s.Unreached)) {
			fmt.Fprintf(w, "  %s: %s\n", at, plural(s.Unreached[at], "event"))
		}
	}
	s.changes(w, "Would lose", func(r RecipientTally) Share { return r.Lost })
	s.changes(w, "Would gain", func(r RecipientTally) Share { return r.Gained })
	s.loads(w, top)
}

func (s Simulation) changes(w io.Writer, title string, of func(RecipientTally) Share) {
	headed := false
	for _, r := range s.Recipient {
		some := of(r)
		if some.Events == 0 {
			continue
		}
		if !headed {
			fmt.Fprintf(w, "\n%s:\n", title)
			headed = true
		}
		fmt.Fprintf(w, "  %s: %s of %s (%s)\n", r.Name, plural(some.Events, "event"), plural(some.Patients, "patient"), strings.Join(some.Kinds, ", "))
	}
}

// loads writes how many messages the recipients get.
func (s Simulation) loads(w io.Writer, top int) {
	if len(s.Recipient) == 0 {
		return
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(columns, "\nMessages\twere\ta day\tmost\twould be\ta day\tmost\t\n")
	for _, r := range s.Recipient[:min(top, len(s.Recipient))] {
		fmt.Fprintf(columns, "%s\t%d\t%g\t%d\t%d\t%g\t%d\t\n", r.Name, r.Was.Messages, r.Was.Median, r.Was.Most, r.Now.Messages, r.Now.Median, r.Now.Most)
	}
	_ = columns.Flush()
	if more := len(s.Recipient) - top; more > 0 {
		fmt.Fprintf(w, "and %s with fewer\n", plural(more, "recipient"))
	}
	fmt.Fprintln(w, "\"a day\" is the median over all days, \"most\" the day with most.")
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
