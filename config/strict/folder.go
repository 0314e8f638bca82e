package strict

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Folder is one configuration folder being read. It collects what is wrong with it. It is not safe for concurrent use.
type Folder struct {
	Dir string
	// NoSecrets checks the folder where its secrets are not, as in CI: references must be well formed but are not
	// followed, and a Secret that is given reveals "".
	NoSecrets bool
	// GroupReads lets the group of a private file read it, as where files are mounted for a process that does not own them.
	GroupReads bool

	// Snapshot, if set, is read in place of the YAML files on disk.
	Snapshot *Snapshot

	private  []string                     // files of which nothing may be quoted
	secrets  []string                     // files of the folder that secrets were read from
	named    []string                     // paths that files name
	sums     map[string][sha256.Size]byte // of what these said when they were first read
	problems Problems
}

// Report records a problem.
func (f *Folder) Report(code Code, at Pos, format string, args ...any) {
	f.problems = append(f.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...)})
}

// Warn records a problem that does not stop the folder from being used.
func (f *Folder) Warn(code Code, at Pos, format string, args ...any) {
	f.problems = append(f.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...), Warning: true})
}

// reported reports whether something is wrong at exactly this place.
func (f *Folder) reported(at Pos) bool {
	return slices.ContainsFunc(f.problems, func(p Problem) bool { return p.Pos == at && !p.Warning })
}

// Gap records an error that a hub can run with.
func (f *Folder) Gap(code Code, at Pos, format string, args ...any) {
	f.problems = append(f.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...), Gap: true})
}

// Problems returns everything found so far, sorted by file and position.
func (f *Folder) Problems() Problems {
	return slices.Compact(slices.SortedFunc(slices.Values(f.problems), compare))
}

// Path returns where name is on disk; a relative name counts from the folder.
func (f *Folder) Path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(f.Dir, filepath.FromSlash(name))
}

// Has reports whether the folder has a file or folder of this name.
func (f *Folder) Has(name string) bool {
	if f.Snapshot != nil && (f.Snapshot.has(name) || isYAML(path.Base(name)) && !filepath.IsAbs(name)) {
		return f.Snapshot.has(name)
	}
	_, err := os.Stat(f.Path(name))
	return err == nil
}

// Data returns what a file of the folder says.
func (f *Folder) Data(name string) ([]byte, error) {
	if f.Snapshot != nil {
		return f.Snapshot.read(name)
	}
	return os.ReadFile(f.Path(name)) // #nosec G304 -- name is one of ours or was listed in the folder
}

// Named returns what a file says that another one names, such as a certificate. The path is the admin's own.
func (f *Folder) Named(name string) ([]byte, error) {
	return f.readNamed(name, -1)
}

func (f *Folder) readNamed(name string, limit int64) ([]byte, error) {
	path := f.Path(name)
	f.named = append(f.named, path)
	data, err := readAtMost(path, limit)
	if _, again := f.sums[path]; !again && (limit < 0 || int64(len(data)) <= limit) {
		if f.sums == nil {
			f.sums = map[string][sha256.Size]byte{}
		}
		f.sums[path] = sha256.Sum256(data)
	}
	return data, err
}

// NamedSum is the SHA-256 of what one of AllNamed said when it was read; false if it was not, or not to its end. One that could not be
// read counts as empty.
func (f *Folder) NamedSum(path string) (sum [sha256.Size]byte, ok bool) {
	sum, ok = f.sums[path]
	return sum, ok
}

// AllNamed returns the paths of all files that others name, secrets too, as far as they were read.
func (f *Folder) AllNamed() []string { return slices.Compact(slices.Sorted(slices.Values(f.named))) }

// Names returns the names of what is in the folder, or in a folder of it, sorted.
func (f *Folder) Names(sub string) ([]string, error) {
	if f.Snapshot != nil && f.Snapshot.has(sub) {
		return f.Snapshot.names[sub], nil
	}
	entries, err := os.ReadDir(f.Path(sub))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Read parses one file and returns its top, a mapping in all our files. ok is false when there is nothing to decode; why
// has then been reported.
func (f *Folder) Read(name string) (top Node, ok bool) {
	data, err := f.Data(name)
	if err != nil {
		f.Report(Unreadable, Pos{name, 1, 1}, "cannot read this file: %s", reason(err))
		return Node{}, false
	}
	return f.parse(name, data)
}

// ReadPrivate is Read for a file that is kept out of version control: where the folder is checked without secrets it may
// be missing, which is then only a warning. No problem quotes what is in it.
func (f *Folder) ReadPrivate(name string) (top Node, ok bool) {
	f.private = append(f.private, name)
	if f.NoSecrets && !f.Has(name) {
		f.Warn(PrivateMissing, Pos{name, 1, 1}, "this file is not here, so nothing was checked against it")
		return Node{}, false
	}
	f.CheckMode(name)
	return f.Read(name)
}

// CheckMode reports a private file that others than its owner may read or write. A hub can run with it: to tell nobody would
// be worse. Where a folder is checked without secrets the files are copies, and nobody's business.
func (f *Folder) CheckMode(name string) {
	info, err := os.Stat(f.Path(name))
	if err != nil || f.NoSecrets {
		return // reported when it is read
	}
	allowed, advice := fs.FileMode(0o700), "chmod 600"
	if f.GroupReads {
		allowed, advice = 0o740, "chmod 640"
	}
	if info.Mode().Perm()&^allowed != 0 {
		f.Gap(OpenToOthers, Pos{name, 1, 1}, "others than its owner may read or write this file (mode %04o): %s %s", info.Mode().Perm(), advice, name)
	}
}

// CheckSecrets reports files of the folder that secrets were read from and that CheckMode would report, unless nobody else gets to
// them, as in a folder of mode 0700. It is called when all files have been read. Those elsewhere, such as in /run/secrets, are not the admin's to change.
func (f *Folder) CheckSecrets() {
	for _, name := range f.secrets {
		if in, err := os.Stat(filepath.Dir(f.Path(name))); err == nil && in.Mode().Perm()&0o011 != 0 {
			f.CheckMode(name)
		}
	}
}

// Quote is text of a file in quotes, with a space before it, for a message; "" where the file is private.
func (f *Folder) Quote(file, text string) string {
	if slices.Contains(f.private, file) {
		return ""
	}
	return " " + strconv.Quote(text)
}

// List returns the YAML files in a folder of the folder, sorted. Files that are not YAML are none of ours; one named .yml
// is a mistake that would go unnoticed.
func (f *Folder) List(sub string) []string {
	entries, err := f.Names(sub)
	if err != nil {
		f.Report(Unreadable, Pos{sub, 1, 1}, "cannot read this folder: %s", reason(err))
		return nil
	}
	var names []string
	for _, base := range entries {
		name := sub + "/" + base
		switch ext := filepath.Ext(name); {
		case strings.HasPrefix(base, "."):
		case ext == ".yml":
			f.Report(FileName, Pos{name, 1, 1}, "this file would not be read: its name must end in .yaml")
		case ext == ".yaml":
			names = append(names, name)
		}
	}
	return names
}

// reason says why a file could not be read without the path, which the message around it names.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return "it cannot be read"
}
