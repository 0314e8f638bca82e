package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carehub/config/strict"
)

// TestFindings: the caret stands under the column, and of a private file nothing is quoted.
func TestFindings(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"hub.yaml": "nåme: a\n", "patients.yaml": "p-7f3k: Thomas\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	problems := strict.Problems{
		{Code: strict.BadValue, Pos: strict.Pos{File: "hub.yaml", Line: 1, Column: 7}, Message: "is odd\n::set", Warning: true},
		{Code: strict.WrongType, Pos: strict.Pos{File: "patients.yaml", Line: 1, Column: 9}, Message: "is odd"},
	}
	var out strings.Builder
	printText(&out, dir, problems[:1], true, false)
	if want := "hub.yaml:1:7: warning: is odd\n::set [CH116]\n    nåme: a\n          ^\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	out.Reset()
	printText(&out, dir, problems[1:], true, true)
	if strings.Contains(out.String(), "Thomas") || !strings.Contains(out.String(), "\x1b[31m") {
		t.Errorf("got %q", out.String())
	}
	out.Reset()
	if err := printFindings(&out, dir, formatGitHub, problems); err != nil || !strings.HasPrefix(out.String(),
		"::warning file=hub.yaml,line=1,col=7,title=CH116::is odd%0A::set\n") {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

// TestFindingsAreDocumented: docs/check.md has every code with its title, and no other.
func TestFindingsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(data)
	for code, title := range strict.Codes {
		if !strings.Contains(docs, "| `"+string(code)+"` | "+title+" |") {
			t.Errorf("docs/check.md lacks %s: %s", code, title)
		}
	}
	if n := strings.Count(docs, "\n| `CH"); n != len(strict.Codes) {
		t.Errorf("docs/check.md has %d codes, the table %d", n, len(strict.Codes))
	}
}
