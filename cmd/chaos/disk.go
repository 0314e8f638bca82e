package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSize is large enough for a long run, and only as large on the real disk as what is written.
const diskSize = 4 << 30

// disk is a small file system of its own for a hub's store, to be filled up.
type disk struct {
	image, at, ballast string
}

func newDisk(dir, at string) (*disk, error) {
	image := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(image, diskSize); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", image); err != nil {
		return nil, err
	}
	return mountDisk(image, at)
}

// mountDisk mounts an image. Only an fsync writes its journal: what nobody has synced does not reach it by the way.
func mountDisk(image, at string) (*disk, error) {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, err
	}
	if err := command("mount", "-o", "loop,commit=600", image, at); err != nil {
		return nil, err
	}
	return &disk{image: image, at: at, ballast: filepath.Join(at, "ballast")}, nil
}

func command(args ...string) error {
	cmd := exec.Command(args[0], args[1:]...) // #nosec G204 -- fixed programs
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("a disk for the store (%s; needs root): %w: %s", args[0], err, out)
	}
	return nil
}

// fill takes all that is free.
func (d *disk) fill() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.at, &fs); err != nil {
		return err
	}
	f, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	free := int64(fs.Bavail) * fs.Bsize                                             // #nosec G115 -- of a disk of diskSize
	for size := free; size > 0 && unix.Fallocate(int(f.Fd()), 0, 0, size) != nil; { // #nosec G115 -- a descriptor
		size -= 4 << 20 // the hub has taken some meanwhile
	}
	return nil
}

func (d *disk) empty() error { return os.Remove(d.ballast) }

func (d *disk) remove() { _ = command("umount", d.at) }
