package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"time"

	"carehub/config/strict"
)

// watch finds out when the files of a folder have changed, and are not just being changed: whoever changes several, one after
// another, is waited for. Names, sizes and times are looked at, and only if one of these is another are the files read.
type watch struct {
	dir   string
	key   []byte   // of the hashes, which must not give away what is in the private files
	named []string // paths of files that those of the folder name, such as secrets
	last  *strict.Snapshot

	settled string // hash of what was last tried
	pending string // hash of what the last look found, if that was another
	glance  string // when that was; "" if the files are to be read in any case
}

// newWatch begins with what was read from a folder.
func newWatch(read *strict.Folder, key []byte) *watch {
	w := &watch{dir: read.Dir, key: key, last: read.Snapshot}
	w.settle(read)
	return w
}

// broken says that the folder on disk is another than that which was read.
func (w *watch) broken() {
	now := &strict.Folder{Dir: w.dir, Snapshot: w.take()}
	w.settled = w.hash(now.Snapshot)
}

// take reads what has been written since it was last read.
func (w *watch) take() *strict.Snapshot {
	w.last = w.last.Again(w.dir, ourFolders...)
	return w.last
}

// settle notes what was tried, and returns its hash.
func (w *watch) settle(tried *strict.Folder) string {
	w.named = slices.Compact(slices.Sorted(slices.Values(append(w.named, tried.AllNamed()...))))
	w.settled, w.pending, w.glance = w.hashOf(tried), "", ""
	return w.settled
}

// look returns what is on disk if it is not what was last tried, and is as the last look found it.
func (w *watch) look() *strict.Folder {
	seen := w.peek()
	if w.glance != "" && seen == w.glance {
		return nil
	}
	files := w.take()
	hash := w.hash(files)
	w.glance = ""
	switch hash {
	case w.settled:
		w.pending, w.glance = "", seen
	case w.pending:
		return &strict.Folder{Dir: w.dir, Snapshot: files}
	default:
		w.pending = hash
	}
	return nil
}

// now returns what is on disk as soon as it is the same for a moment. Whoever asks has all of it read: the times of a file system may
// be wrong.
func (w *watch) now(ctx context.Context) *strict.Folder {
	w.last = &strict.Snapshot{}
	last := ""
	for looks := 0; ; looks++ {
		files := w.take()
		hash := w.hash(files)
		if hash == last || looks == reloadLooks || ctx.Err() != nil {
			return &strict.Folder{Dir: w.dir, Snapshot: files}
		}
		last = hash
		select {
		case <-ctx.Done():
		case <-time.After(reloadSettle):
		}
	}
}

// peek tells without reading whether anything has changed; "" if a change of this moment could not be seen.
func (w *watch) peek() string {
	h := sha256.New()
	newest := strict.Glance(h, w.dir, ourFolders, w.named)
	if time.Since(newest) < time.Second {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hash is of everything that the files say, and those that they name.
func (w *watch) hash(files *strict.Snapshot) string { return w.hashOf(&strict.Folder{Snapshot: files}) }

// hashOf is hash of a folder that was read: what it names is as it was then, for that may have changed since.
func (w *watch) hashOf(read *strict.Folder) string {
	h := hmac.New(sha256.New, w.key)
	read.Snapshot.Sum(h)
	for _, path := range w.named {
		sum, known := read.NamedSum(path)
		if !known {
			data, _ := os.ReadFile(path) // #nosec G304 -- the admin's own; one that cannot be read is as good as none
			sum = sha256.Sum256(data)
		}
		h.Write([]byte(path))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
