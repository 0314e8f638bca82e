package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/events/audit"
	"carehub/events/stream"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Who has read and done what: check the record, or copy it out"}
	cmd.AddCommand(auditVerifyCommand(), auditExportCommand())
	return cmd
}

func auditVerifyCommand() *cobra.Command {
	var heads string
	cmd := &cobra.Command{
		Use: "verify [DIR]", Short: "Check that nothing was changed in the audit trail, left out of it or put in",
		Long: "Check that nothing was changed in the audit trail, left out of it or put in. Exit status 1 if something was.\n\n" +
			"The trail cannot show by itself that its end was cut off, or that all of it was written anew. With --heads FILE it is held\n" +
			"against the heads in FILE, and where it holds its own head is added to it. Keep FILE where nobody who has the store can write.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := readHeads(heads)
			if err != nil {
				return err
			}
			entries := 0
			count := func(json.RawMessage) error { entries++; return nil }
			var head audit.Head
			err = withTrail(cmd, folderOf(args), func(ctx context.Context, trail audit.Reader) (err error) {
				head, err = audit.Verify(ctx, trail, count, kept...)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "unbroken: %d entries in %d links, head %s\n", entries, head.N, orNone(head.Hash))
			return addHead(heads, kept, head)
		},
	}
	cmd.Flags().StringVar(&heads, "heads", "", "file of heads that were kept; it is made if there is none")
	return cmd
}

func orNone(hash string) string {
	if hash == "" {
		return "none yet"
	}
	return hash
}

func auditExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export [DIR]", Short: "Write every entry as a FHIR AuditEvent, one on a line (NDJSON)",
		Long: "Write every entry as a FHIR AuditEvent, one on a line (NDJSON), oldest first. The trail is checked on the way: where it\n" +
			"is broken the export ends there, with exit status 1. What is written names patients by their pseudonym, and who read of them,\n" +
			"logged, corrected and answered.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			write := func(event json.RawMessage) error {
				_, err := out.Write(append(bytes.TrimSpace(event), '\n'))
				return err
			}
			err := withTrail(cmd, folderOf(args), func(ctx context.Context, trail audit.Reader) error {
				_, err := audit.Verify(ctx, trail, write)
				return err
			})
			return errors.Join(err, out.Flush())
		},
	}
}

// withTrail reads the trail from the store or, if the hub is running and holds it, from the hub.
func withTrail(cmd *cobra.Command, dir string, do func(context.Context, audit.Reader) error) error {
	f, err := loadInForce(cmd, dir)
	if err != nil {
		return err
	}
	return withStore(cmd.Context(), f, func(ctx context.Context, s *stream.Store) error { return do(ctx, s) },
		func(ctx context.Context, store string) error {
			return doAdmin(ctx, store, http.MethodGet, "/audit", nil, func(answer io.Reader) error { return do(ctx, linesOfTrail{answer}) })
		})
}

// auditRoutes is what the admin socket answers about the audit trail: each link on a line, behind its number.
func auditRoutes(mux *http.ServeMux, trail audit.Reader) {
	mux.HandleFunc("GET /audit", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
		err := trail.AuditRead(r.Context(), 0, func(n uint64, link []byte) error {
			_, err := fmt.Fprintf(w, "%d %s\n", n, link)
			return err
		})
		if err == nil {
			_, err = io.WriteString(w, endOfTrail)
		}
		if err != nil {
			panic(http.ErrAbortHandler) // who asked will miss the end
		}
	})
}

const endOfTrail = "end\n"

// linesOfTrail is a trail as the admin socket answers it. It can be read once.
type linesOfTrail struct{ from io.Reader }

func (l linesOfTrail) AuditRead(_ context.Context, _ uint64, fn func(uint64, []byte) error) error {
	in := bufio.NewReader(l.from)
	for {
		line, err := in.ReadString('\n')
		if line == endOfTrail {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the hub did not finish its answer: %w", err)
		}
		number, link, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return fmt.Errorf("the hub's answer cannot be read: %w", err)
		}
		if err := fn(n, []byte(link)); err != nil {
			return err
		}
	}
}

// readHeads reads the heads that were kept in a file, one on a line; none if there is no file yet, or none is named.
func readHeads(file string) (heads []audit.Head, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file) // #nosec G304 -- where the admin says
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var head audit.Head
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			return nil, fmt.Errorf("%s:%d: is not a head of an audit trail: %w", file, n+1, err)
		}
		heads = append(heads, head)
	}
	return heads, nil
}

// addHead keeps a head that is newer than those that are kept.
func addHead(file string, kept []audit.Head, head audit.Head) error {
	if file == "" || head.N == 0 || len(kept) > 0 && kept[len(kept)-1].N >= head.N {
		return nil
	}
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) // #nosec G304 -- where the admin says
	if err != nil {
		return err
	}
	err = json.NewEncoder(out).Encode(head)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
