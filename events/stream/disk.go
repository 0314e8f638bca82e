package stream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Free disk that is never used for new events, so that JetStream, which stops for good at its first failed write, is not
// brought there by us; the ledger may go on into the first half of it, to settle what was already accepted, and so may the
// numbers of events. What is written about readers and endpoints stops first: nobody who reads again and again keeps events
// from being stored. Before them stop documents, which are the largest.
const (
	documentReserve = 4 * eventReserve
	recordReserve   = 2 * eventReserve
	eventReserve    = 64 << 20
	ledgerReserve   = eventReserve / 2
)

var errDiskFull = errors.New("the disk of the store is nearly full")

// room fails when less than reserve bytes of dir's disk are free.
func room(dir string, reserve uint64) error {
	free, _, err := disk(dir)
	if err == nil && free < reserve {
		return errDiskFull
	}
	return err
}

func disk(dir string) (free, size uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize) // #nosec G115 -- a block size is positive
	return st.Bavail * block, st.Blocks * block, nil
}

// syncDirectories makes the names of the directories under dir durable, and what streams are set up as. nats-server syncs files
// but not the directories they are in, and of a stream that is written to later (PersistMode async) not even its metadata,
// without which it and the store do not start. Both appear when streams are created, so doing this once at opening covers
// them. The later block files need no help on ext4, xfs and btrfs: there the fsync of a new file, which precedes every
// acknowledgement, makes its name durable too.
func syncDirectories(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a consumer's, gone since it was listed
			return nil
		}
		if err != nil || !d.IsDir() && !strings.HasPrefix(d.Name(), "meta.") {
			return err
		}
		f, err := os.Open(path) // #nosec G304 G122 -- the store's own folder, mode 0700
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}
