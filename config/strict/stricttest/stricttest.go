// Package stricttest tests loaders by broken configurations: small archives of files, each wrong in one way, with exactly
// what the loader must say of it.
package stricttest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
)

var update = flag.Bool("update", false, "write what the loader says into the archives, to be read before it is kept")

// Said is the archive's file that holds the expected problems, one a line, each with its code in brackets at the end.
const Said = "problems"

// modes is the archive's file that names a file on each line that has a mode of its own: patients.yaml 0644.
const modes = "modes"

// Broken runs load on every archive that matches pattern and compares the problems that it reports.
func Broken(t *testing.T, pattern string, load func(*strict.Folder)) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no archives match %s", pattern)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { broken(t, name, load) })
	}
}

func broken(t *testing.T, name string, load func(*strict.Folder)) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	folder := &strict.Folder{Dir: Write(t, archive)}
	load(folder)
	var lines strings.Builder
	for _, p := range folder.Problems() {
		fmt.Fprintf(&lines, "%s [%s]\n", p, p.Code)
	}
	got := lines.String()
	if got == "" {
		t.Fatal("nothing was found wrong")
	}
	for i, file := range archive.Files {
		if file.Name != Said {
			continue
		}
		if *update {
			archive.Files[i].Data = []byte(got)
		} else if got != string(file.Data) {
			t.Errorf("%s\ngot:\n%swant:\n%s", strings.TrimSpace(string(archive.Comment)), got, file.Data)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Write puts the files of an archive into a new folder and returns it.
func Write(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setModes(t, dir, archive)
	return dir
}

func setModes(t testing.TB, dir string, archive *txtar.Archive) {
	for _, file := range archive.Files {
		for line := range strings.Lines(string(file.Data)) {
			if file.Name != modes {
				break
			}
			var name string
			var mode os.FileMode
			if _, err := fmt.Sscanf(line, "%s %o", &name, &mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
}
