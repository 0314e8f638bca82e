package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/stream"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make, list and revoke the tokens that carers and systems sign in with"}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.AddCommand(tokenCreateCommand(&dir), tokenListCommand(&dir), tokenRevokeCommand(&dir))
	return cmd
}

func tokenCreateCommand(dir *string) *cobra.Command {
	var system bool
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make a token for a carer or a system and print it, this once",
		Long: "Make a token for a carer of carers.yaml or a system of subscribers/ and print it alone.\n" +
			"It works whether or not the hub is running, and counts at once. Only a hash of it is kept.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadForUse(*dir)
			if err != nil {
				return err
			}
			holder, err := f.holder(args[0], system)
			if err != nil {
				return err
			}
			var plain string
			err = withTokens(cmd.Context(), f,
				func(ctx context.Context, t *tokens) (err error) { plain, err = t.create(ctx, holder); return err },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodPost, "/tokens", holder, &plain)
				})
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), plain)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&system, "system", false, "insist that ID is a system, not a carer")
	return cmd
}

func tokenListCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List who holds tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := loadForUse(*dir)
			if err != nil {
				return err
			}
			var all []token
			err = withTokens(cmd.Context(), f,
				func(_ context.Context, t *tokens) error { all = t.list(); return nil },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodGet, "/tokens", nil, &all)
				})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, k := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", k.ID, k.Kind, k.Created.Format(time.RFC3339))
			}
			return w.Flush()
		},
	}
}

func tokenRevokeCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Revoke every token of a carer or system, at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadForUse(*dir)
			if err != nil {
				return err
			}
			if !events.ValidName(args[0]) {
				return fmt.Errorf("%q cannot be the id of a carer or system", args[0])
			}
			var n int
			err = withTokens(cmd.Context(), f,
				func(ctx context.Context, t *tokens) (err error) { n, err = t.revoke(ctx, args[0]); return err },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodDelete, "/tokens/"+args[0], nil, &n)
				})
			if err == nil && n == 0 {
				err = fmt.Errorf("%s holds no token", args[0])
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "revoked %d\n", n)
			}
			return err
		},
	}
}

// withTokens works on the tokens in the store, or asks the hub to if it is running and holds the store.
func withTokens(ctx context.Context, f *folder, direct func(context.Context, *tokens) error, ask func(ctx context.Context, store string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	store, err := openStore(ctx, f, slog.New(slog.DiscardHandler))
	if errors.Is(err, stream.ErrLocked) {
		return ask(ctx, f.hub.Store)
	}
	if err != nil {
		return err
	}
	defer store.Close(context.WithoutCancel(ctx))
	t := newTokens(store)
	return whileFollowing(ctx, t.follow, func() error { return direct(ctx, t) })
}

// whileFollowing calls do once everything that follow follows is known.
func whileFollowing(ctx context.Context, follow func(ctx context.Context, ready func()) error, do func() error) error {
	known, stop := make(chan struct{}), make(chan error, 1)
	following, cancelFollow := context.WithCancel(ctx)
	go func() { stop <- follow(following, func() { close(known) }) }()
	defer func() { cancelFollow(); <-stop }()
	select {
	case <-known:
		return do()
	case err := <-stop:
		stop <- err
		return err
	}
}
