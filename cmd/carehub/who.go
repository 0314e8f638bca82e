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
	"carehub/subscribers"
)

// question is what carehub who is asked.
type question struct {
	patient       string
	kind, because events.Kind
	by            string
}

func (q question) asked() routing.Asked {
	return routing.Asked{Patient: q.patient, Kind: q.kind, Because: q.because, LoggedBy: q.by, At: time.Now()}
}

// whoCommand is carehub who: who would be told of an event, how and by which rule, and who would not and why.
func whoCommand() *cobra.Command {
	var dir, because string
	var q question
	cmd := &cobra.Command{
		Use:     "who PATIENT KIND",
		Short:   "Show who would be told of an event, and who would not, and why",
		Example: "  carehub who p-7f3k admission --dir deploy/example --because fall --by ruth",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.patient, q.kind, q.because = args[0], events.Kind(args[1]), events.Kind(because)
			return who(cmd, dir, q)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder")
	cmd.Flags().StringVar(&because, "because", "", "what led to it, such as fall")
	cmd.Flags().StringVar(&q.by, "by", "", "carer or system that logs it, and is not told")
	return cmd
}

func who(cmd *cobra.Command, dir string, q question) error {
	// Who is told does not depend on secrets, so the answer is the same wherever the rules are.
	f, problems := loadFolder(dir, loadOptions{noSecrets: true, types: channelTypes})
	if problems.Unfit() {
		return exitError{1, problems.Error()}
	}
	if err := f.understand(q); err != nil {
		return err
	}
	return f.answer(cmd.OutOrStdout(), q)
}

// understand refuses a question about what does not exist.
func (f *folder) understand(q question) error {
	kinds := make([]string, len(events.Kinds))
	for i, k := range events.Kinds {
		kinds[i] = string(k)
	}
	for _, k := range []events.Kind{q.kind, q.because} {
		if k != "" && !k.Known() {
			return exitError{1, fmt.Sprintf("unknown kind %q%s", k, strict.DidYouMean(string(k), kinds))}
		}
	}
	if _, known := f.rules.Match(q.asked()); !known {
		return exitError{1, fmt.Sprintf("unknown patient %q%s", q.patient, strict.DidYouMean(q.patient, f.rules.Patients()))}
	}
	if _, known := f.register.Lookup(q.by); q.by != "" && !known {
		return exitError{1, fmt.Sprintf("%q is neither a carer nor a subscriber%s", q.by, strict.DidYouMean(q.by, f.everyone()))}
	}
	return nil
}

func (f *folder) everyone() []string {
	var ids []string
	for _, s := range f.register.All() {
		ids = append(ids, s.ID)
	}
	return ids
}

func (f *folder) answer(out io.Writer, q question) error {
	e, _ := f.rules.Explain(q.asked(), f.everyone())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, f.headline(q, isTerminal(out)))
	fmt.Fprintln(w, "\nTold:")
	for _, m := range e.Told {
		s, _ := f.register.Lookup(m.Recipient)
		fmt.Fprintf(w, "  %s\t%s\t%s\n", m.Recipient, ways(s, f.hub.Kinds[q.kind].FallbackAfter)+f.quietly(s, q), m.Rule)
	}
	if len(e.Told) == 0 {
		fmt.Fprintln(w, "  nobody; the event is stored and the alarm recipients are told")
	}
	for _, m := range e.Told {
		if m.Ask != nil {
			fmt.Fprintf(w, "\nIf nobody at %s answers within %s: %s (%s)\n", m.Recipient, short(m.Ask.Within), strings.Join(append(slices.Clone(m.Ask.Else), "then the alarm recipients"), ", "), m.Rule)
		}
	}
	fmt.Fprintln(w, "\nNot told:")
	for _, n := range e.NotTold {
		fmt.Fprintf(w, "  %s\t%s\n", n.ID, n.Why)
	}
	fmt.Fprintf(w, "\nIf somebody is not told within %s: %s (%s)\n", short(f.hub.Kinds[q.kind].AlarmAfter),
		strings.Join(f.hub.Alarms.Notify.Values(), ", "), f.hub.Alarms.Notify[0].Short())
	return w.Flush()
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
	return line
}

// ways says how somebody is told: "webhook, then email (link) after 5m".
func ways(s subscribers.Subscriber, fallback time.Duration) string {
	if len(s.Channels) == 0 {
		return "by phone only"
	}
	words := make([]string, len(s.Channels))
	for i, c := range s.Channels {
		words[i] = c.Key
		if c.Content != "" {
			words[i] += " (" + string(c.Content) + ")"
		}
		if i > 0 {
			words[i] = "then " + words[i] + " after " + short(fallback)
		}
	}
	return strings.Join(words, ", ")
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
