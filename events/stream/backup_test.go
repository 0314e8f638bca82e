package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

const secret = "0123456789 0123456789 0123456789"

// TestBackupUnderLoad: a backup of a store that takes events and outcomes all the while has everything that was there
// before, no cursor beyond its events, and no key of a ledger lost.
func TestBackupUnderLoad(t *testing.T) {
	s := open(t, stream.Options{Dir: t.TempDir(), Partitions: 2})
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var acknowledged []events.Stored
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				rec := streamtest.Record(fmt.Sprintf("p-n%d", n), fmt.Sprint(i), events.Fall, 2)
				st, _, err := s.Publish(t.Context(), rec, []byte(strings.Repeat("x", 4000)))
				if err != nil {
					t.Error(err)
					return
				}
				// Pages that are written again and again, as a busy ledger is.
				err = s.Put(t.Context(), st.Partition, []events.Entry{{Key: events.LedSubject(st.Partition, st.Seq%64), Value: bytes.Repeat([]byte("y"), 20000)}})
				if err == nil {
					err = s.Put(t.Context(), st.Partition, []events.Entry{{Key: events.CursorSubject(st.Partition), Value: fmt.Append(nil, st.Seq)}})
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, st)
				mu.Unlock()
			}
		})
	}
	for enough := false; !enough; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		enough = len(acknowledged) > 1500
		mu.Unlock()
	}
	mu.Lock()
	before := acknowledged
	mu.Unlock()
	path := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(path) // #nosec G304 -- the test's own
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	stop()
	group.Wait()
	dir := filepath.Join(t.TempDir(), "restored")
	if err := stream.Restore(t.Context(), stream.Options{Dir: dir, Logger: quiet}, f); err != nil {
		t.Fatal(err)
	}
	r := open(t, stream.Options{Dir: dir})
	for _, st := range before {
		if got, ok, err := r.At(t.Context(), st.Partition, st.Seq); !ok || err != nil || got.Record.Event.ID != st.Record.Event.ID {
			t.Fatalf("%s was acknowledged before the backup began; now %v %v", st.Record.Event.ID, ok, err)
		}
	}
	for p := range 2 {
		last, err := r.Last(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		value, ok, err := r.Get(t.Context(), p, events.CursorSubject(p))
		var cursor uint64
		if _, scan := fmt.Sscan(string(value), &cursor); scan != nil || !ok || err != nil || cursor > last {
			t.Errorf("cursor %q of partition %d, whose last event is %d, %v", value, p, last, err)
		}
		if sheets, err := r.List(t.Context(), p, fmt.Sprintf("led.%d.", p)); len(sheets) != 64 || err != nil {
			t.Errorf("%d sheets of 64 in partition %d, %v", len(sheets), p, err)
		}
	}
	if _, _, err := r.Publish(t.Context(), streamtest.Record("p-new", "new", events.Fall, 1), []byte("x")); err != nil {
		t.Errorf("the restored store takes no events: %v", err)
	}
}

var quiet = slog.New(slog.DiscardHandler)

// TestRestoreRefuses: a store that is there, and a backup that is damaged or cut anywhere.
func TestRestoreRefuses(t *testing.T) {
	s := open(t, stream.Options{Dir: t.TempDir(), Partitions: 1})
	if err := s.Grow(t.Context(), 2); err != nil { // sealed streams and all
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := s.Backup(t.Context(), &whole); err != nil {
		t.Fatal(err)
	}
	restore := func(dir string, b []byte) error {
		return stream.Restore(t.Context(), stream.Options{Dir: dir, Logger: quiet}, bytes.NewReader(b))
	}
	dir := t.TempDir()
	const tail = 1536 // the checksum itself, padding, and tar's two empty blocks
	for n := 0; n < whole.Len()-tail; n += whole.Len()/40 + 1 {
		broken := bytes.Clone(whole.Bytes())
		broken[n] ^= 1
		if restore(filepath.Join(dir, "broken"), broken) == nil || restore(filepath.Join(dir, "cut"), whole.Bytes()[:n]) == nil {
			t.Fatalf("restored although byte %d is wrong or everything from there is missing", n)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	if err := restore(filepath.Join(dir, "good"), whole.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := restore(filepath.Join(dir, "good"), whole.Bytes()); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("over a store: %v", err)
	}
	if r := open(t, stream.Options{Dir: filepath.Join(dir, "good")}); r.Partitions() != 2 {
		t.Errorf("%d partitions", r.Partitions())
	}
}

// TestEncrypted: nothing that a carer said is readable in the files of an encrypted store, which opens with its key only;
// and a store that is not encrypted becomes so by way of a backup.
func TestEncrypted(t *testing.T) {
	const words = "he fell in the kitchen beside the blue folder"
	plain := t.TempDir()
	s := open(t, stream.Options{Dir: plain})
	rec := streamtest.Record("p-7f3k", "key", events.Fall, 2)
	rec.Event.Words = words
	if _, _, err := s.Publish(t.Context(), rec, []byte(words)); err != nil {
		t.Fatal(err)
	}
	var backup bytes.Buffer
	if err := s.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	if !readable(t, plain, words) {
		t.Fatal("this test looks in the wrong place")
	}
	refused := func(o stream.Options, want string) {
		t.Helper()
		o.Logger = quiet
		if s, err := stream.Open(t.Context(), o); err == nil {
			_ = s.Close(t.Context())
			t.Errorf("opened")
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused(stream.Options{Dir: plain, Key: secret}, "is not encrypted")
	dir := filepath.Join(t.TempDir(), "store")
	if err := stream.Restore(t.Context(), stream.Options{Dir: dir, Key: secret, Logger: quiet}, bytes.NewReader(backup.Bytes())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, stream.Options{Dir: dir, Key: secret})
		if _, err := s.Find(t.Context(), rec.Event.ID); err != nil {
			t.Error(err)
		}
		if _, _, err := s.Publish(t.Context(), streamtest.Record("p-7f3k", rand(), events.Fall, 2), []byte(words)); err != nil {
			t.Error(err)
		}
		_ = s.Close(t.Context())
	}
	if readable(t, dir, words) || readable(t, dir, "p-7f3k") {
		t.Error("a patient's words or pseudonym can be read in the files of the store")
	}
	refused(stream.Options{Dir: dir}, "is encrypted: give its store_key")
	refused(stream.Options{Dir: dir, Key: secret + "!"}, "is not the key")
	refused(stream.Options{Dir: t.TempDir(), Key: "short"}, "at least 32")
}

func rand() string { return fmt.Sprint(time.Now().UnixNano()) }

// readable looks for text in every file under dir, names too.
func readable(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path) // #nosec G304 -- the test's own
		found = found || bytes.Contains(content, []byte(text)) || strings.Contains(path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
