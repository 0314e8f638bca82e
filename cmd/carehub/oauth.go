package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/events/stream"
	"carehub/subscribers"
	"carehub/subscribers/egress"
	"carehub/subscribers/oauth"
)

// usualScope is what a provider's system needs: to read what it was told of, and to look after its subscriptions.
const usualScope = "system/*.rs system/Subscription.crud"

// maxKeyFile is how much of a key file is read: more than a key set may have.
const maxKeyFile = 1 << 20

func clientCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "client", Short: "Register, list and revoke the OAuth2 clients of providers' systems"}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.AddCommand(clientCreateCommand(&dir), clientListCommand(&dir), clientRevokeCommand(&dir))
	return cmd
}

func clientCreateCommand(dir *string) *cobra.Command {
	var scope, jwks, jwksURI string
	cmd := &cobra.Command{
		Use: "create SYSTEM", Short: "Register a client of an organisation and print its id and secret, this once",
		Long: "Register an OAuth2 client for an organisation of subscribers/, and print its id and its secret. The secret is shown\n" +
			"this once; only a hash of it is kept. A client with a key pair (--jwks or --jwks-uri) has no secret: it signs\n" +
			"assertions, as SMART Backend Services have it. It works whether or not the hub is running, and counts at once.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			if _, err := f.holder(args[0], true); err != nil {
				return err
			}
			r := oauth.Request{System: args[0], Scope: scope, KeysURL: jwksURI}
			if err := keysOf(f, &r, jwks); err != nil {
				return err
			}
			var made oauth.Created
			err = withClients(cmd.Context(), f,
				func(ctx context.Context, c *oauth.Clients) (err error) {
					made, err = c.Create(ctx, r, time.Now())
					return err
				},
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodPost, "/clients", r, &made)
				})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "client_id "+made.ID)
			if made.Secret != "" {
				fmt.Fprintln(cmd.OutOrStdout(), "client_secret "+made.Secret)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&scope, "scope", usualScope, "the most that the client's tokens may allow")
	cmd.Flags().StringVar(&jwks, "jwks", "", "file with the client's public keys, a JWKS: RSA for RS384 or EC P-384 for ES384")
	cmd.Flags().StringVar(&jwksURI, "jwks-uri", "", "address that the client's public keys are fetched from")
	cmd.MarkFlagsMutuallyExclusive("jwks", "jwks-uri")
	return cmd
}

// keysOf reads the key file, or judges the address that keys would be fetched from.
func keysOf(f *folder, r *oauth.Request, file string) error {
	if r.KeysURL != "" {
		_, err := subscribers.ParseURL(r.KeysURL, egress.New(f.hub.Egress.Allow).AllowPlain)
		if wrong, ok := errors.AsType[*subscribers.FieldError](err); ok {
			return fmt.Errorf("--jwks-uri %s", wrong.Message)
		}
		return err
	}
	if file == "" {
		return nil
	}
	opened, err := os.Open(file) // #nosec G304 -- the admin's own file
	if err != nil {
		return err
	}
	defer opened.Close()
	b, err := io.ReadAll(io.LimitReader(opened, maxKeyFile))
	if err != nil {
		return err
	}
	if r.KeySet, err = oauth.ParseKeys(b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func clientListCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the clients, how they prove themselves and what they may do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			var all []clientRow
			err = withClients(cmd.Context(), f,
				func(_ context.Context, c *oauth.Clients) error { all = clientRows(c); return nil },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodGet, "/clients", nil, &all)
				})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, c := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.System, c.Proof, c.Scope, c.Created.Format(time.RFC3339))
			}
			return w.Flush()
		},
	}
}

func clientRevokeCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke CLIENT_ID", Short: "Revoke a client and all of its access tokens, at once, at every hub", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, *dir)
			if err != nil {
				return err
			}
			var found bool
			err = withClients(cmd.Context(), f,
				func(ctx context.Context, c *oauth.Clients) (err error) {
					found, err = c.Revoke(ctx, args[0])
					return err
				},
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodDelete, "/clients/"+url.PathEscape(args[0]), nil, &found)
				})
			if err == nil && !found {
				err = fmt.Errorf("there is no client %s", args[0])
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "revoked "+args[0])
			}
			return err
		},
	}
}

// clientRow is a client as an admin sees it.
type clientRow struct {
	ID      string    `json:"id"`
	System  string    `json:"system"`
	Proof   string    `json:"proof"`
	Scope   string    `json:"scope"`
	Created time.Time `json:"created"`
}

func clientRows(c *oauth.Clients) []clientRow {
	rows := []clientRow{}
	for _, client := range c.All() {
		rows = append(rows, clientRow{client.ID, client.System, client.Proof(), client.Scope, client.Created})
	}
	return rows
}

// withClients works on the clients in the store, or asks the hub to if it is running and holds the store.
func withClients(ctx context.Context, f *folder, direct func(context.Context, *oauth.Clients) error, ask func(ctx context.Context, store string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return withStore(ctx, f, func(ctx context.Context, store *stream.Store) error {
		c := oauth.NewClients(store)
		return whileFollowing(ctx, c.Follow, func() error { return direct(ctx, c) })
	}, ask)
}

// clientRoutes are those of the admin socket.
func clientRoutes(mux *http.ServeMux, c *oauth.Clients) {
	mux.HandleFunc("POST /clients", func(w http.ResponseWriter, r *http.Request) {
		var asked oauth.Request
		if err := json.NewDecoder(io.LimitReader(r.Body, maxKeyFile)).Decode(&asked); err != nil {
			adminAnswer(w, nil, err)
			return
		}
		made, err := c.Create(r.Context(), asked, time.Now())
		adminAnswer(w, made, err)
	})
	mux.HandleFunc("GET /clients", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, clientRows(c), nil) })
	mux.HandleFunc("DELETE /clients/{id}", func(w http.ResponseWriter, r *http.Request) {
		found, err := c.Revoke(r.Context(), r.PathValue("id"))
		adminAnswer(w, found, err)
	})
}
