package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/forget"
	"carehub/events/stream"
)

// forgetFlags are how carehub forget was asked.
type forgetFlags struct {
	dir       string
	yes, wait bool
	within    time.Duration
}

func forgetCommand() *cobra.Command {
	var flags forgetFlags
	cmd := &cobra.Command{
		Use: "forget PATIENT", Short: "Erase a patient from the store, for good",
		Long: "Erase everything that the store holds of a patient who is not in the configuration any more: events, messages, receipts, answers, what was held or came back, the\n" +
			"delivery log. It works whether or not the hub is running, and goes on by itself after a crash. It says first what will go, and\n" +
			"asks for the id to be typed. From then on nothing of the patient is found or taken in; an old id answers 410 Gone.\n\n" +
			"While somebody is still to be told of an event it refuses; with --wait nothing more is taken in at once, and the rest is erased\n" +
			"when nobody waits any more, after three days at the latest.\n\n" +
			"It does not reach what others were sent, the files of the configuration, logs, or backups: those are yours to expire.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !events.ValidPatient(args[0]) {
				return exitError{1, "that is not a patient's id: carehub patients find"}
			}
			f, err := loadInForce(cmd, flags.dir)
			if err != nil {
				return err
			}
			return forgetPatient(cmd, f, args[0], flags)
		},
	}
	cmd.Flags().StringVar(&flags.dir, "dir", ".", "configuration folder")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&flags.wait, "wait", false, "also while somebody is still to be told: erase when nobody is any more")
	cmd.Flags().DurationVar(&flags.within, "timeout", time.Minute, "how long to wait for the hub to be done")
	return cmd
}

func forgetPatient(cmd *cobra.Command, f *folder, patient string, flags forgetFlags) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	found, err := survey(ctx, f, patient)
	if err != nil {
		return err
	}
	found.Named = found.Named || f.mentions(patient) || f.broken != nil && onDisk(flags.dir, patient) // the hub may have read less, or more
	if found.Erasure == nil && found.Named {
		return exitError{1, "nothing was erased: take " + patient + " out of patients.yaml and delete routing/" + patient + ".yaml, have the hub read that, and forget then"}
	}
	if found.Erasure == nil {
		found.print(out, patient)
		if f.broken != nil {
			fmt.Fprintln(out, "  the copy of what is in force goes too: until the folder is put right, the hub cannot be restarted")
		}
		if len(found.Waiting) > 0 && !flags.wait {
			return exitError{1, "nothing was erased: somebody is still to be told. Try later, or with --wait"}
		}
		if err := confirmErasure(cmd, patient, flags.yes); err != nil {
			return err
		}
	}
	mark, err := beginForgetting(ctx, f, patient, flags.within)
	if err != nil {
		return err
	}
	if mark.Done.IsZero() {
		fmt.Fprintf(out, "begun as erasure %s; the hub goes on with it by itself. Ask again: carehub forget %s\n", mark.ID, patient)
		return nil
	}
	fmt.Fprintf(out, "erased from the store on %s, as erasure %s\n", mark.Done.Format(time.DateTime+"Z"), mark.ID)
	remindOfBackups(out)
	return nil
}

// remindOfBackups says what the store knows nothing of.
func remindOfBackups(w io.Writer) {
	fmt.Fprintln(w, "backups and logs from before still hold the patient: let them expire, and forget again after a restore of one")
}

// confirmErasure has the id typed.
func confirmErasure(cmd *cobra.Command, patient string, yes bool) error {
	if yes {
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\nThis cannot be undone. Type %s to erase it: ", patient)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != patient {
		return exitError{1, "nothing was erased"}
	}
	return nil
}

// forgetSurvey is what there is to erase.
type forgetSurvey struct {
	Events  int             `json:"events"`
	Named   bool            `json:"named"`   // by the configuration that the hub runs with, or would
	Waiting []string        `json:"waiting"` // what still has to happen before
	Subs    []string        `json:"subscriptions"`
	Erasure *forget.Erasure `json:"erasure"` // that was begun already
}

func (s forgetSurvey) print(w io.Writer, patient string) {
	fmt.Fprintf(w, "%s: %s, with their messages, receipts, answers and delivery log\n", patient, count(s.Events, "event"))
	for _, line := range s.Waiting {
		fmt.Fprintf(w, "  waits: %s\n", line)
	}
	for _, id := range s.Subs {
		fmt.Fprintf(w, "  stays: Subscription %s names the patient; it is its provider's own to change\n", id)
	}
}

func survey(ctx context.Context, f *folder, patient string) (found forgetSurvey, err error) {
	err = withStore(ctx, f, func(ctx context.Context, s *stream.Store) error {
		h := newHub(f, slog.New(slog.DiscardHandler))
		h.store = s
		if err := h.openForgetting(ctx); err != nil {
			return err
		}
		found, err = h.survey(ctx, patient)
		return err
	}, func(ctx context.Context, store string) error {
		return askAdmin(ctx, store, http.MethodGet, "/forget/"+patient, nil, &found)
	})
	return found, err
}

// loginName is whose shell a command runs in.
func loginName() string {
	if who, err := user.Current(); err == nil {
		return who.Username
	}
	return "unknown"
}

// beginForgetting begins, and returns how far it has come when it is done or the time is over.
func beginForgetting(ctx context.Context, f *folder, patient string, within time.Duration) (mark forget.Erasure, err error) {
	by := loginName()
	err = withStore(ctx, f, func(ctx context.Context, s *stream.Store) error {
		mark, err = forgetAlone(ctx, f, s, patient, by, within)
		return err
	}, func(ctx context.Context, store string) error {
		if err := askAdmin(ctx, store, http.MethodPost, "/forget/"+patient, by, &mark); err != nil {
			return err
		}
		return await410(ctx, within, &mark, func(ctx context.Context) error {
			return askAdmin(ctx, store, http.MethodPost, "/forget/"+patient, by, &mark)
		})
	})
	return mark, err
}

// await410 asks until an erasure is done, or the time is over.
func await410(ctx context.Context, within time.Duration, mark *forget.Erasure, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for mark.Done.IsZero() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		if err := ask(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
