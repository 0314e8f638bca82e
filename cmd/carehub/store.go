package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"carehub/events/archive"
	"carehub/events/stream"
)

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Look after the store"}
	cmd.AddCommand(&cobra.Command{
		Use: "partitions NUMBER [DIR]", Short: "Have the store take new events in more partitions",
		Long: "Begin a new generation of the store with NUMBER partitions: as many as now, or a multiple. It works whether or not\n" +
			"the hub is running, refuses no event and keeps every order. The older partitions go to the archive by themselves.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a number of partitions", args[0])
			}
			f, err := loadInForce(cmd, folderOf(args[1:]))
			if err != nil {
				return err
			}
			err = withStore(cmd.Context(), f, func(ctx context.Context, s *stream.Store) error { return s.Grow(ctx, n) },
				func(ctx context.Context, store string) error {
					var done bool
					return askAdmin(ctx, store, http.MethodPost, "/partitions/"+args[0], nil, &done)
				})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "new events go to %d partitions\n", n)
			}
			return err
		},
	})
	return cmd
}

func folderOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

func backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup DIR FILE", Short: "Copy the store of the hub in DIR to FILE, whether or not it is running",
		Long: "Copy the store of the hub in DIR to FILE. Everything that was acknowledged before it begins is in it. FILE is readable\n" +
			"for its owner only and not encrypted, even if the store is: encrypt it before it leaves the machine.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadInForce(cmd, args[0])
			if err != nil {
				return err
			}
			return writeWhole(args[1], func(w io.Writer) error {
				return withStore(cmd.Context(), f, func(ctx context.Context, s *stream.Store) error { return s.Backup(ctx, w) },
					func(ctx context.Context, store string) error { return copyFromAdmin(ctx, store, "/backup", w) })
			})
		},
	}
}

func restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE DIR", Short: "Make the store of the hub in DIR from a backup; there must be none yet", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := loadForUse(args[1])
			if err != nil {
				return err
			}
			if f.hub.NATS != nil {
				return errors.New("the store is on a NATS server of its own: restore that with its own tools")
			}
			from, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer from.Close()
			return stream.Restore(cmd.Context(), storeOptions(f, slog.New(slog.DiscardHandler)), from)
		},
	}
}

// withStore works on the store, or asks the hub to if it is running and holds it.
func withStore(ctx context.Context, f *folder, direct func(context.Context, *stream.Store) error, ask func(ctx context.Context, store string) error) error {
	if f.ofHub {
		return ask(ctx, f.hub.Store)
	}
	store, err := openStore(ctx, f, slog.New(slog.DiscardHandler))
	if errors.Is(err, stream.ErrLocked) {
		return ask(ctx, f.hub.Store)
	}
	if err != nil {
		return err
	}
	defer store.Close(context.WithoutCancel(ctx))
	return direct(ctx, store)
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

// writeWhole makes a file, mode 0600, of what write writes: a whole backup on disk, or none.
func writeWhole(path string, write func(io.Writer) error) error {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600) // #nosec G304 -- where the admin says
	if err != nil {
		return err
	}
	defer file.Close()
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = stream.CheckBackup(file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir) // #nosec G304 -- where the admin says
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// storeRoutes is what the admin socket answers about the store.
func storeRoutes(mux *http.ServeMux, a *archive.Archive, s *stream.Store) {
	mux.HandleFunc("POST /partitions/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err == nil {
			err = a.Grow(r.Context(), n)
		}
		adminAnswer(w, err == nil, err)
	})
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
		defer a.Pause()()
		if err := s.Backup(r.Context(), w); err != nil {
			panic(http.ErrAbortHandler) // what was sent has no checksum; who asked will see
		}
	})
}
