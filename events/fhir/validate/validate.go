// Package validate runs the npm validators of this folder over FHIR files. It is for tests: of what the encoder writes,
// and of what a running hub really sent.
package validate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"carehub/events"
)

// Run checks files, and folders of *.json, as `node validate.mjs args...` does, and returns what it printed. The error
// says that a file was not as expected, or what to install. The first run installs the packages, which needs npm's
// registry; later ones do so only when the lock file has changed. Paths are relative to the working directory.
func Run(ctx context.Context, args ...string) (string, error) {
	dir, err := Install(ctx, "events/fhir/validate")
	if err != nil {
		return "", err
	}
	args = append([]string{filepath.Join(dir, "validate.mjs")}, args...)
	out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput() // #nosec G204 -- a test's own arguments
	return string(out), err
}

// Install installs the npm packages that a folder of the module, named from its root, has in its lock file, and returns
// the folder. It is for tests too.
func Install(ctx context.Context, folder string) (string, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s is missing: install Node.js 20 or later, which brings node and npm (%w)", tool, err)
		}
	}
	dir, err := find(folder)
	if err != nil {
		return "", err
	}
	return dir, install(ctx, dir)
}

// find finds a folder from anywhere in the module, as tests run in the folders of their packages.
func find(folder string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, filepath.FromSlash(folder)), nil
		}
	}
	return "", errors.New("not inside the module")
}

// install runs npm ci in a folder, once for each content of its lock file, however many test processes ask for it.
func install(ctx context.Context, dir string) error {
	unlock, err := lock(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	defer unlock()
	want, err := os.ReadFile(filepath.Join(dir, "package-lock.json")) // #nosec G304 -- a file of this module
	if err != nil {
		return err
	}
	stamp := filepath.Join(dir, "node_modules", ".installed") // npm ci removes it first of all
	have, _ := os.ReadFile(stamp)                             // #nosec G304 -- as above
	hash := []byte(events.Hash(want))
	if bytes.Equal(have, hash) {
		return nil
	}
	npm := exec.CommandContext(ctx, "npm", "ci")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, out)
	}
	return os.WriteFile(stamp, hash, 0o600)
}

// lock waits until no other process holds the file.
func lock(path string) (unlock func(), err error) {
	f, err := os.Open(path) // #nosec G304 -- a file of this module
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { // #nosec G115 -- a file descriptor is small
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}
