package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
			f, err := loadInForce(cmd, *dir)
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
			f, err := loadInForce(cmd, *dir)
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
			f, err := loadInForce(cmd, *dir)
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
	return withStore(ctx, f, func(ctx context.Context, store *stream.Store) error {
		t := newTokens(store)
		return whileFollowing(ctx, t.follow, func() error { return direct(ctx, t) })
	}, ask)
}

// tokenRoutes are those of the admin socket.
func tokenRoutes(mux *http.ServeMux, t *tokens) {
	mux.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var holder events.Actor
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&holder); err != nil {
			adminAnswer(w, nil, err)
			return
		}
		plain, err := t.create(r.Context(), holder)
		adminAnswer(w, plain, err)
	})
	mux.HandleFunc("GET /tokens", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, t.list(), nil) })
	mux.HandleFunc("DELETE /tokens/{id}", func(w http.ResponseWriter, r *http.Request) {
		n, err := t.revoke(r.Context(), r.PathValue("id"))
		adminAnswer(w, n, err)
	})
}
