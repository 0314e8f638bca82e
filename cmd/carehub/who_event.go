package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"carehub/events"
)

// whoWasTold shows who was told of a past event, by the rules of that moment, and whether today's would say otherwise.
func whoWasTold(cmd *cobra.Command, dir, id string) error {
	if !events.ValidID(id) {
		return misused("--event takes the id of an event, as carehub log printed it")
	}
	f, err := loadInForce(cmd, dir)
	if err != nil {
		return err
	}
	return withPast(cmd.Context(), f, func(ctx context.Context, p past) error {
		e, err := p.find(ctx, id)
		if events.KindOf(err) == events.NotFound {
			return exitError{1, "there is no event with this id"}
		}
		if err != nil {
			return err
		}
		return f.account(cmd.OutOrStdout(), e)
	})
}

// account writes what was to become of a past event, and what did.
func (f *folder) account(out io.Writer, past pastEvent) error {
	e, plan := past.Record.Event, past.Record.Plan
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	s := sheet{w: w, plan: plan, alarms: f.alarms(), times: &times{e.Recorded.In(f.hub.Location)}, outcomes: past.Outcomes, heard: past.Heard}
	if s.outcomes == nil {
		s.outcomes = []events.Outcome{}
	}
	q := question{patient: e.Patient, kind: e.Kind, because: e.Because, by: e.By.ID, class: e.Class}
	fmt.Fprintf(w, "%s\n%s, at %s\n", e.ID, f.headline(q, isTerminal(out)), s.times.whole())
	for _, flag := range e.Flags {
		fmt.Fprintf(w, "marked %s\n", flag)
	}
	s.told()
	s.escalation()
	switch same := plan.Rules == f.hash(); {
	case plan.About != nil:
		fmt.Fprintf(w, "\nThis is an alarm (%s), which no rule sends.\n", plan.About.Reason)
	case e.Corrects != "":
		fmt.Fprintf(w, "\nThis corrects %s, and went to whoever was told of that.\n", e.Corrects)
	case same:
		x, _ := f.rules.Explain(askedOf(&e), f.everyone())
		s.notTold(x.NotTold)
		fmt.Fprintf(w, "\nThe rules were those of today (%s).\n", hashed(plan.Rules))
	default:
		fmt.Fprintf(w, "\nThe rules were others than today's (%s, now %s), and why somebody else was not told is not kept.\n", hashed(plan.Rules), hashed(f.hash()))
	}
	if plan.About == nil && e.Corrects == "" {
		f.otherwise(w, past)
	}
	return w.Flush()
}

// otherwise remarks on what today's rules would do differently.
func (f *folder) otherwise(w io.Writer, past pastEvent) {
	today := rulings{f, f.today()}.Plan(past.Record.Event)
	then := past.Record.Plan
	var lines []string
	for _, r := range then.Recipients {
		if _, still := sameRow(today, r); !still && (r.For == "" || !tells(today, r.For)) {
			lines = append(lines, fmt.Sprintf("  - %s\t%s\twas told by %s", r.ID, stepWord(r), r.Rule))
		}
	}
	for _, r := range today.Recipients {
		if _, before := sameRow(then, r); !before && !tells(then, r.ID) {
			lines = append(lines, fmt.Sprintf("  + %s\t%s\tby %s", r.ID, stepWord(r), r.Rule))
		}
	}
	if len(lines) == 0 {
		fmt.Fprintln(w, "Today the same people would be told.")
		return
	}
	fmt.Fprintln(w, "\nToday's folder would say otherwise:")
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

// sameRow is the row of a plan for whom another plan's row is for, told at the same turn.
func sameRow(plan events.Plan, as events.Recipient) (events.Recipient, bool) {
	i := slices.IndexFunc(plan.Recipients, func(r events.Recipient) bool { return r.ID == as.ID && r.Step == as.Step })
	if i < 0 {
		return events.Recipient{}, false
	}
	return plan.Recipients[i], true
}

// tells reports whether a plan tells somebody at once, by whatever row.
func tells(plan events.Plan, id string) bool {
	return slices.ContainsFunc(plan.Recipients, func(r events.Recipient) bool { return r.Is(id) && !r.Step })
}

func stepWord(r events.Recipient) string {
	if r.Step {
		return "if others do not answer"
	}
	return "at once"
}

// hashed is as much of a hash as people compare.
func hashed(hash string) string { return hash[:min(len(hash), 12)] }
