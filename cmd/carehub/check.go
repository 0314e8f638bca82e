package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

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
	if !noSecrets {
		warnOfInboxes(cmd.Context(), cmd.OutOrStdout(), f)
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

// warnOfInboxes says what only a store can tell: who has an inbox that gets nothing about a patient, for nobody has verified
// it. Where the store cannot be asked it says that.
func warnOfInboxes(ctx context.Context, w io.Writer, f *folder) {
	hasInbox := map[string]bool{} // of those whom the rules name
	named := f.named()
	for _, s := range f.register.All() {
		if named[s.ID] && f.hasInbox(s.ID, "email") == nil {
			hasInbox[s.ID] = true
		}
	}
	if len(hasInbox) == 0 {
		return
	}
	verified, err := verifiedInboxes(ctx, f)
	if err != nil {
		fmt.Fprintln(w, "warning: it is not known here whose email address is verified: carehub subscriber list")
		return
	}
	var silent []string
	for _, id := range slices.Sorted(maps.Keys(hasInbox)) {
		if !verified[id] {
			silent = append(silent, id)
		}
	}
	if len(silent) > 0 {
		fmt.Fprintf(w, "warning: nothing about a patient is sent to the email address of %s before it is verified: carehub subscriber verify ID\n",
			strings.Join(silent, ", "))
	}
}

// verifiedInboxes are the subscribers all of whose inboxes are verified, as a running hub or the store says. A store that
// belongs to somebody else is not opened, for that would leave files that they cannot write; one on a NATS server neither,
// for checking a folder is no reason to sign in there.
func verifiedInboxes(ctx context.Context, f *folder) (map[string]bool, error) {
	verified := map[string]bool{}
	if f.hub.NATS != nil {
		return nil, errors.ErrUnsupported
	}
	info, err := os.Stat(f.hub.Store)
	if errors.Is(err, os.ErrNotExist) {
		return verified, nil // a hub that has never run
	}
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return nil, os.ErrPermission
	}
	all, err := listInboxes(ctx, f)
	for _, s := range all {
		known, seen := verified[s.Subscriber]
		verified[s.Subscriber] = s.Verified && (known || !seen)
	}
	return verified, err
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
