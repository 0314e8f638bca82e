package stream_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"carehub/events"
	"carehub/events/stream"
)

// TestDocuments: a document is stored once, whole, and is there after a restart and in a backup; one that is erased is in no file.
func TestDocuments(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := open(t, stream.Options{Dir: dir})
	content := bytes.Repeat([]byte("a result of the blood "), 30000) // three pieces
	full := bytes.Repeat([]byte("x"), 512<<10)                       // just two
	for id, held := range map[string][]byte{"a": content, "b": full, "none": nil} {
		if err := s.PutDocument(t.Context(), "p-7f3k", id, []byte("record"), held); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutDocument(t.Context(), "p-7f3k", "a", []byte("other"), []byte("other")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(backup) // #nosec G304 -- the test's own
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if err := stream.Restore(t.Context(), stream.Options{Dir: restored}, f); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, restored} {
		s := open(t, stream.Options{Dir: at})
		for id, held := range map[string][]byte{"a": content, "b": full, "none": nil} {
			got, err := s.DocumentContent(t.Context(), "p-7f3k", id)
			record, _ := s.DocumentRecord(t.Context(), "p-7f3k", id)
			if err != nil || !bytes.Equal(got, held) || string(record) != "record" {
				t.Errorf("%s: %d bytes, %q, %v", id, len(got), record, err)
			}
		}
		if _, err := s.DocumentContent(t.Context(), "p-other", "a"); events.KindOf(err) != events.NotFound {
			t.Error(err)
		}
		all, err := s.Documents(t.Context(), "p-7f3k")
		if err != nil || len(all) != 3 || all[0].Patient != "p-7f3k" || all[0].At.IsZero() {
			t.Error(all, err)
		}
		for range 2 {
			if err := s.EraseDocument(t.Context(), "p-7f3k", "a"); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.DocumentRecord(t.Context(), "p-7f3k", "a"); events.KindOf(err) != events.NotFound {
			t.Error(err)
		}
		if all, err := s.Documents(t.Context(), ""); err != nil || len(all) != 2 {
			t.Error(all, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if holds(t, at, []byte("a result of the blood")) {
			t.Error("what was erased is in the files still")
		}
	}
}

// TestTwoHubsStoreOne: what two store at once under one id is that of one of them, never some of both.
func TestTwoHubsStoreOne(t *testing.T) {
	s := open(t, stream.Options{Dir: t.TempDir()})
	var g sync.WaitGroup
	for _, hub := range []string{"a", "b", "c"} {
		g.Go(func() {
			for s.PutDocument(t.Context(), "p-7f3k", "one", []byte(hub), bytes.Repeat([]byte(hub), 600<<10)) != nil && t.Context().Err() == nil {
			}
		})
	}
	g.Wait()
	record, err := s.DocumentRecord(t.Context(), "p-7f3k", "one")
	if err != nil {
		t.Fatal(err)
	}
	content, err := s.DocumentContent(t.Context(), "p-7f3k", "one")
	if err != nil || !bytes.Equal(content, bytes.Repeat(record, 600<<10)) {
		t.Error("the parts are of several", err)
	}
}

// holds reports whether any file of a folder holds some bytes.
func holds(t *testing.T, dir string, some []byte) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		held, err := os.ReadFile(path) // #nosec G304 G122 -- the test's own
		found = found || bytes.Contains(held, some)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
