package strict

import (
	"crypto/sha256"
	"errors"
	"iter"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Node is a part of a file, not decoded yet. A struct field of this type keeps its part for later.
type Node struct {
	folder *Folder
	yaml   *yaml.Node
	file   string
}

// ErrReported is returned by Decode when something was wrong; what it was has been reported to the folder.
var ErrReported = errors.New("the configuration has errors")

// Pos is where the node begins.
func (n Node) Pos() Pos { return Pos{n.file, n.yaml.Line, n.yaml.Column} }

// Decode fills the struct that into points to by its yaml tags, strictly: `yaml:"name"`, `yaml:"name,required"`, and on a
// blank field `yaml:"name,later"` for a key that this build does not act on yet. Fields without a tag are left alone, and
// so are fields whose keys are not in the file.
//
// It understands string, bool, int, time.Duration, Secret, Node, encoding.TextUnmarshaler, structs, slices, and At, List
// and Map of these. allowed names keys that the caller reads itself; into may declare them too.
func (n Node) Decode(into any, allowed ...string) error {
	before := len(n.folder.problems)
	d := decoder{allowed: allowed}
	d.value(n, reflect.ValueOf(into).Elem(), "this")
	if n.folder.problems[before:].Failed() {
		return ErrReported
	}
	return nil
}

// Get returns the value under a key of this mapping.
func (n Node) Get(key string) (value Node, ok bool) {
	_, value, ok = n.find(key)
	return value, ok
}

// Report records a problem with what path leads to: keys and list indexes joined by dots, such as mail.auth.user or
// alarms.notify.0. It points at the key, or at the innermost part of the path that is in the file, and begins with the
// key. A value that could not be decoded has been reported already and is not judged again.
func (n Node) Report(code Code, path string, format string, args ...any) {
	n.judge(n.folder.Report, code, path, format, args...)
}

// Warn is Report for what does not stop the folder from being used.
func (n Node) Warn(code Code, path string, format string, args ...any) {
	n.judge(n.folder.Warn, code, path, format, args...)
}

func (n Node) judge(record func(Code, Pos, string, ...any), code Code, path string, format string, args ...any) {
	at, value, found := n.follow(path)
	if found && n.folder.reported(value.Pos()) {
		return
	}
	parts := strings.Split(path, ".")
	name := parts[len(parts)-1]
	if _, err := strconv.Atoi(name); err == nil && len(parts) > 1 {
		name = parts[len(parts)-2]
	}
	record(code, at, name+" "+format, args...)
}

// Locate returns the place that Report would point at.
func (n Node) Locate(path string) Pos {
	at, _, _ := n.follow(path)
	return at
}

// follow walks down path as far as the file goes. at is the place to point at.
func (n Node) follow(path string) (at Pos, value Node, found bool) {
	at = n.Pos()
	for part := range strings.SplitSeq(path, ".") {
		key, next, ok := n.find(part)
		if !ok {
			return at, n, false
		}
		at, n = key.Pos(), next
	}
	return at, n, true
}

// Hash returns the SHA-256 of everything the node says, whatever its layout and comments.
func (n Node) Hash() [sha256.Size]byte { return n.hash(func(text string) string { return text }) }

// Print is Hash of what the secrets say, too, that the node refers to.
func (n Node) Print() [sha256.Size]byte {
	return n.hash(func(text string) string {
		if !isReference(text) {
			return text
		}
		secret, _ := n.folder.secret(text) // what is wrong with it is reported where it is used
		return text + " " + secret.Reveal()
	})
}

func (n Node) hash(says func(string) string) [sha256.Size]byte {
	var all []byte
	var write func(*yaml.Node)
	write = func(y *yaml.Node) {
		all = append(strconv.AppendInt(all, int64(y.Kind), 10), ' ')
		all = append(strconv.AppendInt(all, int64(len(y.Content)), 10), ' ')
		all = strconv.AppendQuote(all, says(y.Value))
		for _, child := range y.Content {
			write(child)
		}
	}
	write(n.yaml)
	return sha256.Sum256(all)
}

func (n Node) report(code Code, format string, args ...any) {
	n.folder.Report(code, n.Pos(), format, args...)
}

// at wraps a node of the same file.
func (n Node) at(y *yaml.Node) Node { return Node{n.folder, y, n.file} }

// pairs yields the keys of a mapping with their values.
func (n Node) pairs() iter.Seq2[Node, Node] {
	return func(yield func(key, value Node) bool) {
		for i := 0; i+1 < len(n.yaml.Content); i += 2 {
			if !yield(n.at(n.yaml.Content[i]), n.at(n.yaml.Content[i+1])) {
				return
			}
		}
	}
}

// find steps into a mapping by key or into a list by index. key is the node to point at.
func (n Node) find(name string) (key, value Node, ok bool) {
	switch n.yaml.Kind {
	case yaml.MappingNode:
		for k, v := range n.pairs() {
			if k.yaml.Value == name {
				return k, v, true
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.yaml.Content) {
			item := n.at(n.yaml.Content[i])
			return item, item, true
		}
	}
	return Node{}, Node{}, false
}
