package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"carehub/config"
	"carehub/subscribers"
)

// Bounds of what is read from a git repository.
const (
	gitTimeout  = time.Minute
	maxRevision = 256 << 20 // bytes of a folder
)

// checkout writes the files of a folder in a git revision, such as HEAD~1:care, to an empty folder; private files are left
// out. The revision is read from the repository that dir is in, with nothing fetched, no filter run and no user asked.
func checkout(ctx context.Context, dir, revision, into string) error {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	tree, err := git(ctx, dir, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", revision)
	if err != nil {
		return fmt.Errorf("git knows no such folder in such a revision%s", detail(err))
	}
	listed, err := git(ctx, dir, nil, "ls-tree", "-r", "-z", "-l", "--full-tree", strings.TrimSpace(string(tree)))
	if err != nil {
		return fmt.Errorf("git cannot list the revision%s", detail(err))
	}
	files, err := blobs(listed)
	if err != nil {
		return err
	}
	var ids bytes.Buffer
	for _, f := range files {
		fmt.Fprintln(&ids, f.id)
	}
	contents, err := git(ctx, dir, &ids, "cat-file", "--batch")
	if err != nil {
		return fmt.Errorf("git cannot read the revision%s", detail(err))
	}
	return unpack(contents, files, into)
}

// blob is a file in a git repository.
type blob struct{ id, path string }

// blobs reads what ls-tree lists: mode, type, id and size, a tab, the path and a zero byte for each. What is no plain file, as a
// link, is no file of a configuration folder.
func blobs(listed []byte) (files []blob, err error) {
	total := 0
	private := []string{config.PatientsFile, subscribers.CarersFile}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		about, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if len(fields) != 4 || fields[1] != "blob" || !strings.HasPrefix(fields[0], "100") || slices.Contains(private, path) {
			continue
		}
		size, err := strconv.Atoi(fields[3])
		if total += size; err != nil || total > maxRevision {
			return nil, errors.New("too large for a configuration folder")
		}
		files = append(files, blob{fields[2], path})
	}
	return files, nil
}

// unpack writes what cat-file answers: for each file a line with id, type and size, its contents, and a line break.
func unpack(contents []byte, files []blob, into string) error {
	in := bufio.NewReader(bytes.NewReader(contents))
	root, err := os.OpenRoot(into) // what git calls a path cannot lead out of it
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		var id, sort string
		var size int64
		if _, err := fmt.Fscanf(in, "%s %s %d\n", &id, &sort, &size); err != nil || id != f.id || sort != "blob" {
			return errors.New("git cannot read all files of the revision")
		}
		data, err := io.ReadAll(io.LimitReader(in, size))
		if err == nil {
			_, err = in.Discard(1)
		}
		if err == nil {
			err = root.MkdirAll(filepath.FromSlash(filepath.Dir(f.path)), 0o700)
		}
		if err == nil {
			err = root.WriteFile(filepath.FromSlash(f.path), data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// git runs a git command that only reads, in a folder, and returns what it prints.
func git(ctx context.Context, dir string, in io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...) // #nosec G204 -- no argument is taken for an option
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1")
	cmd.Stdin = in
	cmd.WaitDelay = time.Second
	return cmd.Output()
}

// detail is what git said went wrong, if it said something.
func detail(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if said := bytes.TrimSpace(exit.Stderr); len(said) > 0 {
			return ": " + string(said)
		}
		return ""
	}
	return ": " + err.Error()
}
