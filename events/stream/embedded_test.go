package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

// TestMain lets this binary be the process that a test kills or starves.
func TestMain(m *testing.M) {
	switch os.Getenv("STREAM_TEST_CHILD") {
	case "publish":
		publishForEver(os.Getenv("STREAM_TEST_DIR"))
	default:
		os.Exit(run(m))
	}
}

func wantWords(t *testing.T, err error, words string) {
	t.Helper()
	var all []string
	for e := err; e != nil; e = errors.Unwrap(e) {
		all = append(all, e.Error())
	}
	if !strings.Contains(strings.Join(all, ": "), words) {
		t.Errorf("error is %q, want words %q", all, words)
	}
}

func child(kind, dir string, arguments ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], arguments...) // #nosec G204 -- this test binary
	c.Env = append(os.Environ(), "STREAM_TEST_CHILD="+kind, "STREAM_TEST_DIR="+dir)
	return c
}

// publishForEver prints the id of each event and the key of each ledger entry after it was acknowledged.
func publishForEver(dir string) {
	s, err := stream.Open(context.Background(), stream.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var print sync.Mutex
	for n := range 16 {
		go func() {
			for i := 0; ; i++ {
				rec := streamtest.Record(fmt.Sprintf("p-n%d", n), fmt.Sprint(os.Getpid(), i), events.Fall, 4)
				if i%20 == 0 {
					rec = streamtest.Record(fmt.Sprintf("p-n%d", n), fmt.Sprint(os.Getpid(), i), events.Fall, 400)
				}
				stored, _, err := s.Publish(context.Background(), rec, []byte(strings.Repeat("x", 3000)))
				entry := events.Entry{Key: events.LedSubject(stored.Partition, stored.Seq), Value: []byte("1")}
				if err == nil {
					err = s.Put(context.Background(), stored.Partition, []events.Entry{entry})
				}
				print.Lock()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(rec.Event.ID, entry.Key, len(rec.Plan.Recipients))
				print.Unlock()
			}
		}()
	}
	select {}
}

// TestKill: whatever was acknowledged before a kill -9 is there afterwards, plan and ledger too.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	for round := range 3 {
		c := child("publish", dir)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == 200+round*77 {
				_ = c.Process.Kill()
			}
		}
		_ = c.Wait()
	}
	s := open(t, stream.Options{Dir: dir})
	for _, line := range acknowledged {
		var id, key string
		var recipients int
		if n, _ := fmt.Sscan(line, &id, &key, &recipients); n < 3 {
			continue // cut by the kill
		}
		stored, err := s.Find(t.Context(), id)
		if err != nil || len(stored.Message) != 3000 || len(stored.Record.Plan.Recipients) != recipients {
			t.Fatalf("%s was acknowledged; now %v, %d recipients", id, err, len(stored.Record.Plan.Recipients))
		}
		if _, ok, err := s.Get(t.Context(), stored.Partition, key); !ok || err != nil {
			t.Fatalf("%s was acknowledged; now %v %v", key, ok, err)
		}
	}
	if len(acknowledged) < 600 {
		t.Errorf("only %d events were acknowledged", len(acknowledged))
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	_, err := stream.Open(t.Context(), stream.Options{Dir: dir})
	if !errors.Is(err, stream.ErrLocked) || events.KindOf(err) != events.Conflict {
		t.Errorf("a second store gave %v", err)
	}
	wantWords(t, err, fmt.Sprintf("already running on this store (process %d)", os.Getpid()))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(t, stream.Options{Dir: dir})
}

// TestReopen: a store is what its directory holds, here or copied elsewhere, and keeps its number of partitions.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir, Partitions: 2})
	rec := streamtest.Record("p-7f3k", "key", events.Fall, 500)
	if _, _, err := s.Publish(t.Context(), rec, []byte("fell")); err != nil {
		t.Fatal(err)
	}
	format, _, _, err := s.HubGet(t.Context(), "hub.store.format")
	if err != nil || string(format) != `{"version":1,"partitions":2,"generation":1}` {
		t.Errorf("format is %s, %v", format, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Open(t.Context(), stream.Options{Dir: moved, Partitions: 4}); err == nil {
		t.Error("opened with another number of partitions")
	} else {
		wantWords(t, err, "created with 2 partitions, not 4")
	}
	s = open(t, stream.Options{Dir: moved})
	found, err := s.Find(t.Context(), rec.Event.ID)
	if err != nil || s.Partitions() != 2 || string(found.Message) != "fell" || len(found.Record.Plan.Recipients) != 500 {
		t.Errorf("in the copy: %d partitions, %s, %v", s.Partitions(), found.Message, err)
	}
}

// TestNewerFormat: a store that a later carehub wrote is left alone.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	_, revision, _, err := s.HubGet(t.Context(), "hub.store.format")
	if err != nil {
		t.Fatal(err)
	}
	newer, _ := json.Marshal(map[string]int{"version": 2, "partitions": 4, "generation": 1})
	if _, err := s.HubPut(t.Context(), "hub.store.format", newer, revision); err != nil {
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	if _, err = stream.Open(t.Context(), stream.Options{Dir: dir}); err == nil {
		t.Fatal("opened")
	}
	wantWords(t, err, "the store has format 2")
}

// TestPrivate: nobody else on the machine may read the store.
func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open(t, stream.Options{Dir: dir})
	for _, path := range []string{dir, filepath.Join(dir, "lock")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
}

// TestFull: a store at its limit refuses events, loses none, and takes them again when the limit is raised.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir, MaxBytes: 1 << 20})
	var kept []events.Record
	var refused events.Record
	var err error
	for i := 0; err == nil; i++ {
		refused = streamtest.Record("p-7f3k", fmt.Sprint(i), events.Fall, 1)
		if _, _, err = s.Publish(t.Context(), refused, make([]byte, 50<<10)); err == nil {
			kept = append(kept, refused)
		}
	}
	if events.KindOf(err) != events.Unavailable || len(kept) < 10 {
		t.Errorf("after %d events: %v", len(kept), err)
	}
	wantWords(t, err, "Nothing was saved")
	if _, err := s.Find(t.Context(), refused.Event.ID); events.KindOf(err) != events.NotFound {
		t.Errorf("a refused event: %v", err)
	}
	_ = s.Close(t.Context())
	s = open(t, stream.Options{Dir: dir})
	if _, created, err := s.Publish(t.Context(), refused, []byte("x")); !created || err != nil {
		t.Errorf("with room again: %v %v", created, err)
	}
	for _, rec := range kept {
		if _, err := s.Find(t.Context(), rec.Event.ID); err != nil {
			t.Errorf("an acknowledged event: %v", err)
		}
	}
}

// TestDiskFails: a disk that refuses a write makes Publish fail, and the store works again, by itself, when the disk does.
// The limit on the size of files stands in for a full disk, in a process of its own because it holds for all files.
func TestDiskFails(t *testing.T) {
	if os.Getenv("STREAM_TEST_CHILD") == "" {
		out, err := child("disk", t.TempDir(), "-test.run=^TestDiskFails$").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	s := open(t, stream.Options{Dir: os.Getenv("STREAM_TEST_DIR")})
	before := streamtest.Record("p-7f3k", "before", events.Fall, 1)
	if _, _, err := s.Publish(t.Context(), before, make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	release := limitFiles(t, 64<<10)
	during := streamtest.Record("p-7f3k", "during", events.Fall, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err := s.Publish(ctx, during, []byte("x"))
	if events.KindOf(err) != events.Unavailable {
		t.Fatalf("on a failing disk: %v", err)
	}
	wantWords(t, err, "Nothing is known to be saved")
	release()
	recovery, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for err != nil && recovery.Err() == nil { // as a logger would: the same key until it is taken
		_, _, err = s.Publish(recovery, during, []byte("x"))
	}
	for _, rec := range []events.Record{before, during} {
		if _, err := s.Find(t.Context(), rec.Event.ID); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// limitFiles makes writes beyond n bytes of a file fail in this process until release.
func limitFiles(t *testing.T, n uint64) (release func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() { _ = unix.Setrlimit(unix.RLIMIT_FSIZE, &old) }
}
