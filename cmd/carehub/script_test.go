package main

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(tests{m}, map[string]func(){"carehub": main}) }

// tests are those of the package, and then the end of what they share.
type tests struct{ *testing.M }

func (t tests) Run() int {
	defer chromium.close()
	return t.M.Run()
}

// TestScripts runs the program as an admin would, from testdata/script. $EXAMPLE is deploy/example.
func TestScripts(t *testing.T) {
	example, err := filepath.Abs("../../deploy/example")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"answers": hubAnswers},
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLE", example)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's pause would be most of the time of a script
			return tighten(env.WorkDir)
		},
	})
}

// tighten gives the private files of a script the mode that an admin would: an archive knows none.
func tighten(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isPrivate(entry.Name()) && filepath.Base(filepath.Dir(path)) != "secrets" {
			return err
		}
		return os.Chmod(path, 0o600) // #nosec G122 -- the script's own folder
	})
}

// hubAnswers waits until a hub answers on the admin socket of a store, for a minute at the most.
func hubAnswers(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []token
	for askAdmin(ctx, ts.MkAbs(args[0]), http.MethodGet, "/tokens", nil, &all) != nil {
		select {
		case <-ctx.Done():
			ts.Fatalf("no hub answers in %s", args[0])
		case <-time.After(10 * time.Millisecond):
		}
	}
}
