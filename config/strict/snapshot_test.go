package strict

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAgain: what has not been written since is not read again; whatever has been is, within the same moment too.
func TestAgain(t *testing.T) {
	old := Take("testdata/again") // written long ago
	same := old.Again("testdata/again")
	if a, b := old.Files()["hub.yaml"], same.Files()["hub.yaml"]; len(a) == 0 || len(b) == 0 || &a[0] != &b[0] {
		t.Error("a file that is as it was is read again")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "one")
	write("gone.yaml", "one")
	s := Take(dir)
	write("a.yaml", "two")
	write("new.yaml", "one")
	if err := os.Remove(filepath.Join(dir, "gone.yaml")); err != nil {
		t.Fatal(err)
	}
	s = s.Again(dir)
	if got := s.Files(); len(got) != 2 || string(got["a.yaml"]) != "two" || string(got["new.yaml"]) != "one" || s.has("gone.yaml") {
		t.Errorf("%s", got)
	}
	if kept := NewSnapshot(map[string][]byte{"a.yaml": []byte("kept")}).Again(dir); string(kept.Files()["a.yaml"]) != "two" {
		t.Error("a copy that was kept is taken for what is on disk")
	}
}
