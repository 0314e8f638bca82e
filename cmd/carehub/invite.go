package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/audit"
	"carehub/events/stream"
	"carehub/subscribers/signin"
)

func inviteCommand() *cobra.Command {
	var dir, picture string
	cmd := &cobra.Command{
		Use: "invite ID", Short: "Make a link that signs a carer's phone in, and print it, this once",
		Long: "Make a link that signs in the phone of a carer of carers.yaml, and print it alone. It works once, within seven days, whether or\n" +
			"not the hub is running now. On a terminal it is shown as a QR code too, for a phone that is in the same room. The phone stays\n" +
			"signed in until it is not used for 90 days, or until carehub revoke.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, dir)
			if err != nil {
				return err
			}
			if _, ok := f.carer(args[0]); !ok {
				return fmt.Errorf("%q is not in carers.yaml%s", args[0], strict.DidYouMean(args[0], f.carers()))
			}
			var link string
			err = withSignin(cmd.Context(), f,
				func(ctx context.Context, s *signin.Service) (err error) {
					link, err = s.Invite(ctx, args[0])
					return err
				},
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodPost, "/invitations", args[0], &link)
				})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), link)
			return showCode(cmd.ErrOrStderr(), link, picture)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.Flags().StringVar(&picture, "png", "", "write the QR code to this file as well")
	return cmd
}

// showCode draws the QR code (ISO/IEC 18004) of a link for whoever sits at a terminal, and into a file if one is named. Its
// quiet zone is part of it.
func showCode(w io.Writer, link, picture string) error {
	code, err := qrcode.New(link, qrcode.Medium)
	if err != nil {
		return err
	}
	if isTerminal(w) {
		fmt.Fprintln(w, code.ToSmallString(false))
	}
	if picture == "" {
		return nil
	}
	return code.WriteFile(8*33, picture)
}

func revokeCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "Sign a carer out everywhere, at once, and take their invitations, passkeys and tokens back", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, dir)
			if err != nil {
				return err
			}
			if !events.ValidName(args[0]) {
				return fmt.Errorf("%q cannot be the id of a carer", args[0])
			}
			gone, alone, err := revokeSessions(cmd.Context(), f, args[0])
			if err != nil {
				return err
			}
			var held int
			err = withTokens(cmd.Context(), f,
				func(ctx context.Context, t *tokens) (err error) { held, err = t.revoke(ctx, args[0]); return err },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodDelete, "/tokens/"+args[0], nil, &held)
				})
			if err == nil && gone.Sessions+gone.Invitations+gone.Passkeys+held == 0 {
				err = fmt.Errorf("%s is not signed in anywhere, and holds no invitation, no passkey and no token", args[0])
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "revoked %d sessions, %d invitations, %d passkeys, %d tokens\n", gone.Sessions, gone.Invitations, gone.Passkeys, held)
			}
			if alone {
				err = errors.Join(err, recordRevoked(cmd.Context(), f, args[0]))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	return cmd
}

// revokeSessions signs a carer out. alone says that no running hub did so, which would have put it on record.
func revokeSessions(ctx context.Context, f *folder, carer string) (gone signin.Revoked, alone bool, err error) {
	err = withSignin(ctx, f,
		func(ctx context.Context, s *signin.Service) (err error) {
			gone, err = s.Revoke(ctx, carer)
			alone = err == nil
			return err
		},
		func(ctx context.Context, store string) error {
			return askAdmin(ctx, store, http.MethodDelete, "/sessions/"+carer, loginName(), &gone)
		})
	return gone, alone, err
}

func recordRevoked(ctx context.Context, f *folder, carer string) error {
	event, err := audit.Revocation(f.sender(), carer, loginName(), time.Now())
	if err != nil {
		return err
	}
	return recordAlone(ctx, f, event)
}

func sessionsCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "sessions [ID]", Short: "List the phones that are signed in", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, dir)
			if err != nil {
				return err
			}
			var all []signin.Device
			err = withSignin(cmd.Context(), f,
				func(_ context.Context, s *signin.Service) error { all = s.Devices(); return nil },
				func(ctx context.Context, store string) error {
					return askAdmin(ctx, store, http.MethodGet, "/sessions", nil, &all)
				})
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, d := range all {
				if len(args) == 0 || args[0] == d.ID {
					fmt.Fprintf(w, "%s\t%s\tsince %s\tlast seen %s\n", d.ID, d.Device, d.Created.Format(time.DateOnly), d.Seen.Format(time.DateOnly))
				}
			}
			return errors.Join(err, w.Flush())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	return cmd
}

// carer is somebody of carers.yaml.
func (f *folder) carer(id string) (events.Person, bool) {
	s, registered := f.register.Lookup(id)
	p, ok := f.register.Person(id)
	return p, ok && registered && s.Carer
}

// carers are the ids of all of them.
func (f *folder) carers() (ids []string) {
	for _, s := range f.register.All() {
		if s.Carer {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// newSignin is who lets people in.
func newSignin(now inForce, store hubStore, key []byte, record func(signin.Entry), log *slog.Logger) *signin.Service {
	return signin.New(signin.Options{Store: store, Key: key, Person: func(id string) (events.Person, bool) { return now().carer(id) },
		Providers: func() []signin.Provider { return now().providers() }, HTTP: now.askingProviders(), Hub: now.sender, Record: record, Clock: time.Now, Log: log})
}

// providers are those that staff sign in with.
func (f *folder) providers() (all []signin.Provider) {
	for _, o := range f.hub.Signin.OIDC {
		p := signin.Provider{Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Subscriber: o.Subscriber.V,
			Emails: o.Emails, Domains: o.Domains, Claims: map[string][]string{}}
		for _, c := range o.Claims {
			p.Claims[c.Key] = c.V.Values()
		}
		all = append(all, p)
	}
	return all
}

// askingProviders is the guarded way out, as a client of the standard library.
func (now inForce) askingProviders() *http.Client {
	return &http.Client{Transport: roundTrip(now.Do), Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (do roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return do(r) }

// withSignin works on who is signed in in the store, or asks the hub to if it is running and holds the store.
func withSignin(ctx context.Context, f *folder, direct func(context.Context, *signin.Service) error, ask func(ctx context.Context, store string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return withStore(ctx, f, func(ctx context.Context, store *stream.Store) error {
		s := newSignin(always(f), store, nil, func(signin.Entry) {}, slog.New(slog.DiscardHandler))
		return whileFollowing(ctx, s.Follow, func() error { return direct(ctx, s) })
	}, ask)
}

// signinRoutes are those of the admin socket.
func signinRoutes(mux *http.ServeMux, s *signin.Service, revoked func(carer, by string)) {
	mux.HandleFunc("POST /invitations", func(w http.ResponseWriter, r *http.Request) {
		var id, link string
		err := json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&id)
		if err == nil {
			link, err = s.Invite(r.Context(), id)
		}
		adminAnswer(w, link, err)
	})
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, s.Devices(), nil) })
	mux.HandleFunc("DELETE /sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		by := "unknown"
		_ = json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&by) // whoever asks without saying so is let in by the socket all the same
		gone, err := s.Revoke(r.Context(), r.PathValue("id"))
		if err == nil {
			revoked(r.PathValue("id"), by)
		}
		adminAnswer(w, gone, err)
	})
}

// tidySessions drops what has ended, once a day.
func (h *hub) tidySessions(ctx context.Context) error {
	for {
		if err := cmp.Or(h.signin.Tidy(ctx), h.devices.Tidy(ctx)); err != nil && ctx.Err() == nil {
			h.log.Warn("ended sessions are not dropped yet", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(24 * time.Hour):
		}
	}
}
