package strict

import (
	"encoding/binary"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Snapshot is the YAML files of a folder, each read once, so that all that is made of them agrees. It does not change.
type Snapshot struct {
	files map[string]taken    // by their names in the folder, with slashes
	names map[string][]string // of what is in each folder of the folder, sorted; the folder itself is ""
}

type taken struct {
	data []byte
	err  error // why it could not be read
}

// Take reads the YAML files at the top of a folder and in those of its folders that are named.
func Take(dir string, folders ...string) *Snapshot {
	s := &Snapshot{files: map[string]taken{}, names: map[string][]string{}}
	for _, sub := range append([]string{""}, folders...) {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(sub)))
		if err != nil {
			continue // whoever lists it finds out
		}
		for _, e := range entries {
			s.names[sub] = append(s.names[sub], e.Name())
			if isYAML(e.Name()) && !e.IsDir() {
				data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(sub), e.Name())) // #nosec G304 -- it was listed in the folder
				s.files[within(sub, e.Name())] = taken{data, err}
			}
		}
	}
	return s
}

// Without leaves out files at the top of the folder, as if they were not there.
func (s *Snapshot) Without(names ...string) *Snapshot {
	for _, name := range names {
		delete(s.files, name)
	}
	s.names[""] = slices.DeleteFunc(s.names[""], func(name string) bool { return slices.Contains(names, name) })
	return s
}

// NewSnapshot is one of files that were kept.
func NewSnapshot(files map[string][]byte) *Snapshot {
	s := &Snapshot{files: map[string]taken{}, names: map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.files[name] = taken{data: files[name]}
		for at := name; at != ""; { // sorted, what is in one folder stands together
			above, base := "", at
			if i := strings.LastIndexByte(at, '/'); i >= 0 {
				above, base = at[:i], at[i+1:]
			}
			if in := s.names[above]; len(in) > 0 && in[len(in)-1] == base {
				break
			}
			s.names[above] = append(s.names[above], base)
			at = above
		}
	}
	return s
}

// Files returns all that could be read, to be kept. The bytes are shared: do not change them.
func (s *Snapshot) Files() map[string][]byte {
	all := make(map[string][]byte, len(s.files))
	for name, file := range s.files {
		if file.err == nil {
			all[name] = file.data
		}
	}
	return all
}

// Sum adds all files to h. What lies beside them, such as the store, says nothing.
func (s *Snapshot) Sum(h hash.Hash) {
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		file := s.files[name]
		sumPart(h, []byte(name), file.data, fmt.Append(nil, file.err))
	}
}

// sumPart adds parts to h, so that no others look alike.
func sumPart(h hash.Hash, parts ...[]byte) {
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
}

func (s *Snapshot) read(name string) ([]byte, error) {
	file, known := s.files[name]
	if !known {
		return nil, fs.ErrNotExist
	}
	return file.data, file.err
}

// has reports whether there is a file or folder of this name.
func (s *Snapshot) has(name string) bool {
	_, file := s.files[name]
	_, folder := s.names[name]
	return file || folder
}

// Glance adds to h what tells without reading whether anything has changed since: names, sizes, times and numbers of the files
// that Take reads and of others, and returns when the newest changed. It costs a call of the system for each.
func Glance(h hash.Hash, dir string, folders, others []string) (newest time.Time) {
	look := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			sumPart(h, []byte(path), fmt.Append(nil, err))
			return
		}
		at := info.ModTime()
		var number uint64
		if stat, ok := info.Sys().(*syscall.Stat_t); ok { // the time of change cannot be set, unlike the other
			at, number = time.Unix(stat.Ctim.Unix()), stat.Ino
		}
		if at.After(newest) {
			newest = at
		}
		sumPart(h, []byte(path), fmt.Append(nil, info.Size(), at.UnixNano(), number))
	}
	for _, sub := range append([]string{""}, folders...) {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(sub)))
		sumPart(h, []byte(sub), fmt.Append(nil, err))
		for _, e := range entries {
			if isYAML(e.Name()) {
				look(filepath.Join(dir, filepath.FromSlash(sub), e.Name()))
			} else {
				sumPart(h, []byte(e.Name()))
			}
		}
	}
	for _, path := range others {
		look(path)
	}
	return newest
}

// isYAML also takes in the names that List reports.
func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (ext == ".yaml" || ext == ".yml")
}

func within(sub, base string) string {
	if sub == "" {
		return base
	}
	return sub + "/" + base
}
