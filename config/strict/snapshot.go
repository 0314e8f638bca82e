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
	data  []byte
	err   error // why it could not be read
	stamp stamp // when it was; none if a change of the same moment could not be told from it
}

// Take reads the YAML files at the top of a folder and in those of its folders that are named.
func Take(dir string, folders ...string) *Snapshot { return (&Snapshot{}).Again(dir, folders...) }

// Again is Take of a folder that was taken before: what has not been written since is not read again.
func (s *Snapshot) Again(dir string, folders ...string) *Snapshot {
	now := &Snapshot{files: map[string]taken{}, names: map[string][]string{}}
	for _, sub := range append([]string{""}, folders...) {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(sub)))
		if err != nil {
			continue // whoever lists it finds out
		}
		for _, e := range entries {
			now.names[sub] = append(now.names[sub], e.Name())
			if isYAML(e.Name()) && !e.IsDir() {
				name := within(sub, e.Name())
				now.files[name] = s.files[name].again(filepath.Join(dir, filepath.FromSlash(sub), e.Name()))
			}
		}
	}
	return now
}

// again reads a file, unless it is as it was.
func (t taken) again(path string) taken {
	at := time.Now()
	info, err := os.Stat(path)
	if err != nil {
		return taken{err: err}
	}
	seen := stampOf(info)
	if t.stamp == seen {
		return t
	}
	data, err := os.ReadFile(path) // #nosec G304 -- it was listed in the folder
	if err != nil || at.Sub(seen.changed) < time.Second {
		seen = stamp{}
	}
	return taken{data, err, seen}
}

// stamp tells without reading whether a file has changed.
type stamp struct {
	size    int64
	changed time.Time
	number  uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), changed: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok { // the time of change cannot be set, unlike the other
		s.changed, s.number = time.Unix(stat.Ctim.Unix()), stat.Ino
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
		s := stampOf(info)
		if s.changed.After(newest) {
			newest = s.changed
		}
		sumPart(h, []byte(path), fmt.Append(nil, s.size, s.changed.UnixNano(), s.number))
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
