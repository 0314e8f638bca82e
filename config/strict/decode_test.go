package strict_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"carehub/config/strict"
)

func read(t testing.TB, text string) (strict.Node, *strict.Folder) {
	t.Helper()
	folder := &strict.Folder{Dir: t.TempDir()}
	write(t, folder.Dir, "a.yaml", text)
	top, ok := folder.Read("a.yaml")
	if !ok {
		t.Fatal(folder.Problems())
	}
	return top, folder
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

type everything struct {
	Text    string              `yaml:"text,required"`
	Number  int                 `yaml:"number"`
	Yes     bool                `yaml:"yes"`
	Wait    time.Duration       `yaml:"wait"`
	Day     strict.Date         `yaml:"day"`
	Texts   []string            `yaml:"texts"`
	One     strict.List[string] `yaml:"one"`
	Many    strict.List[string] `yaml:"many"`
	Placed  strict.At[int]      `yaml:"placed"`
	Group   *group              `yaml:"group"`
	Entries strict.Map[group]   `yaml:"entries"`
	Raw     strict.Node         `yaml:"raw"`
	Untold  string

	_ struct{} `yaml:"to_come,later"`
}

type group struct {
	A string `yaml:"a"`
}

const whole = `text: Großvater
number: -12
yes: true
wait: 1h30m
day: 2026-11-23
texts: [b, a]
one: single
many:
  - x
  - "y"
placed: 7
group: {a: inner}
entries:
  second: {a: "2"}
  first: {}
raw: {b: [1, two]}
`

func TestDecode(t *testing.T) {
	top, folder := read(t, whole)
	got := everything{Untold: "kept"}
	if err := top.Decode(&got); err != nil {
		t.Fatal(folder.Problems())
	}
	var raw struct {
		B strict.Node `yaml:"b"`
	}
	if err := got.Raw.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	got.Raw = strict.Node{}
	at := func(line, column int) strict.Pos { return strict.Pos{File: "a.yaml", Line: line, Column: column} }
	want := everything{
		Text: "Großvater", Number: -12, Yes: true, Wait: 90 * time.Minute, Day: "2026-11-23",
		Texts:   []string{"b", "a"},
		One:     strict.List[string]{{Pos: at(7, 6), V: "single"}},
		Many:    strict.List[string]{{Pos: at(9, 5), V: "x"}, {Pos: at(10, 5), V: "y"}},
		Placed:  strict.At[int]{Pos: at(11, 9), V: 7},
		Group:   &group{A: "inner"},
		Entries: strict.Map[group]{{Pos: at(14, 3), Key: "second", V: group{A: "2"}}, {Pos: at(15, 3), Key: "first"}},
		Untold:  "kept",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeReports(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"text: a\nnumber: 1.5\n", "a.yaml:2:9: number must be a whole number"},
		{"text: a\nnumber: \"1\"\n", "a.yaml:2:9: number must be a whole number"},
		{"text: a\nyes: on\n", "a.yaml:2:6: yes must be true or false"},
		{"text: a\nwait: -5m\n", "a.yaml:2:7: wait must be a length of time such as 5m or 2h"},
		{"text: a\nwait: [5m]\n", "a.yaml:2:7: wait must be a length of time such as 5m or 2h"},
		{"text: a\nday: [2026-11-23]\n", "a.yaml:2:6: day must be a single value"},
		{"text: a\nday: 2026-11-31\n", "a.yaml:2:6: day must be a date such as 2027-06-30"},
		{"text: a\ntexts: b\n", "a.yaml:2:8: texts must be a list"},
		{"text: a\nmany: {b: c}\n", "a.yaml:2:7: many must be a list"},
		{"text: a\ntexts: [b, [c]]\n", "a.yaml:2:12: each item of texts must be text"},
		{"text: a\nentries: [b]\n", "a.yaml:2:10: entries must be a mapping (key: value)"},
		{"text: a\nto_come: b\n", "a.yaml:2:1: to_come is not supported by this build yet"},
		{"text: a\nUntold: b\n", `a.yaml:2:1: unknown key "Untold"`},
		{"text: a\ngroup:\n", "a.yaml:2:7: group needs a value"},
		{"text: a\n? [b]\n: c\n", "a.yaml:2:3: a key must be a plain word"},
		{"# nothing here\nnumber: 1\n", "a.yaml:2:1: text is missing"},
		{"just words\n", "a.yaml:1:1: this must be a mapping (key: value)"},
	} {
		top, folder := read(t, c.text)
		err := top.Decode(new(everything))
		if got := folder.Problems().Error(); got != c.want {
			t.Errorf("%q: got %s", c.text, got)
		}
		// A key that the parser refused is no error of the decoding.
		if err == nil && c.want != "a.yaml:2:3: a key must be a plain word" {
			t.Errorf("%q: decoded without an error", c.text)
		}
	}
}

// TestAllowed: a key that the caller reads itself is not unknown, one level deep and no deeper.
func TestAllowed(t *testing.T) {
	top, folder := read(t, "text: a\ncontent: link\ngroup: {content: link}\n")
	if err := top.Decode(new(everything), "content"); err != strict.ErrReported {
		t.Errorf("got %v", err)
	}
	if got, want := folder.Problems().Error(), `a.yaml:3:9: unknown key "content"`; got != want {
		t.Errorf("got %s", got)
	}
}

// TestReport: a problem points at the key, and as deep as the file goes.
func TestReport(t *testing.T) {
	for path, want := range map[string]string{
		"group":       "a.yaml:12:1: group is odd",
		"group.a":     "a.yaml:12:9: a is odd",
		"group.gone":  "a.yaml:12:1: gone is odd",
		"texts.1":     "a.yaml:6:12: texts is odd",
		"raw.b.1":     "a.yaml:16:14: b is odd",
		"nothing":     "a.yaml:1:1: nothing is odd",
		"texts.7.odd": "a.yaml:6:1: odd is odd",
	} {
		top, folder := read(t, whole)
		top.Report(strict.BadValue, path, "is %s", "odd")
		if got := folder.Problems().Error(); got != want {
			t.Errorf("%s: got %s", path, got)
		}
	}
}

// TestHash: the hash is of what a file says, not of how.
func TestHash(t *testing.T) {
	hash := func(text string) [32]byte {
		top, _ := read(t, text)
		return top.Hash()
	}
	if hash("a: [b, c] # words\n") != hash("a:\n  - \"b\"\n  - c\n") {
		t.Error("layout changes the hash")
	}
	for _, other := range []string{"a: [c, b]\n", "a: [b]\n", "a: [[b], c]\n", "a: [b c]\n", "a: [[b, c]]\n", "{a: b, c: }\n"} {
		if hash("a: [b, c]\n") == hash(other) {
			t.Errorf("%q has the same hash", other)
		}
	}
}

func TestProblems(t *testing.T) {
	folder := &strict.Folder{Dir: t.TempDir()}
	folder.Warn(strict.BadValue, strict.Pos{File: "b", Line: 1, Column: 1}, "soon")
	if folder.Problems().Failed() {
		t.Error("a warning is no failure")
	}
	folder.Report(strict.BadValue, strict.Pos{File: "a", Line: 10, Column: 1}, "late")
	folder.Report(strict.BadValue, strict.Pos{File: "a", Line: 9, Column: 2}, "second")
	folder.Report(strict.BadValue, strict.Pos{File: "a", Line: 9, Column: 1}, "first")
	folder.Report(strict.BadValue, strict.Pos{File: "a", Line: 9, Column: 1}, "first")
	want := "a:9:1: first\na:9:2: second\na:10:1: late\nb:1:1: warning: soon"
	if got := folder.Problems(); got.Error() != want || !got.Failed() {
		t.Errorf("got:\n%v", got)
	}
}
