package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"carehub/config/strict"
)

// exitError ends the program with a status. An empty msg says that everything has been said.
type exitError struct {
	code int
	msg  string
}

func (e exitError) Error() string { return e.msg }

// checkCommand is carehub check: everything wrong with a folder, in one run.
func checkCommand() *cobra.Command {
	var noSecrets bool
	var format string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check a configuration folder",
		Long: "Check reads a whole configuration folder and prints everything that is wrong with it as\n" +
			"file:line:column: what is wrong. It exits with status 1 if there is more than warnings.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return check(cmd, dir, format, noSecrets)
		},
	}
	cmd.Flags().BoolVar(&noSecrets, "no-secrets", false,
		"check where secrets, patients.yaml and carers.yaml are not, as in CI")
	cmd.Flags().StringVar(&format, "format", formatText, "how to print: text, json, github or sarif")
	return cmd
}

func check(cmd *cobra.Command, dir, format string, noSecrets bool) error {
	f, problems := loadFolder(dir, loadOptions{noSecrets: noSecrets, types: channelTypes})
	if !problems.Unfit() {
		_, more := f.cases(&strict.Folder{Dir: dir, NoSecrets: noSecrets})
		problems = append(problems, more...)
		if !noSecrets {
			problems = append(problems, f.unheard(cmd.Context())...)
		}
	}
	if err := printFindings(cmd.OutOrStdout(), dir, format, problems); err != nil {
		return err
	}
	if problems.Failed() {
		return exitError{code: 1}
	}
	if format != formatText {
		return nil // what follows is for people
	}
	carers := 0
	for _, s := range f.register.All() {
		if s.Carer {
			carers++
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ok: %s, %s, %s\n", count(len(f.register.All())-carers, "subscriber"), count(carers, "carer"),
		count(len(f.rules.Patients()), "patient"))
	return nil
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
