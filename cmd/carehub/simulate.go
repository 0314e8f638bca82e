package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/routing/compare"
)

// simulateCommand is carehub simulate: what other rules would have made of past events.
func simulateCommand() *cobra.Command {
	var dir, config, since, format string
	var top int
	cmd := &cobra.Command{
		Use:   "simulate --config NEW",
		Short: "Put past events through other rules: who would gain and lose, and how many messages a day",
		Long: "Simulate puts the events that a hub has taken in through the rules of another folder, and compares who was told with who would\n" +
			"have been. Nothing is sent or stored. It works whether or not the hub is running. Events are taken as they came, so by the times at\n" +
			"which they came; corrections, alarms and test events are left out.",
		Example: "  carehub simulate --since 30d --config ../new\n  carehub simulate --since 2026-11-01 --config origin/new-rules:care --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != formatText && format != formatJSON {
				return misused("--format takes text and json")
			}
			s, err := simulate(cmd, dir, config, since)
			if err != nil {
				return incomparableAs(cmd.OutOrStdout(), format, err)
			}
			if format == formatJSON {
				return indented(cmd.OutOrStdout(), s)
			}
			s.Text(cmd.OutOrStdout(), top)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder of the hub whose events they are")
	cmd.Flags().StringVar(&config, "config", "", "configuration folder with the other rules, or one in a git revision (REVISION:FOLDER)")
	cmd.Flags().StringVar(&since, "since", "30d", "how far to go back: days (30d), hours (12h) or a date (2026-11-01)")
	cmd.Flags().IntVar(&top, "top", 20, "of how many recipients to show the messages a day")
	cmd.Flags().StringVar(&format, "format", formatText, "how to print: text or json")
	return cmd
}

func simulate(cmd *cobra.Command, dir, config, since string) (none compare.Simulation, err error) {
	if config == "" {
		return none, misused("say which rules to try: --config NEW")
	}
	ctx := cmd.Context()
	f, err := loadInForce(cmd, dir)
	if err != nil {
		return none, err
	}
	other, err := sideOf(config)
	if err != nil {
		return none, err
	}
	rules, err := other.load(ctx, loadOptions{}) // like the hub's own folder with its private files, where they are
	if err != nil {
		return none, err
	}
	tally := &compare.Tally{Until: f.today(), Label: rules.label}
	if tally.Since, err = sinceOf(since, tally.Until); err != nil {
		return none, err
	}
	err = withPast(ctx, f, func(ctx context.Context, p past) error {
		return p.each(ctx, tally.Since, func(rec events.Record) error {
			put(tally, rec, rules)
			return nil
		})
	})
	return tally.Simulation(), err
}

// put counts a past event, and what other rules would make of it.
func put(tally *compare.Tally, rec events.Record, rules rulings) {
	switch e := rec.Event; {
	case e.Kind == events.Alarm: // no rule sends it
	case e.Corrects != "":
		tally.Leave("for they correct others, and go to whoever was told of those")
	case e.Test:
		tally.Leave("for they are tests")
	default:
		tally.Add(e, toldBy(rec.Plan), toldBy(rules.Plan(e)))
	}
}

// toldBy are whom a plan tells at once, each once, by whatever row.
func toldBy(plan events.Plan) (ids []string) {
	for _, r := range plan.Recipients {
		id := r.ID
		if r.For != "" {
			id = r.For
		}
		if !r.Step && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// sinceOf reads how far to go back from now: 30d, 12h or 2026-11-01.
func sinceOf(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if length, err := time.ParseDuration(text); err == nil && length > 0 {
		return now.Add(-length), nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil && day.Before(now) {
		return day, nil
	}
	return now, misused("--since takes days (30d), hours (12h) or a date that is past (2026-11-01)")
}
