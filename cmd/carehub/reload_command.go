package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"carehub/config"
)

func reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reload [DIR]", Short: "Have a running hub read its configuration folder now, and say what came of it", Args: cobra.MaximumNArgs(1),
		Long: "Have the hub that runs with the configuration folder DIR read it now. It does so by itself some seconds after a change: this\n" +
			"waits for it, and says what came of it. If a hub cannot run with the folder the last good one stays in force. A hub whose store\n" +
			"is on a NATS server is told by a signal: kill -HUP.\n\n" +
			"What is wrong with a folder that is in force is printed as carehub check does: warnings, and whom its rules do not reach. Exit\n" +
			"status: 0 when the folder is in force, be it with those; 1 when it is not, or when no hub runs.",
		RunE: func(cmd *cobra.Command, args []string) error {
			hub := config.LoadStore(folderOf(args)) // the rest may be broken
			if hub.NATS != nil || hub.Store == "" {
				return errors.New("a hub whose store is on a NATS server is told by a signal: kill -HUP")
			}
			var now reloadState
			err := askAdmin(cmd.Context(), hub.Store, http.MethodPost, "/reload", nil, &now)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				return exitError{1, "no hub runs on this folder's store: whichever starts reads the folder"}
			}
			if err != nil {
				return err
			}
			return showReload(cmd, now)
		},
	}
}

func showReload(cmd *cobra.Command, now reloadState) error {
	out := cmd.OutOrStdout()
	for _, key := range now.Waiting {
		fmt.Fprintf(out, "hub.yaml: %s has changed and waits for a restart\n", key)
	}
	if now.ok() {
		for _, p := range now.Found {
			fmt.Fprintln(out, p)
		}
		fmt.Fprintf(out, "in force: rules %s\n", now.Rules)
		return nil
	}
	for _, p := range now.Problems {
		fmt.Fprintln(out, p)
	}
	return exitError{1, "not in force: the hub goes on with what it had, rules " + now.Rules + " since " + now.Since.Format(time.RFC3339)}
}

// reloadRoutes is what the admin socket answers about the configuration.
func reloadRoutes(mux *http.ServeMux, r *reloads) {
	mux.HandleFunc("GET /reload", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, r.state(), nil) })
	mux.HandleFunc("GET /folder", func(w http.ResponseWriter, q *http.Request) {
		files, err := r.inForce(q.Context())
		adminAnswer(w, files, err)
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, q *http.Request) {
		ctx, cancel := context.WithTimeout(q.Context(), 9*time.Second)
		defer cancel()
		now, err := r.ask(ctx)
		adminAnswer(w, now, err)
	})
}
