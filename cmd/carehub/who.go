package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
	"carehub/routing/cases"
)

// question is what carehub who is asked.
type question struct {
	patient       string
	kind, because events.Kind
	by            string
	place, class  string
	at            time.Time // when the hub takes the event in; zero: it was not asked for that
}

// event is what the question is about, as a door would make it.
func (q question) event(now time.Time) events.Event {
	at := q.at
	if at.IsZero() {
		at = now
	}
	return events.Event{Patient: q.patient, Kind: q.kind, Because: q.because, By: events.Actor{ID: q.by}, Place: q.place, Class: q.class,
		Occurred: at, Recorded: at}
}

// whoFlags are those of carehub who.
type whoFlags struct{ dir, because, at, event string }

// whoCommand is carehub who: who would be told of an event, how and by which rule, and who would not and why.
func whoCommand() *cobra.Command {
	var flags whoFlags
	var q question
	cmd := &cobra.Command{
		Use:   "who PATIENT KIND | who --event ID",
		Short: "Show who would be told of an event, and who would not, and why",
		Long: "Who shows who would be told of an event, how, when and by which line of which file, and who would not and why. With --at it\n" +
			"gives the times by the clock. With --event it shows the same of an event that the hub of the folder has taken in: by the rules of\n" +
			"that moment, with what became of it, and whether today's rules would say otherwise. That works whether or not the hub is running.",
		Example: "  carehub who p-7f3k admission --dir deploy/example --because fall --by ruth\n  carehub who p-7f3k discharge --at \"2026-11-28 23:30\"",
		Args: func(_ *cobra.Command, args []string) error {
			if flags.event == "" && len(args) != 2 || flags.event != "" && len(args) != 0 {
				return misused("who takes a patient and a kind of event, or --event and the id of one event alone")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.event != "" {
				return whoWasTold(cmd, flags.dir, flags.event)
			}
			q.patient, q.kind, q.because = args[0], events.Kind(args[1]), events.Kind(flags.because)
			return who(cmd, flags, q)
		},
	}
	cmd.Flags().StringVar(&flags.dir, "dir", ".", "configuration folder")
	cmd.Flags().StringVar(&flags.because, "because", "", "what led to it, such as fall")
	cmd.Flags().StringVar(&q.by, "by", "", "carer or system that logs it, and is not told")
	cmd.Flags().StringVar(&flags.at, "at", "", `when the hub takes it in, such as "2026-11-28 23:30"; without it now, and no times are shown`)
	cmd.Flags().StringVar(&q.place, "place", "", "where it happened, as the event says")
	cmd.Flags().StringVar(&q.class, "class", "", "class of the encounter: a code such as IMP or EMER")
	cmd.Flags().StringVar(&flags.event, "event", "", "id of an event that was taken in")
	return cmd
}

func who(cmd *cobra.Command, flags whoFlags, q question) error {
	// Who is told does not depend on secrets, so the answer is the same wherever the rules are.
	f, problems := loadFolder(flags.dir, loadOptions{noSecrets: true, types: channelTypes})
	if problems.Unfit() {
		return exitError{1, problems.Error()}
	}
	if at, ok := cases.Moment(flags.at, f.hub.Location); ok {
		q.at = at
	} else if flags.at != "" {
		return misused(`--at takes a time such as "2026-11-28 23:30" or 2026-11-28T23:30:00Z`)
	}
	if err := f.understand(q); err != nil {
		return err
	}
	return f.answer(cmd.OutOrStdout(), q)
}

// understand refuses a question about what does not exist.
func (f *folder) understand(q question) error {
	kinds := make([]string, len(events.Routed))
	for i, k := range events.Routed {
		kinds[i] = string(k)
	}
	for _, k := range []events.Kind{q.kind, q.because} {
		if k != "" && !k.Known() {
			return exitError{1, fmt.Sprintf("unknown kind %q%s", k, strict.DidYouMean(string(k), kinds))}
		}
	}
	if _, known := f.rules.Match(routing.Asked{Patient: q.patient}); !known {
		return exitError{1, fmt.Sprintf("unknown patient %q%s", q.patient, strict.DidYouMean(q.patient, f.rules.Patients()))}
	}
	if q.class != "" && !slices.Contains(events.Classes, q.class) {
		return exitError{1, fmt.Sprintf("unknown class %q%s", q.class, strict.DidYouMean(q.class, events.Classes))}
	}
	if _, known := f.register.Lookup(q.by); q.by != "" && !known {
		return exitError{1, fmt.Sprintf("%q is neither a carer nor a subscriber%s", q.by, strict.DidYouMean(q.by, f.everyone()))}
	}
	return f.mayAsk(q)
}

// mayAsk refuses a question about what the hub would refuse: that somebody logs who may not.
func (f *folder) mayAsk(q question) error {
	at := q.at
	if at.IsZero() {
		at = f.today()
	}
	if q.by == "" || f.rules.May(q.by, q.patient, routing.Log, at.In(f.hub.Location)) != routing.No {
		return nil
	}
	comes := "nothing would be saved"
	if s, _ := f.register.Lookup(q.by); !s.Carer { // what a system sends may be held for a person
		comes = "nobody would be told"
	}
	return exitError{1, fmt.Sprintf("%s may not log for %s: %s", q.by, q.patient, comes)}
}

func (f *folder) everyone() []string {
	var ids []string
	for _, s := range f.register.All() {
		ids = append(ids, s.ID)
	}
	return append(ids, f.carerIDs...)
}

// answer writes who would be told.
func (f *folder) answer(out io.Writer, q question) error {
	asked := rulings{f, f.today()}
	e := q.event(asked.now)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	s := sheet{w: w, plan: asked.Plan(e), alarms: f.alarms()}
	if q.at.IsZero() {
		fmt.Fprintln(w, f.headline(q, isTerminal(out)))
	} else {
		s.times = &times{q.at.In(f.hub.Location)}
		fmt.Fprintf(w, "%s, at %s\n", f.headline(q, isTerminal(out)), s.times.whole())
	}
	s.told()
	if q.at.IsZero() && len(asked.Occasions(q.patient)) > 1 {
		fmt.Fprintln(w, "\nThat is so now. At other hours, places or classes it may not be: ask with --at, --place and --class.")
	}
	s.escalation()
	x, _ := f.rules.Explain(askedOf(&e), f.everyone())
	s.notTold(x.NotTold)
	s.untold()
	return w.Flush()
}

// alarms are who hears of it when somebody is not told, and where that is said.
func (f *folder) alarms() string {
	return strings.Join(f.hub.Alarms.Notify.Values(), ", ") + " (" + f.hub.Alarms.Notify[0].Short() + ")"
}

// headline repeats the question. Only somebody at a terminal reads by whom they recognise the patient.
func (f *folder) headline(q question, terminal bool) string {
	line := q.patient
	if p, named := f.patients[q.patient]; named && terminal {
		line += " (" + p.Hint() + ")"
	}
	line += ": " + string(q.kind)
	if q.because != "" {
		line += " because of " + string(q.because)
	}
	if q.by != "" {
		line += ", logged by " + q.by
	}
	if q.place != "" {
		line += ", place " + q.place
	}
	if q.class != "" {
		line += ", class " + q.class
	}
	return line
}

// short prints 5m0s as 5m and 2h0m0s as 2h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// isTerminal reports whether a person reads out as it is written.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("CI") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
