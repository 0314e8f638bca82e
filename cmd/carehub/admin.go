package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// The admin socket lies in the store's folder and belongs to who runs the hub: whoever can open it may do what the CLI
// does when the hub is not running.
const adminSocket = "admin.sock"

// maxSocketPath is the most bytes that the kernel takes as a socket's path (unix(7)), with some left for the terminator.
const maxSocketPath = 100

// socketPath returns a path for the socket that is short enough, reaching the folder through its descriptor if need be.
// The file must stay open while the path is used.
func socketPath(dir string) (string, *os.File, error) {
	folder, err := os.Open(dir) // #nosec G304 -- the admin's own store
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, adminSocket)
	if len(path) > maxSocketPath {
		path = fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), adminSocket)
	}
	return path, folder, nil
}

// listenAdmin opens the admin socket, mode 0600. Whoever holds the store's lock may take over a socket left behind.
func listenAdmin(dir string) (net.Listener, error) {
	path, folder, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, os.Chmod(path, 0o600)
}

// adminRoutes is what the socket answers.
func (h *hub) adminRoutes(d desk, draining <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	tokenRoutes(mux, h.tokens)
	signinRoutes(mux, h.signin, h.noteRevoked)
	heldRoutes(mux, h.receiver)
	storeRoutes(mux, h.archive, h.store)
	clientRoutes(mux, h.oauth.Clients)
	h.endpointDesk(d).adminRoutes(mux, draining)
	inboxRoutes(mux, h.inboxes)
	auditRoutes(mux, h.store)
	reloadRoutes(mux, h.reloads)
	pastRoutes(mux, h.runningPast())
	h.forgetRoutes(mux)
	return mux
}

func adminAnswer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

// askAdmin makes one request of a running hub's admin socket.
func askAdmin(ctx context.Context, dir, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return doAdmin(ctx, dir, method, path, bytes.NewReader(payload), func(answer io.Reader) error {
		return json.NewDecoder(answer).Decode(into)
	})
}

// copyFromAdmin copies what a running hub answers on its admin socket.
func copyFromAdmin(ctx context.Context, dir, path string, w io.Writer) error {
	return doAdmin(ctx, dir, http.MethodGet, path, nil, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
}

func doAdmin(ctx context.Context, dir, method, path string, body io.Reader, take func(io.Reader) error) error {
	socket, folder, err := socketPath(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the hub holds the store but does not answer on its admin socket: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("the hub said: %s", bytes.TrimSpace(text))
	}
	return take(resp.Body)
}
