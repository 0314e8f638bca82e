package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
	"carehub/routing/compare"
)

// formatMarkdown is for a comment on a review.
const formatMarkdown = "markdown"

// routesDiffCommand is carehub routes diff: what a change of the rules means, for whom.
func routesDiffCommand() *cobra.Command {
	var format string
	var accepted []string
	cmd := &cobra.Command{
		Use:   "diff A B | diff REVISION [REVISION] -- DIR",
		Short: "Show by meaning what differs between two configuration folders, or two revisions of one",
		Long: "Diff shows for whom somebody is told who was not, or is not who was, of which events, whatever the files look like. Each side\n" +
			"is a folder, or one in a git revision: HEAD~1:care is the folder care in the commit before. With -- DIR both sides are DIR, in the\n" +
			"revisions that are named, the second of which is the working tree unless it is given. Of private files only the ids of carers are\n" +
			"read, and nobody is named but by id and, of organisations, by name.\n\n" +
			"Exit status: 1 when events reach nobody any more, or what is mandatory is lost, and it is not accepted by name; 2 when the\n" +
			"sides cannot be compared.",
		Example: "  carehub routes diff HEAD~1:care care\n  carehub routes diff --format markdown --accept p-7f3k/admission origin/main -- care",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := diffOf(cmd.Context(), args, cmd.ArgsLenAtDash(), accepted)
			if err != nil {
				return incomparableAs(cmd.OutOrStdout(), format, err)
			}
			return printDifference(cmd, report, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", formatText, "how to print: text, markdown or json")
	cmd.Flags().StringArrayVar(&accepted, "accept", nil, "what may be lost, as p-7f3k/admission, or p-7f3k for every kind; can be repeated")
	return cmd
}

func printDifference(cmd *cobra.Command, report compare.Report, format string) error {
	out := cmd.OutOrStdout()
	switch format {
	case formatText:
		report.Text(out)
	case formatMarkdown:
		report.Markdown(out)
	case formatJSON:
		if err := indented(out, report); err != nil {
			return err
		}
	default:
		return misused("--format takes text, markdown and json")
	}
	if report.Refused {
		return exitError{code: 1}
	}
	return nil
}

// diffOf compares what the arguments name. dash is how many of them stand before --, -1 if there is none.
func diffOf(ctx context.Context, args []string, dash int, accepted []string) (none compare.Report, err error) {
	sides, err := sidesOf(args, dash)
	if err != nil {
		return none, err
	}
	for _, name := range accepted {
		if patient, kind, one := strings.Cut(name, "/"); !events.ValidPatient(patient) || one && !events.Kind(kind).Known() {
			return none, misused("--accept takes a patient and a kind, such as p-7f3k/admission, or a patient")
		}
	}
	both := make([]rulings, len(sides))
	for i, s := range sides {
		if both[i], err = s.load(ctx, loadOptions{noPrivate: true}); err != nil {
			return none, err
		}
	}
	return difference(both[0], both[1], accepted), nil
}

// difference compares two folders.
func difference(old, now rulings, accepted []string) compare.Report {
	around := old.around(now)
	return compare.Pair{Old: old, New: now, Accepted: accepted,
		Same:      func(patient string) bool { return around && old.rules.Same(now.rules, patient) },
		Occasions: func(patient string) []routing.Occasion { return occasions(patient, old, now) },
	}.Diff()
}

// occasions stand for all circumstances in which the rules of either folder differ for a patient: now, and after the end of each
// rule that has one.
func occasions(patient string, old, now rulings) []routing.Occasion {
	all := now.rules.Occasions(patient, now.now, old.rules)
	for _, day := range now.rules.LastDays(patient, now.now, old.rules) {
		last, err := time.ParseInLocation(time.DateOnly, day, now.hub.Location)
		if err != nil {
			continue // it was read as a date
		}
		for _, o := range now.rules.Occasions(patient, last.AddDate(0, 0, 1), old.rules) {
			o.Hours = strings.TrimSuffix("after "+day+", "+o.Hours, ", ")
			o.Name = strings.TrimSuffix("after "+day+", "+o.Name, ", ")
			all = append(all, o)
		}
	}
	if len(all) > 1 && all[0].Name == "" {
		all[0].Name = "now"
	}
	return all
}

// side is one side of a comparison: a folder on disk or, with a revision, one in a git repository.
type side struct{ name, revision, dir string }

// sidesOf reads the arguments of diff.
func sidesOf(args []string, dash int) ([]side, error) {
	switch {
	case dash < 0 && len(args) == 2:
		var sides []side
		for _, arg := range args {
			s, err := sideOf(arg)
			if err != nil {
				return nil, err
			}
			sides = append(sides, s)
		}
		return sides, nil
	case (dash == 1 || dash == 2) && len(args) == dash+1:
		dir := args[dash]
		var sides []side
		for _, revision := range args[:dash] {
			sides = append(sides, side{name: revision + ":" + dir, revision: revision + ":./", dir: dir})
		}
		if dash == 1 {
			sides = append(sides, side{name: dir, dir: dir})
		}
		return sides, nil
	}
	return nil, misused("diff takes two folders, or one or two git revisions, -- and a folder")
}

// sideOf reads one argument: a folder, or one in a git revision.
func sideOf(arg string) (side, error) {
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return side{name: arg, dir: arg}, nil
	}
	if strings.Contains(arg, ":") {
		return side{name: arg, revision: arg, dir: "."}, nil
	}
	return side{}, misused(arg + " is no folder; one in a git revision is REVISION:FOLDER")
}

// load reads the rules of a side, without secrets and, if the options say so, private files.
func (s side) load(ctx context.Context, opt loadOptions) (rulings, error) {
	dir := s.dir
	if s.revision != "" {
		made, err := os.MkdirTemp("", "carehub-diff-")
		if err != nil {
			return rulings{}, err
		}
		defer os.RemoveAll(made)
		if err := checkout(ctx, s.dir, s.revision, made); err != nil {
			return rulings{}, exitError{2, fmt.Sprintf("%s: %v", s.name, err)}
		}
		dir = made
	}
	opt.noSecrets, opt.types = true, channelTypes
	f, problems := loadFolder(dir, opt)
	if problems.Unfit() {
		return rulings{}, incomparable{s.name, slices.DeleteFunc(problems, func(p strict.Problem) bool { return p.Warning || p.Gap })}
	}
	return rulings{f, time.Now().In(f.hub.Location)}, nil
}
