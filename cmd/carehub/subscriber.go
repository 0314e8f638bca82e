package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/endpoints"
	"carehub/subscribers/inbox"
)

func subscriberCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "subscriber", Short: "See to the inboxes of subscribers and carers: who is verified, who is away"}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.AddCommand(
		inboxCommand(&dir, "verify", "Send a link by which the address is verified and a code chosen",
			"Have the hub send a link to the inbox of a subscriber or carer, by which whoever reads it verifies the address and\n"+
				"chooses a code. It works once, for seven days, and ends the links that were sent before. Do it again for a forgotten code.\n"+
				"It works whether or not the hub is running; the mail is sent when it does.",
			"the hub sends a link to the inbox %s of %s", (*inbox.Keeper).Verify),
		inboxCommand(&dir, "resume", "End a pause, or take an inbox back that was handed to a colleague",
			"End the pause of an inbox, and take it back from a colleague whom it was handed to: its own address then has to be verified anew.",
			"the inbox %s of %s is as the files say", (*inbox.Keeper).Resume),
		subscriberListCommand(&dir))
	return cmd
}

// inboxCommand does something to one inbox.
func inboxCommand(dir *string, verb, short, long, done string, do func(*inbox.Keeper, context.Context, string, string) error) *cobra.Command {
	var channel string
	cmd := &cobra.Command{Use: verb + " ID", Short: short, Long: long, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			if err := f.hasInbox(args[0], channel); err != nil {
				return err
			}
			err = withInboxes(cmd.Context(), f,
				func(ctx context.Context, k *inbox.Keeper) error { return do(k, ctx, args[0], channel) },
				func(ctx context.Context, store string) error {
					var ok bool
					return askAdmin(ctx, store, http.MethodPost, "/inboxes/"+args[0]+"/"+channel+"/"+verb, nil, &ok)
				})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), done+"\n", channel, args[0])
			}
			return err
		}}
	cmd.Flags().StringVar(&channel, "channel", "email", "which of their inboxes: email, email-2, …")
	return cmd
}

// hasInbox says why there is no such inbox.
func (f *folder) hasInbox(id, channel string) error {
	s, ok := f.register.Lookup(id)
	if !ok {
		return fmt.Errorf("%q is neither in carers.yaml nor in subscribers/%s", id, strict.DidYouMean(id, f.everyone()))
	}
	var inboxes []string
	for _, c := range s.Channels {
		if _, ok := c.Endpoint.(subscribers.Mailbox); ok {
			inboxes = append(inboxes, c.Key)
			if c.Key == channel {
				return nil
			}
		}
	}
	if len(inboxes) == 0 {
		return fmt.Errorf("%s has no email channel", id)
	}
	return fmt.Errorf("%s has no channel %s; it has %s", id, channel, strings.Join(inboxes, ", "))
}

func subscriberListCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all inboxes: verified or not, away, handed over, unread", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			all, err := listInboxes(cmd.Context(), f)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, s := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", s.Subscriber, s.Channel, s.Words)
			}
			return w.Flush()
		},
	}
}

func listInboxes(ctx context.Context, f *folder) (all []inbox.Status, err error) {
	err = withInboxes(ctx, f,
		func(_ context.Context, k *inbox.Keeper) error { all = k.List(); return nil },
		func(ctx context.Context, store string) error {
			return askAdmin(ctx, store, http.MethodGet, "/inboxes", nil, &all)
		})
	return all, err
}

// withInboxes works on the inboxes by the store, or asks the hub to if it is running and holds it.
func withInboxes(ctx context.Context, f *folder, direct func(context.Context, *inbox.Keeper) error, ask func(ctx context.Context, store string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return withStore(ctx, f, func(ctx context.Context, store *stream.Store) error {
		learned := endpoints.New(store)
		return whileFollowing(ctx, learned.Follow, func() error {
			return direct(ctx, newInboxes(always(f), learned, nil, nil, slog.New(slog.DiscardHandler)))
		})
	}, ask)
}

// inboxRoutes is what the admin socket answers about inboxes.
func inboxRoutes(mux *http.ServeMux, k *inbox.Keeper) {
	mux.HandleFunc("GET /inboxes", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, k.List(), nil) })
	for verb, do := range map[string]func(context.Context, string, string) error{"verify": k.Verify, "resume": k.Resume} {
		mux.HandleFunc("POST /inboxes/{id}/{channel}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			err := do(r.Context(), r.PathValue("id"), r.PathValue("channel"))
			adminAnswer(w, err == nil, err)
		})
	}
}
