package stream

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

// A backup is a tar file: for each stream <name>/stream.json, what JetStream says of it, then <name>/000001 and so on,
// the pieces of its snapshot in JetStream's own form; and as its last entry SHA256, the checksum in hex of every byte
// before that entry's header. The shape is a promise.
const (
	backupHead = "stream.json"
	backupSum  = "SHA256"
	backupPart = 512 << 10 // bytes of a piece
)

// errExternal says why only the embedded store is backed up here.
var errExternal = &events.Error{Kind: events.Invalid,
	Message: "The store is on a NATS server of its own. Back that up with its own tools, while no hub runs."}

// Backup writes a copy of the embedded store to w while it works. Every event that was acknowledged before it began is in
// it, and no cursor is beyond its events: the ledger of a partition is copied before its events, and documents after all that names them. Nothing may begin or end
// a generation or a volume meanwhile; writes to one ledger at a time wait while it is copied.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if s.embedded == nil {
		return errExternal
	}
	s.growing.Lock()
	defer s.growing.Unlock()
	sum := sha256.New()
	b := &backup{store: s, out: tar.NewWriter(io.MultiWriter(w, sum))}
	names, err := s.backedUp(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.stream(ctx, name); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return b.finish(w, sum)
}

// backedUp lists the streams in the order of their copying.
func (s *Store) backedUp(ctx context.Context) ([]string, error) {
	rank := func(name string) int {
		kind, _, _ := strings.Cut(name, "-")
		return slices.Index([]string{"LEDGER", "EVENTS", "ARCHIVE", "AUDIT", "NOTICES", "HUB", "DOCUMENTS"}, kind)
	}
	var names []string
	lister := s.js.StreamNames(ctx)
	for name := range lister.Name() {
		if rank(name) >= 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names, lister.Err()
}

type backup struct {
	store *Store
	out   *tar.Writer
}

// stream copies one stream. Values of a ledger or of the hub that are written again meanwhile would move out of the copy's
// way, so those wait.
func (b *backup) stream(ctx context.Context, name string) error {
	if name == "HUB" || strings.HasPrefix(name, "LEDGER-") {
		b.store.still.Lock()
		defer b.store.still.Unlock()
	}
	conn := b.store.reads
	inbox := nats.NewInbox()
	chunks, err := conn.SubscribeSync(inbox)
	if err != nil {
		return away(err)
	}
	defer chunks.Unsubscribe()
	if err := chunks.SetPendingLimits(-1, -1); err != nil {
		return away(err)
	}
	head, err := ask(ctx, conn, "$JS.API.STREAM.SNAPSHOT."+name,
		map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": backupPart})
	if err != nil {
		return err
	}
	if err := b.file(name+"/"+backupHead, head); err != nil {
		return err
	}
	for n := 1; ; n++ {
		bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
		msg, err := chunks.NextMsgWithContext(bounded)
		cancel()
		if err != nil {
			return away(err)
		}
		if len(msg.Data) == 0 {
			return snapshotEnd(msg)
		}
		if err := b.file(fmt.Sprintf("%s/%06d", name, n), msg.Data); err != nil {
			return err
		}
		if msg.Reply != "" {
			if err := conn.Publish(msg.Reply, nil); err != nil {
				return away(err)
			}
		}
	}
}

// snapshotEnd says how a snapshot ended, by the status of its last, empty message.
func snapshotEnd(msg *nats.Msg) error {
	if status := msg.Header.Get("Status"); status != "" && status != "204" {
		return away(fmt.Errorf("the snapshot ended with %s %s", status, msg.Header.Get("Description")))
	}
	return nil
}

func (b *backup) file(name string, data []byte) error {
	if err := b.out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := b.out.Write(data)
	return err
}

// finish writes the checksum of what is before it.
func (b *backup) finish(w io.Writer, sum hash.Hash) error {
	if err := b.out.Flush(); err != nil {
		return err
	}
	last := &backup{out: tar.NewWriter(w)}
	if err := last.file(backupSum, []byte(hex.EncodeToString(sum.Sum(nil)))); err != nil {
		return err
	}
	return last.out.Close()
}

// ask makes one request of JetStream's API, and returns the answer unless it is an error.
func ask(ctx context.Context, conn *nats.Conn, subject string, question any) ([]byte, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	msg, err := conn.RequestWithContext(bounded, subject, body)
	if err != nil {
		return nil, away(err)
	}
	return msg.Data, answerError(msg.Data)
}

func answerError(answer []byte) error {
	var failed struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return failed.Error
	}
	return nil
}

// errDamaged says that a backup is not as it was written.
var errDamaged = errors.New("the backup is damaged or not complete; nothing was restored")

// CheckBackup reads a whole backup and compares its checksum.
func CheckBackup(r io.Reader) error {
	sum := sha256.New()
	var read bytes.Buffer // and not hashed yet
	files := tar.NewReader(struct{ io.Reader }{io.TeeReader(r, &read)})
	for {
		h, err := files.Next()
		if err != nil || read.Len() < tarBlock {
			return errDamaged
		}
		_, _ = sum.Write(read.Next(read.Len() - tarBlock)) // the checksum is of what is before its header
		if h.Name == backupSum {
			content, err := io.ReadAll(files)
			if err != nil || string(content) != hex.EncodeToString(sum.Sum(nil)) {
				return errDamaged
			}
			return nil
		}
		_, err = io.Copy(io.Discard, files) // #nosec G110 -- nothing is decompressed
		if err != nil {
			return errDamaged
		}
		_, _ = read.WriteTo(sum)
	}
}

const tarBlock = 512 // bytes of a header

// Restore makes the store of a backup in o.Dir, which must be empty or not there. The backup is checked first; a damaged
// one changes nothing. The store appears when all of it is there: a restore that is cut off leaves none.
func Restore(ctx context.Context, o Options, backup io.ReadSeeker) error {
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; a backup is restored only into a new store", o.Dir)
	}
	for _, read := range []func(io.Reader) error{CheckBackup, func(r io.Reader) error { return restoreBeside(ctx, o, r) }} {
		if _, err := backup.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := read(backup); err != nil {
			return err
		}
	}
	return nil
}

// restoreBeside restores into a folder beside o.Dir, which then takes its place.
func restoreBeside(ctx context.Context, o Options, backup io.Reader) error {
	final := o.Dir
	o.Dir = strings.TrimRight(final, "/") + ".restoring"
	if err := os.RemoveAll(o.Dir); err != nil {
		return err
	}
	if err := restoreInto(ctx, o, backup); err != nil {
		return errors.Join(err, os.RemoveAll(o.Dir))
	}
	if err := os.Remove(final); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(o.Dir, final); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(final))
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir) // #nosec G304 -- the admin's own folder
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func restoreInto(ctx context.Context, o Options, backup io.Reader) error {
	log := o.Logger
	if log == nil {
		log = slog.Default()
	}
	e, err := embed(o, log)
	if err != nil {
		return err
	}
	defer e.close()
	conn, err := nats.Connect("", nats.InProcessServer(e))
	if err != nil {
		return away(err)
	}
	defer conn.Close()
	r := restoring{conn: conn, files: tar.NewReader(backup)}
	if err := r.run(ctx); err != nil {
		return err
	}
	return syncDirectories(o.Dir)
}

// restoring is a restore under way.
type restoring struct {
	conn  *nats.Conn
	files *tar.Reader
	into  string // subject that takes the pieces of the open stream
}

func (r *restoring) run(ctx context.Context) error {
	for {
		h, err := r.files.Next()
		if err != nil {
			return errDamaged
		}
		content, err := io.ReadAll(r.files)
		if err != nil {
			return errDamaged
		}
		name, file, _ := strings.Cut(h.Name, "/")
		switch {
		case h.Name == backupSum:
			return r.end(ctx)
		case file == backupHead:
			err = r.begin(ctx, name, content)
		default:
			_, err = r.send(ctx, content)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
}

func (r *restoring) begin(ctx context.Context, name string, head []byte) error {
	if err := r.end(ctx); err != nil {
		return err
	}
	var is struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(head, &is); err != nil {
		return errDamaged
	}
	answer, err := ask(ctx, r.conn, "$JS.API.STREAM.RESTORE."+name, is)
	if err != nil {
		return err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := json.Unmarshal(answer, &to); err != nil {
		return err
	}
	r.into = to.Subject
	return nil
}

func (r *restoring) send(ctx context.Context, piece []byte) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	msg, err := r.conn.RequestWithContext(bounded, r.into, piece)
	if err != nil {
		return nil, away(err)
	}
	if len(msg.Data) > 0 {
		return msg.Data, answerError(msg.Data)
	}
	return nil, nil
}

// end closes the open stream, if there is one, and waits until it is there.
func (r *restoring) end(ctx context.Context) error {
	if r.into == "" {
		return nil
	}
	_, err := r.send(ctx, nil)
	r.into = ""
	return err
}
