package strict

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// parse turns one file into its tree and refuses what no file of ours needs: several documents, aliases, tags.
func (f *Folder) parse(name string, data []byte) (Node, bool) {
	if line, column, bad := notText(data); bad {
		f.Report(Syntax, Pos{name, line, column}, "this is not UTF-8 text")
		return Node{}, false
	}
	// The library's own check of keys stops at the first: see refuse.
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		f.malformed(name, data, err)
		return Node{}, false
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		f.Report(Syntax, Pos{name, 1, 1}, "this file is empty")
		return Node{}, false
	} else if err != nil {
		f.malformed(name, data, err)
		return Node{}, false
	}
	if err := loader.Load(&second); err == nil {
		f.Report(Syntax, Pos{name, second.Line, second.Column}, "a second document begins here: one file holds one")
	} else if !errors.Is(err, io.EOF) {
		f.malformed(name, data, err)
	}
	top := Node{folder: f, yaml: doc.Content[0], file: name}
	top.refuse()
	return top, true
}

// refuse reports, anywhere below n, what makes a file hard to read: aliases (and the bombs made of them), tags, keys that
// are not plain words, and keys given twice. It quotes nothing: a key may be a name.
func (n Node) refuse() {
	switch {
	case n.yaml.Kind == yaml.AliasNode:
		n.report(Refused, "an alias (*) is not accepted here: write the value out")
	case n.yaml.Anchor != "":
		n.report(Refused, "an anchor (&) is not accepted here: write the value out where it is needed")
	case n.yaml.Style&yaml.TaggedStyle != 0:
		n.report(Refused, "a tag (!) is not accepted here")
	}
	if n.yaml.Kind == yaml.MappingNode {
		n.refuseKeys()
	}
	for _, child := range n.yaml.Content {
		n.at(child).refuse()
	}
}

func (n Node) refuseKeys() {
	first := map[string]Pos{}
	for key := range n.pairs() {
		text := key.yaml.Value
		switch at, twice := first[text]; {
		case !key.plain():
			key.report(Refused, "a key must be a plain word")
		case twice:
			key.report(Twice, "this key is given twice; it first stands on line %d", at.Line)
		default:
			first[text] = key.Pos()
		}
	}
}

// plain reports whether a key is a word and not a structure or a merge (<<).
func (n Node) plain() bool { return n.yaml.Kind == yaml.ScalarNode && n.yaml.Tag != "!!merge" }

// malformed reports what the YAML library could not read.
func (f *Folder) malformed(name string, data []byte, err error) {
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		f.Report(Syntax, Pos{name, 1, 1}, "this is not valid YAML")
		return
	}
	mark, words := load.Mark, "this is not valid YAML: "+load.Message
	switch {
	case load.Stage == yaml.ComposerStage: // its message quotes the file
		words = "an alias (*) is not accepted here: write the value out"
	case strings.Contains(load.Message, "tab") || tabbed(data, mark.Line):
		words = "a tab is used to indent here: use spaces"
	case strings.Contains(load.Message, "end of stream"):
		mark, words = load.ContextMark, "this is opened here and never closed"
	case strings.Contains(load.Message, "mapping values are not allowed"):
		words = "a colon is not expected here: check the indentation, or put the value in quotes"
	case strings.Contains(load.Message, "did not find expected key"):
		words = "a key is expected here: check the indentation and the quotes"
	}
	f.Report(Syntax, Pos{name, max(mark.Line, 1), max(mark.Column, 1)}, "%s", words)
}

// tabbed reports whether a line is indented with a tab.
func tabbed(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	text := lines[line-1]
	return bytes.ContainsRune(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t')
}

// notText finds the first byte that is not UTF-8 or is a control character, which the library refuses without saying
// where.
func notText(data []byte) (line, column int, bad bool) {
	line, column = 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			return line, column, true
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		i += size
	}
	return 0, 0, false
}
