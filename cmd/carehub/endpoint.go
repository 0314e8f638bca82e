package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/signup"
)

// endpointCommand is carehub endpoint: webhooks and FHIR endpoints as the hub knows them. It works whether or not the hub
// is running.
func endpointCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "endpoint", Short: "Look after the webhooks and FHIR endpoints of providers",
		Long: "Look after the webhooks and FHIR endpoints of providers, whether or not the hub is running. ENDPOINT is the id of a\n" +
			"subscriber, such as hospice, or where it has several hospice/webhook-2."}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.AddCommand(
		endpointListCommand(&dir),
		endpointAction(&dir, "test", "Challenge a webhook now, and resume it if it was paused for being gone", printTest),
		endpointAction(&dir, "rotate-secret", "Make a new secret and print it, this once; the old one signs too for a day", printRotated),
		endpointLogCommand(&dir),
		endpointRedeliverCommand(&dir),
		endpointRecoverCommand(&dir),
		endpointAction(&dir, "pause", "Send nothing to an endpoint until it is resumed", printView),
		endpointAction(&dir, "resume", "Let an endpoint that is paused get what has waited, in order", printView),
	)
	return cmd
}

// endpointAction is a command that needs nothing but an endpoint.
func endpointAction(dir *string, name, short string, print func(out io.Writer, answer []byte) error) *cobra.Command {
	return &cobra.Command{Use: name + " ENDPOINT", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onEndpoint(cmd, *dir, args[0], name, endpointAsk{}, print)
		}}
}

func endpointListCommand(dir *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List all endpoints and how they stand", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			var all []endpointView
			err = withEndpoints(cmd.Context(), f,
				func(_ context.Context, d endpointDesk) error { all = d.list(""); return nil },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodGet, "/endpoints", nil, &all)
				})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			return printEndpoints(cmd.OutOrStdout(), all)
		}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the API's JSON")
	return cmd
}

func endpointLogCommand(dir *string) *cobra.Command {
	var ask endpointAsk
	var since string
	var asJSON bool
	cmd := &cobra.Command{Use: "log ENDPOINT", Short: "Show the newest attempts and what was answered", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if ask.Since, err = sinceFlag(since); err != nil {
				return err
			}
			print := printLog
			if asJSON {
				print = printRaw
			}
			return onEndpoint(cmd, *dir, args[0], "log", ask, print)
		}}
	cmd.Flags().StringVar(&since, "since", "", "a time such as 2026-11-25T14:30:00Z, or how long ago, such as 2h")
	cmd.Flags().IntVar(&ask.Limit, "limit", usualLogged, "how many, 1000 at the most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the API's JSON")
	return cmd
}

func endpointRedeliverCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "redeliver EVENT ENDPOINT", Short: "Send one event to an endpoint once more, under the same ids", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onEndpoint(cmd, *dir, args[1], "redeliver", endpointAsk{Event: args[0]}, printTest)
		}}
}

func endpointRecoverCommand(dir *string) *cobra.Command {
	var ask endpointAsk
	var since string
	cmd := &cobra.Command{Use: "recover ENDPOINT --since TIME", Short: "Send an endpoint what it was never told of since then", Args: cobra.ExactArgs(1),
		Long: "Send an endpoint every event since TIME that ended without its subscriber being told (refused, or given up), under the\n" +
			"same ids, ten a second at the most. Only patients whose rules name the subscriber now are looked at.",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if ask.Since, err = sinceFlag(since); err != nil {
				return err
			}
			return onEndpoint(cmd, *dir, args[0], "recover", ask, printRecovered)
		}}
	cmd.Flags().StringVar(&since, "since", "", "a time such as 2026-11-25T14:30:00Z, or how long ago, such as 48h")
	cmd.Flags().BoolVar(&ask.All, "all", false, "also what they were told of")
	return cmd
}

func sinceFlag(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, misused("--since is a time such as 2026-11-25T14:30:00Z, or how long ago, such as 48h")
	}
	return at, nil
}

// onEndpoint does one thing with an endpoint and prints each answer.
func onEndpoint(cmd *cobra.Command, dir, name, action string, ask endpointAsk, print func(io.Writer, []byte) error) error {
	f, err := loadInForce(cmd, dir)
	if err != nil {
		return err
	}
	subscriber, channel := name, signup.ChannelType
	if !events.IsSubscription(name) { // whether there is such a one the hub knows
		s, c, err := f.endpointOf(name)
		if err != nil {
			return err
		}
		subscriber, channel = s.ID, c.Key
	}
	return withEndpoints(cmd.Context(), f,
		func(ctx context.Context, d endpointDesk) error {
			return d.do(ctx, "", subscriber+"/"+channel, action, ask, func(answer any) error {
				line, err := json.Marshal(answer)
				if err != nil {
					return err
				}
				return print(cmd.OutOrStdout(), line)
			})
		},
		func(ctx context.Context, store string) error {
			body, err := json.Marshal(ask)
			if err != nil {
				return err
			}
			path := "/endpoints/" + subscriber + "/" + channel + "/" + action
			return doAdmin(ctx, store, http.MethodPost, path, bytes.NewReader(body), func(answer io.Reader) error {
				lines := json.NewDecoder(answer)
				for {
					var line json.RawMessage
					if err := lines.Decode(&line); errors.Is(err, io.EOF) {
						return nil
					} else if err != nil {
						return err
					}
					if err := print(cmd.OutOrStdout(), line); err != nil {
						return err
					}
				}
			})
		})
}

// withEndpoints works on the store itself, or asks the hub to if it is running and holds the store.
func withEndpoints(ctx context.Context, f *folder, direct func(context.Context, endpointDesk) error, ask func(ctx context.Context, store string) error) error {
	h := newHub(f, slog.New(slog.DiscardHandler))
	opening, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := h.assemble(opening)
	if errors.Is(err, stream.ErrLocked) {
		return ask(ctx, f.hub.Store)
	}
	defer h.close()
	if err != nil {
		return err
	}
	return whileFollowing(ctx, h.learned.Follow, func() error {
		defer func() { h.tried.Flush(context.WithoutCancel(ctx)) }()
		return direct(ctx, h.endpointDesk(h.desk()))
	})
}

func printEndpoints(out io.Writer, all []endpointView) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, v := range all {
		fmt.Fprintf(w, "%s/%s\t%s\n", v.Subscriber, v.Channel, strings.Join(v.words(), ", "))
	}
	return w.Flush()
}

// words say how an endpoint stands.
func (v endpointView) words() (words []string) {
	switch {
	case v.Verified == nil:
		words = append(words, "not challenged")
	case *v.Verified:
		words = append(words, "verified "+v.VerifiedAt.Format(time.RFC3339))
	default:
		words = append(words, "not verified")
	}
	if p := v.Paused; p != nil {
		by := map[bool]string{true: "the admin", false: p.By}[p.By == ""]
		if p.Reason == "gone" {
			by = "a 410"
		}
		words = append(words, "PAUSED by "+by+" since "+p.Since.Format(time.RFC3339))
	}
	if !v.Rotated.IsZero() {
		words = append(words, "secret of the hub's own since "+v.Rotated.Format(time.RFC3339))
	}
	if v.Rate > 0 {
		words = append(words, fmt.Sprintf("%d a minute", v.Rate))
	}
	if v.Concurrency > 0 {
		words = append(words, fmt.Sprintf("%d at a time", v.Concurrency))
	}
	return words
}

func printView(out io.Writer, answer []byte) error {
	var v endpointView
	if err := json.Unmarshal(answer, &v); err != nil {
		return err
	}
	return printEndpoints(out, []endpointView{v})
}

func printRotated(out io.Writer, answer []byte) error {
	var r rotated
	if err := json.Unmarshal(answer, &r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s\nThis is shown once. Messages are signed with the old secret too until %s.\n", r.Secret, r.Until.Format(time.RFC3339))
	return err
}

// printTest prints one attempt, and fails if it did.
func printTest(out io.Writer, answer []byte) error {
	var a attemptView
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	printAttempt(out, a)
	if a.Result != "delivered" {
		return exitError{1, ""}
	}
	return nil
}

func printRaw(out io.Writer, answer []byte) error {
	_, err := fmt.Fprintf(out, "%s\n", answer)
	return err
}

func printLog(out io.Writer, answer []byte) error {
	var all []attemptView
	if err := json.Unmarshal(answer, &all); err != nil {
		return err
	}
	for _, a := range all {
		printAttempt(out, a)
	}
	return nil
}

// printAttempt prints one line, and what was answered where that was no success. The other side's text is quoted: it may
// hold anything, also what steers a terminal.
func printAttempt(out io.Writer, a attemptView) {
	number := "repeat"
	if a.Attempt > 0 {
		number = fmt.Sprint("attempt ", a.Attempt)
	}
	line := fmt.Sprintf("%s  %s  %s  %s", a.At.Format("2006-01-02T15:04:05.000Z"), a.Event, number, a.Result)
	if a.Status > 0 {
		line += fmt.Sprintf(" (%d)", a.Status)
	}
	line += fmt.Sprintf("  %d ms", a.MS)
	if !a.Next.IsZero() {
		line += "  next " + a.Next.UTC().Format(time.RFC3339)
	}
	fmt.Fprintln(out, line)
	if a.Result == "delivered" {
		return
	}
	var names []string
	for name := range a.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "    %q: %q\n", name, strings.Join(a.Headers[name], ", "))
	}
	if a.Body != "" {
		fmt.Fprintf(out, "    %q\n", a.Body)
	}
}

// printRecovered prints each attempt and then the sum, and fails if not everything was done.
func printRecovered(out io.Writer, answer []byte) error {
	var line struct {
		attemptView
		recovered
	}
	if err := json.Unmarshal(answer, &line); err != nil {
		return err
	}
	if line.Result != "" {
		printAttempt(out, line.attemptView)
		return nil
	}
	fmt.Fprintf(out, "%d delivered, %d failed\n", line.Delivered, line.Failed)
	switch {
	case !line.Done:
		return exitError{1, "stopped: three failed one after another. Try again when the endpoint works."}
	case line.Failed > 0:
		return exitError{1, ""}
	}
	return nil
}
