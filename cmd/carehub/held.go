package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/intake"
	"carehub/events/stream"
)

func heldCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "held", Short: "Decide about messages of other systems that no patient could be matched to",
		Long: "A message whose patient could not be matched with certainty, or whose sender may not log for them, is told to nobody\n" +
			"until a person decides. These commands work whether or not the hub is running."}
	var dir string
	cmd.PersistentFlags().StringVar(&dir, "dir", ".", "configuration folder of the hub")
	cmd.AddCommand(heldListCommand(&dir), heldShowCommand(&dir), heldReleaseCommand(&dir), heldDismissCommand(&dir))
	return cmd
}

// holding is what the commands need: the receiver itself, or the hub that has it.
type holding interface {
	List(ctx context.Context) ([]intake.Held, error)
	Get(ctx context.Context, id string) (intake.Held, error)
	Release(ctx context.Context, id, patient, by string) (events.Stored, error)
	Dismiss(ctx context.Context, id, by, why string) error
}

// withHeld works on the store, or asks the hub to if it is running and holds it.
func withHeld(cmd *cobra.Command, dir string, do func(context.Context, *folder, holding) error) error {
	f, err := loadInForce(cmd, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancel()
	return withStore(ctx, f,
		func(ctx context.Context, s *stream.Store) error {
			h := newHub(f, slog.New(slog.DiscardHandler))
			h.store = s
			if err := h.openArchive(ctx); err != nil {
				return err
			}
			h.trail = h.newTrail()
			defer h.runTrail(ctx)()
			h.openDoors()
			h.subscriptions = h.newSubscriptions() // who has subscribed is told of what is released
			if err := h.subscriptions.Load(ctx); err != nil {
				return err
			}
			return do(ctx, f, h.receiver)
		},
		func(ctx context.Context, store string) error { return do(ctx, f, askedHeld{store}) })
}

func heldListCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List what waits, and what became of it in the last month", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHeld(cmd, *dir, func(ctx context.Context, f *folder, held holding) error {
				all, err := held.List(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				for _, h := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.ID, h.At.In(f.hub.Location).Format("2006-01-02 15:04"), h.By.ID, became(h))
				}
				return w.Flush()
			})
		},
	}
}

// became says how something held stands, without anything of the patient.
func became(h intake.Held) string {
	d := h.Resolved
	switch {
	case d == nil:
		return "waits: " + string(h.Report.Kind)
	case d.How == intake.Released:
		return "released by " + d.By + " to " + d.Patient + ": " + d.Event
	case d.How == intake.Dismissed:
		return "dismissed by " + d.By + ": " + d.Why
	}
	return "deleted: nobody decided"
}

func heldShowCommand(dir *string) *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show what a message says, and with which patients its details agree", Args: cobra.ExactArgs(1),
		Long: "Show what a message says and with which patients its details agree, in part or altogether. The details themselves and\n" +
			"the sender's words are shown with --full: look whether anybody reads over your shoulder.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHeld(cmd, *dir, func(ctx context.Context, f *folder, held holding) error {
				h, err := held.Get(ctx, args[0])
				if err == nil {
					showHeld(cmd.OutOrStdout(), f, h, full)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "show number, date of birth, name and words as the sender gave them")
	return cmd
}

func showHeld(w io.Writer, f *folder, h intake.Held, full bool) {
	sender := h.By.ID
	if s, ok := f.register.Lookup(h.By.ID); ok {
		sender = s.Name + " (" + h.By.ID + "), " + cmp.Or(s.Phone, "no phone")
	}
	fmt.Fprintf(w, "%s of %s, received %s\n", h.ID, sender, h.At.In(f.hub.Location).Format("2006-01-02 15:04 MST"))
	if h.Resolved != nil {
		fmt.Fprintln(w, became(h))
		return
	}
	r := h.Report
	fmt.Fprintf(w, "It says: %s, at %s, %s\n", r.Kind, r.Occurred.Format("2006-01-02 15:04 -07:00"), cmp.Or(r.Place, "no place"))
	if r.Test {
		fmt.Fprintln(w, "It is a TEST.")
	}
	if r.Restricted {
		fmt.Fprintln(w, "Its sender marks it as more confidential than is usual.")
	}
	if full {
		fmt.Fprintf(w, "NHS number %s, born %s, family name %s, name %s\n", cmp.Or(r.Patient.NHSNumber, "missing"),
			cmp.Or(r.Patient.Born, "missing"), cmp.Or(r.Patient.Family, "missing"), cmp.Or(r.Patient.Name, "missing"))
		fmt.Fprintf(w, "In the sender's own words: %s\n", cmp.Or(r.Words, "none"))
	}
	showCandidates(w, f, h)
}

// showCandidates says with whom the details agree; somebody at a terminal reads initials and year of birth as well.
func showCandidates(w io.Writer, f *folder, h intake.Held) {
	word := func(agrees bool) string {
		if agrees {
			return "agrees"
		}
		return "DIFFERS"
	}
	found := false
	for _, i := range f.registrar.known {
		a := i.compare(h.Report.Patient)
		if !a.Number && !(a.Born && a.Family) {
			continue
		}
		found = true
		may := "may log for them"
		if (desk{f, nil}).May(h.By, i.patient, time.Now()) == intake.No {
			may = "may NOT log for them"
		}
		who := i.patient
		if isTerminal(w) {
			who += " (" + f.patients[i.patient].Hint() + ")"
		}
		fmt.Fprintf(w, "%s: number %s, date of birth %s, family name %s; %s %s\n", who,
			word(a.Number), word(a.Born), word(a.Family), h.By.ID, may)
	}
	if !found {
		fmt.Fprintln(w, "Nobody here has that number, or that date of birth and family name.")
	}
}

func heldReleaseCommand(dir *string) *cobra.Command {
	var patient, by string
	cmd := &cobra.Command{
		Use: "release ID --patient p-… --by NAME", Short: "Say whom a message is about: it is logged as it was received, and they are told", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHeld(cmd, *dir, func(ctx context.Context, f *folder, held holding) error {
				if _, known := f.patients[patient]; !known {
					return fmt.Errorf("--patient %s: nobody of that id is in patients.yaml; there are: %v", patient, slices.Sorted(maps.Keys(f.patients)))
				}
				stored, err := held.Release(ctx, args[0], patient, by)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "released: %s, reference %s\n", stored.Record.Event.ID, events.Ref(stored.Record.Event.ID))
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&patient, "patient", "", "id of the patient that it is about")
	cmd.Flags().StringVar(&by, "by", "", "your name")
	_ = cmd.MarkFlagRequired("patient")
	_ = cmd.MarkFlagRequired("by")
	return cmd
}

func heldDismissCommand(dir *string) *cobra.Command {
	var by, why string
	cmd := &cobra.Command{
		Use: "dismiss ID --by NAME --why …", Short: "Say that nobody is to be told of a message, and delete what it says", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHeld(cmd, *dir, func(ctx context.Context, _ *folder, held holding) error {
				err := held.Dismiss(ctx, args[0], by, why)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "dismissed")
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "your name")
	cmd.Flags().StringVar(&why, "why", "", "why nobody is to be told, without names of patients")
	_ = cmd.MarkFlagRequired("by")
	_ = cmd.MarkFlagRequired("why")
	return cmd
}

// decision is the body of a request to resolve something held.
type decision struct{ Patient, By, Why string }

// heldRoutes is what the admin socket answers about what is held.
func heldRoutes(mux *http.ServeMux, held holding) {
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, r *http.Request) {
		all, err := held.List(r.Context())
		adminAnswer(w, all, err)
	})
	mux.HandleFunc("GET /held/{id}", func(w http.ResponseWriter, r *http.Request) {
		h, err := held.Get(r.Context(), r.PathValue("id"))
		adminAnswer(w, h, err)
	})
	decide := func(w http.ResponseWriter, r *http.Request, fn func(context.Context, string, decision) (any, error)) {
		var d decision
		err := json.NewDecoder(io.LimitReader(r.Body, 8<<10)).Decode(&d)
		var done any
		if err == nil {
			done, err = fn(r.Context(), r.PathValue("id"), d)
		}
		adminAnswer(w, done, err)
	}
	mux.HandleFunc("POST /held/{id}/release", func(w http.ResponseWriter, r *http.Request) {
		decide(w, r, func(ctx context.Context, id string, d decision) (any, error) {
			stored, err := held.Release(ctx, id, d.Patient, d.By)
			return stored.Record.Event.ID, err
		})
	})
	mux.HandleFunc("POST /held/{id}/dismiss", func(w http.ResponseWriter, r *http.Request) {
		decide(w, r, func(ctx context.Context, id string, d decision) (any, error) {
			return true, held.Dismiss(ctx, id, d.By, d.Why)
		})
	})
}

// askedHeld asks a running hub.
type askedHeld struct{ store string }

func (a askedHeld) List(ctx context.Context) (all []intake.Held, err error) {
	return all, askAdmin(ctx, a.store, http.MethodGet, "/held", nil, &all)
}

func (a askedHeld) Get(ctx context.Context, id string) (h intake.Held, err error) {
	return h, a.about(ctx, http.MethodGet, id, "", nil, &h)
}

func (a askedHeld) Release(ctx context.Context, id, patient, by string) (st events.Stored, err error) {
	return st, a.about(ctx, http.MethodPost, id, "/release", decision{Patient: patient, By: by}, &st.Record.Event.ID)
}

func (a askedHeld) Dismiss(ctx context.Context, id, by, why string) error {
	var done bool
	return a.about(ctx, http.MethodPost, id, "/dismiss", decision{By: by, Why: why}, &done)
}

// about asks about one thing that is held.
func (a askedHeld) about(ctx context.Context, method, id, action string, body, into any) error {
	if !intake.ValidHeld(id) {
		return fmt.Errorf("%q is not the id of anything held", id)
	}
	return askAdmin(ctx, a.store, method, "/held/"+id+action, body, into)
}
