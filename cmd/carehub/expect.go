package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/routing/cases"
	"carehub/subscribers"
)

func routesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "routes", Short: "Test the rules, and compare them by meaning"}
	cmd.AddCommand(routesTestCommand(), routesDiffCommand())
	return cmd
}

// routesTestCommand is carehub routes test: whether the rules do what the cases beside them expect.
func routesTestCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Check that the rules do what the cases in " + cases.Folder + " expect",
		Long: "Test asks the rules of a configuration folder about each case in " + cases.Folder + "/*.yaml and shows what is not as expected.\n" +
			"It looks at no secrets, and takes of the private files, where they are, only the ids of carers. Exit status: 1 if a case fails, or\n" +
			"the folder cannot be used.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return routesTest(cmd, folderOf(args), format) },
	}
	cmd.Flags().StringVar(&format, "format", formatText, "how to print: text, json or github")
	return cmd
}

func routesTest(cmd *cobra.Command, dir, format string) error {
	if !slices.Contains([]string{formatText, formatJSON, formatGitHub}, format) {
		return misused("--format takes text, json and github")
	}
	f, problems := loadFolder(dir, loadOptions{noSecrets: true, noPrivate: true, types: channelTypes})
	if problems.Unfit() {
		return untestable(cmd.OutOrStdout(), dir, format, problems)
	}
	all, problems := f.cases(&strict.Folder{Dir: dir, NoSecrets: true})
	if problems.Failed() {
		return untestable(cmd.OutOrStdout(), dir, format, problems)
	}
	failed := f.expected(all)
	if err := printFailures(cmd.OutOrStdout(), dir, format, len(all), failed); err != nil || len(failed) == 0 {
		return err
	}
	return exitError{code: 1}
}

// untestable says why no case was tried, in the format that was asked for.
func untestable(w io.Writer, dir, format string, problems strict.Problems) error {
	problems = slices.DeleteFunc(problems, func(p strict.Problem) bool { return p.Warning })
	switch format {
	case formatJSON:
		if err := printFailuresJSON(w, 0, nil, problems); err != nil {
			return err
		}
	case formatGitHub:
		if err := printFindings(w, dir, format, problems); err != nil {
			return err
		}
	}
	return exitError{1, problems.Error()}
}

// cases reads the cases of the files that the folder was read from, or of the same ones. Without the private files a carer is whom
// the rules name. The problems are those of the cases alone.
func (f *folder) cases(source *strict.Folder) ([]cases.Case, strict.Problems) {
	ids := map[string]bool{}
	for _, id := range f.everyone() {
		ids[id] = true
	}
	if source.NoSecrets {
		maps.Copy(ids, f.rules.Named())
	}
	all := cases.Load(source, cases.Known{Patients: f.rules.Patients(), IDs: slices.Sorted(maps.Keys(ids)), Zone: f.hub.Location,
		NoCarers: !f.onlyIDs && !source.Has(subscribers.CarersFile)})
	if source.Has(cases.Folder) {
		f.private().searchAll(source, source.List(cases.Folder))
	}
	return all, slices.DeleteFunc(source.Problems(), func(p strict.Problem) bool { return !strings.HasPrefix(p.File, cases.Folder+"/") })
}

// expected returns which of the cases the rules of the folder do not meet.
func (f *folder) expected(all []cases.Case) []cases.Failure {
	return cases.Run(all, rulings{f, time.Now().In(f.hub.Location)})
}

// errUnmet is the error of rules that do not do what the cases beside them expect.
var errUnmet = errors.New("the rules do not do what the test cases expect")

// testRules runs the cases of a folder that was read. Rules that do not meet them, or cases that cannot be read, are
// an error that says where. What is expected of patients who are restricted or have died is a warning of the folder: no case may
// hold up what keeps carers out.
func testRules(f *folder, read *strict.Folder) error {
	all, problems := f.cases(&strict.Folder{Dir: read.Dir, Snapshot: read.Snapshot})
	if problems.Unfit() {
		return problems
	}
	hub := rulings{f, time.Now().In(f.hub.Location)}
	for _, e := range f.expected(cases.Without(all, hub, func(patient string) bool { return !f.excepted(patient) })) {
		f.problems = append(f.problems, strict.Problem{Code: strict.Restricted, Pos: e.Pos, Warning: true,
			Message: e.Case + ": not as expected, of a patient who is restricted or has died: " + e.Event})
	}
	failed := f.expected(cases.Without(all, hub, f.excepted))
	if len(failed) == 0 {
		return nil
	}
	var text strings.Builder
	_ = printFailures(&text, read.Dir, formatText, len(all), failed)
	return fmt.Errorf("%w:\n%s", errUnmet, strings.TrimSuffix(text.String(), "\n"))
}

// excepted reports whether patients.yaml wins over the rules of a patient.
func (f *folder) excepted(patient string) bool {
	p := f.patients[patient]
	return p.Restricted || p.Deceased != ""
}

// printFailures writes which cases fail for a person, a program or GitHub's annotations.
func printFailures(w io.Writer, dir, format string, ran int, failed []cases.Failure) error {
	switch format {
	case formatJSON:
		return printFailuresJSON(w, ran, failed, nil)
	case formatGitHub:
		for _, f := range failed {
			fmt.Fprintf(w, "::error file=%s,line=%d,col=%d,title=%s::%s\n", property.Replace(fromHere(dir, f.File)), f.Line, f.Column,
				property.Replace(f.Case), annotation.Replace(f.Event+"\n"+deviations(f)))
		}
		return nil
	}
	places := map[strict.Pos]bool{}
	for _, f := range failed {
		if !places[f.Pos] {
			fmt.Fprintf(w, "%s: %s\n", f.Pos, f.Case)
		}
		places[f.Pos] = true
		fmt.Fprintf(w, "  %s\n    %s\n", f.Event, strings.ReplaceAll(deviations(f), "\n", "\n    "))
	}
	if len(failed) == 0 {
		fmt.Fprintf(w, "ok: %s\n", count(ran, "case"))
		return nil
	}
	fmt.Fprintf(w, "%d of %s failed\n", len(places), count(ran, "case"))
	return nil
}

// printFailuresJSON also writes the problems for which nothing was run, if there are.
func printFailuresJSON(w io.Writer, ran int, failed []cases.Failure, problems strict.Problems) error {
	type failure struct {
		File     string            `json:"file"`
		Line     int               `json:"line"`
		Column   int               `json:"column"`
		Case     string            `json:"case"`
		Event    string            `json:"event"`
		Problems []cases.Deviation `json:"problems"`
	}
	all := make([]failure, len(failed))
	for i, f := range failed {
		all[i] = failure{f.File, f.Line, f.Column, f.Case, f.Event, f.Problems}
	}
	return indented(w, struct {
		Cases    int       `json:"cases"`
		Failures []failure `json:"failures"`
		Problems []written `json:"problems,omitempty"`
	}{ran, all, findings(problems)})
}

// deviations are what is not as a case expects, a line for each.
func deviations(f cases.Failure) string {
	lines := make([]string, len(f.Problems))
	for i, d := range f.Problems {
		switch d.What {
		case cases.Missing:
			lines[i] = "- " + d.ID + " is not told: " + d.Why
		case cases.Unexpected:
			lines[i] = "+ " + d.ID + " is told"
		case cases.Channel:
			lines[i] = "~ " + d.ID + " " + d.Why
		default:
			lines[i] = "~ " + d.Why
		}
		if d.Rule != "" {
			lines[i] += " [" + d.Rule + "]"
		}
	}
	return strings.Join(lines, "\n")
}
