package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/intake"
)

// logFlags are those of carehub log.
type logFlags struct {
	hubFlags
	words, key  string
	yes, noWait bool
}

// logCommand is carehub log: one event, from a carer's words to the receipts.
func logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log WHO WHAT [WHERE] [WHEN]",
		Short: "Log that something happened, and see who has been told",
		Long: "Log tells the hub that something happened to somebody. It shows what the hub understood and who will be\n" +
			"told, asks, saves, and then shows the receipts as they come.\n\n" +
			"Exit status: 0 saved, 1 NOT saved, 2 wrong use.",
		Example: `  carehub log dad admitted at "Riverside Hospital" 20m ago` + "\n" +
			`  carehub log dad fell and was admitted --words "He is awake."` + "\n" +
			`  carehub log dad came home --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused(`say what happened, such as: carehub log dad admitted`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, sentence(args)) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for receipts")
	cmd.Flags().StringVar(&f.words, "words", "", "what else to tell, in your own words")
	cmd.Flags().StringVar(&f.key, "key", "", "idempotency key, to repeat a log that may not have been saved (default: a new one)")
	return cmd
}

// sentence is the arguments as one sentence. What the shell held together by quotes is quoted again.
func sentence(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	var words []string
	for _, a := range args {
		if strings.ContainsAny(a, " \t") {
			a = `"` + a + `"`
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

func (f *logFlags) run(cmd *cobra.Command, text string) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	ask := bufio.NewReader(cmd.InOrStdin())
	if !f.yes && !interactive(cmd.InOrStdin()) {
		return misused("there is nobody to ask here: add --yes to save without being asked. Nothing was saved.")
	}
	r := logRequest{Text: text, Words: f.words, Key: cmp.Or(f.key, rand.Text())}
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := confirm(ctx, c, out, ask, r, f.yes); err != nil {
		return err
	}
	saved, err := c.save(ctx, out, r)
	if err != nil || f.noWait {
		return err
	}
	if err := c.watch(ctx, out, saved.ID); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "The event is saved. Its receipts cannot be shown just now:", err)
	}
	return nil
}

// interactive reports whether somebody can answer.
func interactive(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// fresh is how long an answer may take: after that "20m ago" is no longer what was shown.
const fresh = time.Minute

// confirm shows what would happen and asks, unless the answer was given beforehand.
func confirm(ctx context.Context, c client, out io.Writer, in *bufio.Reader, r logRequest, yes bool) error {
	for {
		shown := time.Now()
		p, err := c.preview(ctx, r)
		if err != nil {
			return notSaved(err, "")
		}
		printPreview(out, p)
		if yes {
			return nil
		}
		fmt.Fprint(out, "Save this? [y/N] ")
		answer, _ := in.ReadString('\n') // the end of input is a no
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
		default:
			return exitError{1, "NOT SAVED, as you said."}
		}
		if time.Since(shown) < fresh {
			return nil
		}
		fmt.Fprintln(out, "That was a while ago. Please look again.")
	}
}

// notSaved says loudly that nothing was saved, or as much as is known about it. key is empty when nothing was sent that
// could have been saved.
func notSaved(err error, key string) error {
	r, answered := errors.AsType[*refusal](err)
	if answered && (key == "" || r.status < 500) { // after a 5xx nobody knows whether the event was written
		said := "NOT SAVED. " + r.Error()
		if r.Event != "" {
			said += "\nTo see what the key stands for: carehub status " + r.Event
		}
		return exitError{1, said}
	}
	if key == "" {
		return exitError{1, "NOT SAVED. The hub could not be reached: " + err.Error()}
	}
	return exitError{1, "NOT SAVED, as far as this computer can tell: the hub did not confirm it.\n" +
		"Please phone, or run the same again with --key " + key + ", which cannot log it twice.\n" + err.Error()}
}

var nouns = map[events.Kind]string{
	events.Admission: "Admission to hospital", events.Attendance: "Seen, but not admitted",
	events.Discharge: "Discharge from hospital", events.Fall: "A fall", events.DocumentAdded: "A document",
}

func printPreview(out io.Writer, p intake.Preview) {
	what := nouns[p.Kind]
	if p.Because == events.Fall {
		what += " after a fall"
	}
	fmt.Fprintf(out, "What   %s\nWho    %s (%s)\nWhen   %s\n", what, cmp.Or(p.About, "name not shown"), p.Patient,
		p.Occurred.Format("Monday 2 January 2006, 15:04 (-07:00)"))
	if p.Place != "" {
		fmt.Fprintf(out, "Where  %s\n", p.Place)
	}
	for _, to := range p.Recipients {
		how := "by " + to.Channel
		if to.Channel == "" {
			how = "only by phone: please call them"
		}
		fmt.Fprintf(out, "Tell   %s, %s (%s)\n", to.Name, how, to.Rule)
	}
	fmt.Fprintln(out, p.Message)
}
