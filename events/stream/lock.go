package stream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"carehub/events"
)

// Lock takes the lock of the store in dir, which lasts until the file is closed or the process ends. nats-server does
// not lock its directory, and two servers on one store would both acknowledge different events. When another process
// has the lock the error is a Conflict with ErrLocked in its chain, and names the process.
func Lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the admin's own folder
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func hold(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a file descriptor
	if errors.Is(err, unix.EWOULDBLOCK) {
		return locked(f)
	}
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}

// unlock gives a lock back at once: a program that is just being started has a copy of the open file until it runs.
func unlock(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // #nosec G115 -- a file descriptor
	_ = f.Close()
}

func locked(f *os.File) error {
	pid, _ := io.ReadAll(io.LimitReader(f, 20))
	message := fmt.Sprintf("The hub is already running on this store (process %s).", strings.TrimSpace(string(pid)))
	return &events.Error{Kind: events.Conflict, Message: message, Err: ErrLocked}
}
