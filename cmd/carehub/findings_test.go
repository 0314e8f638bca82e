package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
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

// TestFindingsAsSARIF: the document has what SARIF 2.1.0 demands (3.13.2, 3.14.6, 3.19.8, 3.27.11, 3.30.5) and no other
// shape; a file's name is a URI, and a result's index is that of its rule.
func TestFindingsAsSARIF(t *testing.T) {
	var out strings.Builder
	problems := strict.Problems{
		{Code: strict.BadValue, Pos: strict.Pos{File: "routing/a b.yaml", Line: 3, Column: 7}, Message: "is <odd>", Warning: true},
		{Code: strict.NoRules, Pos: strict.Pos{File: "patients.yaml", Line: 1, Column: 1}, Message: "has none", Gap: true},
	}
	if err := printFindings(&out, "", formatSARIF, problems); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	run := got["runs"].([]any)[0].(map[string]any)
	driver := run["tool"].(map[string]any)["driver"].(map[string]any)
	rules := driver["rules"].([]any)
	if got["version"] != "2.1.0" || driver["name"] != "carehub check" || run["columnKind"] != "unicodeCodePoints" || len(rules) != len(strict.Codes) {
		t.Errorf("got %s", out.String())
	}
	results := run["results"].([]any)
	for i, want := range []string{
		`{"level":"warning","locations":[{"physicalLocation":{"artifactLocation":{"uri":"routing/a%20b.yaml"},"region":{"startColumn":7,"startLine":3}}}],"message":{"text":"is \u003codd\u003e"},"ruleId":"CH116"}`,
		`{"level":"error","locations":[{"physicalLocation":{"artifactLocation":{"uri":"patients.yaml"},"region":{"startColumn":1,"startLine":1}}}],"message":{"text":"has none"},"ruleId":"CH301"}`,
	} {
		result := results[i].(map[string]any)
		if rule := rules[int(result["ruleIndex"].(float64))].(map[string]any); rule["id"] != result["ruleId"] {
			t.Errorf("the rule of %v is %v", result["ruleId"], rule)
		}
		delete(result, "ruleIndex")
		if text, _ := json.Marshal(result); string(text) != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
}

// TestFindingsInNoSuchFormat: that is status 2, for nothing was said of the folder.
func TestFindingsInNoSuchFormat(t *testing.T) {
	var out strings.Builder
	err := printFindings(&out, "", "xml", nil)
	if exit, ok := errors.AsType[exitError](err); !ok || exit.code != 2 || out.Len() > 0 {
		t.Errorf("got %v, %q", err, out.String())
	}
}

// TestFindingsOfAFolder: what only the whole of a folder shows, each in its archive.
func TestFindingsOfAFolder(t *testing.T) {
	stricttest.Broken(t, "testdata/broken/*.txtar", func(source *strict.Folder) {
		source.NoSecrets = !source.Has("carers.yaml")
		f := readFolder(source, channelTypes)
		if source.Has("subscribers/new.yaml") { // of a hub that has not run yet
			for _, p := range f.unheard(t.Context()) {
				source.Warn(p.Code, p.Pos, "%s", p.Message)
			}
		}
	})
}

// corpus is every line that the broken configurations expect, by its code.
func corpus(t *testing.T) (archives int, lines map[string][]string) {
	t.Helper()
	lines = map[string][]string{}
	for _, at := range []string{"../../config", "../../config/strict", "../../routing", "../../routing/cases", "../../subscribers", "."} {
		names, _ := filepath.Glob(filepath.Join(at, "testdata", "broken", "*.txtar"))
		for _, name := range names {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			archives++
			for _, file := range archive.Files {
				if file.Name != stricttest.Said {
					continue
				}
				for line := range strings.Lines(string(file.Data)) {
					said, code, found := strings.Cut(strings.TrimSuffix(line, "]\n"), " [CH")
					if !found {
						t.Errorf("%s: no code in %q", name, line)
					}
					lines["CH"+code] = append(lines["CH"+code], said)
				}
			}
		}
	}
	return archives, lines
}

// TestFindingsAreDocumented: docs/check.md has every code with its title and no other, each with an example that the
// corpus of broken configurations holds to be what is said.
func TestFindingsAreDocumented(t *testing.T) {
	archives, said := corpus(t)
	if archives < 60 {
		t.Errorf("there are %d broken configurations", archives)
	}
	data, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(data)
	for code, title := range strict.Codes {
		_, section, found := strings.Cut(docs, "\n## "+string(code)+": "+title+"\n")
		if !found {
			t.Errorf("docs/check.md lacks %s: %s", code, title)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		if !slices.ContainsFunc(said[string(code)], func(line string) bool { return strings.Contains(section, "\n    "+line+"\n") }) {
			t.Errorf("docs/check.md has no example of %s that a broken configuration has, such as %q", code, said[string(code)])
		}
	}
	if n := strings.Count(docs, "\n## CH"); n != len(strict.Codes) {
		t.Errorf("docs/check.md has %d codes, the table %d", n, len(strict.Codes))
	}
	for code := range said {
		if _, known := strict.Codes[strict.Code(code)]; !known {
			t.Errorf("a broken configuration expects %s, which is no code", code)
		}
	}
}
