package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"carehub/config"
	"carehub/config/strict"
	"carehub/events/stream"
)

// What goes on while the folder on disk is broken: a hub starts with the copy of the last good one, and commands go by what is in force.

// goodCopy is the copy of the last good folder.
type goodCopy struct {
	files map[string][]byte
	store string // where it was found
	ofHub bool   // which runs, and said so
}

// loadInForce is loadForUse for a command that works beside the hub or on its store. Where a hub cannot run with what is on disk it
// goes by what the hub has in force, and says so: somebody's typo must not be in the way of who signs a lost phone out.
func loadInForce(cmd *cobra.Command, dir string) (*folder, error) {
	f, err := loadForUse(dir)
	if broken, ok := errors.AsType[unfit](err); ok {
		return instead(cmd, dir, broken)
	}
	return f, err
}

// instead is what is in force in place of a broken folder. Where that cannot be had what is wrong is the error.
func instead(cmd *cobra.Command, dir string, broken unfit) (*folder, error) {
	kept, err := copyOfBroken(cmd.Context(), dir)
	if err != nil {
		return nil, broken
	}
	f, err := kept.load(dir)
	if err != nil {
		return nil, broken
	}
	f.broken = broken.problems
	fmt.Fprintf(cmd.ErrOrStderr(), "the folder has an error (%s): going by what is in force\n", words(f.broken)[0])
	return f, nil
}

// copyOfBroken returns the copy that the store of a broken folder has, or the hub that holds the store.
func copyOfBroken(ctx context.Context, dir string) (kept goodCopy, err error) {
	hub := config.LoadStore(dir)
	kept.store = hub.Store
	if hub.NATS == nil && hub.Store == "" {
		return kept, errors.New("hub.yaml does not say where the store is, as far as it can be read")
	}
	if hub.NATS == nil {
		if _, err := os.Stat(hub.Store); err != nil {
			return kept, fmt.Errorf("no store is to be found where hub.yaml says: %w", err)
		}
	}
	err = withStore(ctx, &folder{hub: hub},
		func(ctx context.Context, s *stream.Store) (err error) {
			kept.files, err = folderCopy{s}.get(ctx)
			return err
		},
		func(ctx context.Context, store string) error {
			kept.ofHub = true
			return askAdmin(ctx, store, http.MethodGet, "/folder", nil, &kept.files)
		})
	return kept, err
}

// load reads the copy. One that a hub gave is for asking that hub, which needs no secrets here.
func (k goodCopy) load(dir string) (f *folder, err error) {
	source := &strict.Folder{Dir: dir, NoSecrets: k.ofHub, Snapshot: strict.NewSnapshot(k.files)}
	if !k.ofHub {
		f, err = loadOf(source, nil)
	} else if f = readFolder(source, channelTypes); source.Problems().Unfit() {
		err = unfit{source.Problems()}
	} else {
		f.ofHub, f.registrar = true, newRegistrar(f.patients)
	}
	if err == nil && f.hub.Store != k.store {
		return nil, errors.New("it is of a hub with another store")
	}
	return f, err
}

// inForce returns the files of the folder in force, for commands.
func (r *reloads) inForce(ctx context.Context) (map[string][]byte, error) {
	if !r.state().Kept {
		return nil, errors.New("there is no copy yet of what is in force")
	}
	return r.copy.get(ctx)
}

// lastGood is the copy that the store has of the last folder that a hub could run with, where the one on disk is broken.
func lastGood(ctx context.Context, dir string, broken unfit, log *slog.Logger) (*folder, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	kept, err := copyOfBroken(ctx, dir)
	if kept.ofHub {
		return nil, errors.New("a hub is already running on this store")
	}
	if err != nil {
		log.Error("no copy of the last good configuration can be had", "error", err.Error())
		return nil, broken
	}
	f, err := kept.load(dir)
	if err != nil {
		log.Error("the copy of the last good configuration cannot be used either", "error", err.Error())
		return nil, broken
	}
	f.broken = broken.problems
	log.Error("THE CONFIGURATION ON DISK CANNOT BE USED: the hub starts with the copy that it kept of the last good one", "problems", len(f.broken))
	for _, p := range f.broken {
		log.Error("configuration", "problem", p.String())
	}
	return f, nil
}
