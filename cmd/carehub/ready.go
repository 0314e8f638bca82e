package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// readyCommand is carehub ready: for a container's or a supervisor's health check, where there is no curl.
func readyCommand() *cobra.Command {
	var hub string
	var alive bool
	cmd := &cobra.Command{
		Use: "ready", Short: "Say whether a running hub can do its work, by the exit status", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			why, err := askReady(cmd.Context(), hub, path)
			if err != nil {
				return err
			}
			if why != "" {
				return errors.New("not ready: " + why)
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimPrefix(path, "/")+": yes")
			return nil
		},
	}
	cmd.Flags().StringVar(&hub, "hub", "http://127.0.0.1:8080", "URL that the hub listens on")
	cmd.Flags().BoolVar(&alive, "alive", false, "ask only whether the process lives")
	return cmd
}

// askReady asks a hub and returns why not, empty for yes.
func askReady(ctx context.Context, hub, path string) (why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if u, err := url.Parse(hub); err != nil || u.Host == "" {
		return "", misused("--hub must be the URL of a hub, such as http://127.0.0.1:8080")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(hub, "/")+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := web.Do(req)
	if err != nil {
		return "", fmt.Errorf("the hub does not answer: %w", err)
	}
	defer resp.Body.Close()
	var body struct{ Why string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&body) // a proxy's words are no loss
	if resp.StatusCode != http.StatusOK && body.Why == "" {
		body.Why = fmt.Sprintf("status %d", resp.StatusCode)
	}
	return body.Why, nil
}
