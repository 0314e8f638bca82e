package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestSafetyLog: the hazard log names tests that exist, each with its package.
func TestSafetyLog(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(root + "/docs/safety.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, pattern := range []string{"/*/*_test.go", "/*/*/*_test.go", "/*/*/*/*_test.go"} {
		files, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code, err := os.ReadFile(file) // #nosec G304 -- it was listed in the project
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllSubmatch(code, -1) {
				have[filepath.Base(filepath.Dir(file))+"."+string(m[1])] = true
			}
		}
	}
	named := regexp.MustCompile("`([a-z0-9]*\\.?Test\\w+)`").FindAllSubmatch(page, -1)
	for _, m := range named {
		if !have[string(m[1])] {
			t.Errorf("docs/safety.md names %s, which does not exist", m[1])
		}
	}
	if len(named) < 40 {
		t.Errorf("only %d tests are named", len(named))
	}
}
