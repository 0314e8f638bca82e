package strict_test

import (
	"strings"
	"testing"

	"carehub/config/strict"
)

// FuzzLoad: no file makes the loader panic or hang, every problem stands somewhere in the file, and what is not decoded is
// reported.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		whole, "", "#\n", "a: &a [*a, *a]\n", "a: 1\n---\nb: 2\n", "\ta: 1\n", "text: [1\n", "text: 'a\n", "? {a: b}\n: c\n",
		"<<: {text: a}\n", "text: !!int a\n", "text: \"\\ud800\"\n", "text: \xff\n", "%YAML 1.2\n---\ntext: a\n", "text: |\n  a\n b\n",
		"one: [a, a]\nmany: a\n", "entries: {a: {a: ~}}\n", "text: ${file:a}\n", strings.Repeat("[", 1000), "text: a\r\nnumber: 1\r\n",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		write(t, dir, "a.yaml", string(data))
		folder := &strict.Folder{Dir: dir}
		top, ok := folder.Read("a.yaml")
		if !ok && !folder.Problems().Failed() {
			t.Fatal("nothing to decode and nothing wrong")
		}
		if ok {
			err := top.Decode(new(everything))
			if (err != nil) && !folder.Problems().Failed() {
				t.Fatal("an error that nobody reported")
			}
			top.Hash()
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u2028") +
			strings.Count(string(data), "\u2029") + strings.Count(string(data), "\u0085") + 2
		for _, p := range folder.Problems() {
			if p.Line < 1 || p.Column < 1 || p.Line > lines {
				t.Fatalf("%v is not in the file", p)
			}
		}
	})
}
