package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"carehub/config"
	"carehub/config/strict"
)

func patientsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "patients", Short: "Look into the register of patients"}
	cmd.AddCommand(patientsFindCommand())
	return cmd
}

func patientsFindCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "find [TEXT]", Short: "Find the pseudonym of a patient by name, alias or NHS number",
		Long: "Find the pseudonyms of the patients whose name or alias has words that begin as those of TEXT do, or whose NHS number is TEXT.\n" +
			"On a terminal initials and year of birth stand beside each, and nothing else; elsewhere there are only the pseudonyms. Without\n" +
			"TEXT a line is read from the standard input, so that no name gets into the history of a shell. Exit status 1 if nobody is found.",
		Example: "  carehub patients find thomas",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := wanted(cmd, args)
			if err != nil {
				return err
			}
			return findPatients(cmd, dir, text)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder")
	return cmd
}

// wanted is what is looked for: the argument, or a line that is asked for.
func wanted(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if isTerminal(cmd.OutOrStdout()) {
		fmt.Fprint(cmd.ErrOrStderr(), "Name, alias or NHS number: ")
	}
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.Join(errors.New("nothing to look for"), ignoreEOF(err))
	}
	return line, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func findPatients(cmd *cobra.Command, dir, text string) error {
	f, problems := loadFolder(dir, loadOptions{noSecrets: true, types: channelTypes})
	if problems.Unfit() {
		var err error
		if f, err = instead(cmd, dir, unfit{problems}); err != nil {
			return err
		}
	}
	if f.patients == nil {
		return exitError{1, config.PatientsFile + " is not here, so nobody can be found"}
	}
	warnOfModes(cmd.ErrOrStderr(), dir, f.hub)
	terminal := isTerminal(cmd.OutOrStdout())
	found := f.find(text)
	for _, id := range found {
		line := id
		if terminal {
			line += "  " + f.patients[id].Hint()
		}
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	if len(found) == 0 {
		return exitError{1, "nobody is found"} // what was looked for is not repeated: it is a name
	}
	return nil
}

// warnOfModes says which private files others may read: whoever looks a patient up is who can mend it.
func warnOfModes(w io.Writer, dir string, hub *config.Hub) {
	source := &strict.Folder{Dir: dir, GroupReads: hub.GroupReads}
	for _, name := range privateFiles {
		source.CheckMode(name)
	}
	for _, p := range source.Problems() {
		fmt.Fprintf(w, "warning: %s: %s\n", p.File, p.Message)
	}
}

// find returns the patients whom text may mean, by their ids.
func (f *folder) find(text string) []string {
	number := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, text)
	words := foldWords(text)
	hits := map[string]bool{}
	for id, p := range f.patients {
		hits[id] = p.NHSNumber != "" && p.NHSNumber == number || haveWords(p.Name, words)
	}
	for _, s := range f.register.All() {
		for _, alias := range f.rules.Aliases(s.ID) {
			if id, known := f.rules.Resolve(s.ID, alias); known && haveWords(alias, words) {
				hits[id] = true
			}
		}
	}
	var found []string
	for id, hit := range hits {
		if hit {
			found = append(found, id)
		}
	}
	slices.SortFunc(found, cmp.Compare)
	return found
}

// haveWords reports whether each of the words begins one of the name's, in any order.
func haveWords(name string, words []string) bool {
	of := foldWords(name)
	for _, w := range words {
		if !slices.ContainsFunc(of, func(have string) bool { return strings.HasPrefix(have, w) }) {
			return false
		}
	}
	return len(words) > 0
}

func foldWords(text string) (all []string) {
	for _, w := range strings.Fields(text) {
		if w = fold(w); w != "" {
			all = append(all, w)
		}
	}
	return all
}
