package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
)

// TestSchemasAreKept: deploy/schema is what the command writes, with words for every key and none for a key that is not there.
func TestSchemasAreKept(t *testing.T) {
	for _, s := range subjects() {
		kept, err := os.ReadFile("../../deploy/schema/" + s.Name + ".json")
		if err != nil || !bytes.Equal(kept, schemaText(s)) {
			t.Errorf("deploy/schema/%s.json is not what carehub schema writes: run carehub schema -o deploy/schema", s.Name)
		}
		keys := s.Keys()
		for _, key := range keys {
			of := key[strings.LastIndex(key, ".")+1:]
			inChannel := strings.Contains(key, "channels.*.")
			if s.Says[key] == "" && !inChannel {
				t.Errorf("%s: no words for %s (%s)", s.Name, key, of)
			}
		}
		for key := range s.Says {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: words for %s, which is no key", s.Name, key)
			}
		}
	}
}

// TestExamplesNameTheirSchemas: every file of the example begins with the line by which an editor finds its schema.
func TestExamplesNameTheirSchemas(t *testing.T) {
	const dir = "../../deploy/example"
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		subject := subjectOf(filepath.ToSlash(rel))
		if err != nil || subject == "" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(data), "\n")
		to, named := strings.CutPrefix(first, "# yaml-language-server: $schema=")
		if kept := filepath.Join("../../deploy/schema", subject+".json"); !named || filepath.Join(filepath.Dir(name), to) != kept {
			t.Errorf("%s begins with %q, which leads to no %s", rel, first, kept)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// subjectOf is the schema for a file of a configuration folder.
func subjectOf(name string) string {
	switch name {
	case "hub.yaml", "patients.yaml", "carers.yaml", "routing.yaml":
		return strings.TrimSuffix(name, ".yaml")
	}
	if path.Ext(name) != ".yaml" {
		return ""
	}
	switch path.Dir(name) {
	case "routing":
		return "patient-rules"
	case "subscribers":
		return "subscriber"
	}
	return ""
}

// What a loader says of a file, as far as a schema is concerned. What is in neither list no schema can see: other files, other
// parts of the same one, the day.
var (
	// beforeSchemas are found in the text of YAML, or by a key that is given twice: no schema gets to see it.
	beforeSchemas = []strict.Code{strict.Unreadable, strict.Syntax, strict.Refused}
	// ofForm are what a schema must refuse too.
	ofForm = []strict.Code{strict.UnknownKey, strict.Missing, strict.NoValue, strict.WrongType, strict.Later, strict.UnknownKind, strict.UnknownChannel, strict.EmptyGroup}
	// perhaps are of form or not, by what is wrong with the value: a word that is none of a few, or a network that is none.
	perhaps = []strict.Code{strict.BadValue, strict.BadID, strict.Twice, strict.SecretValue, strict.Conflict, strict.ChannelSettings}
)

// beyond are findings of form that depend on other keys, which these schemas do not follow.
var beyond = []string{"cannot sign in", "or post is needed", "needs user", "needs password", "needs client_", "needs token", "needs scopes",
	"must name at least one subscriber or carer", "in the list must", "is needed, with", "is missing: or"}

// refusedWords are the values that a schema must refuse among those that perhaps it may: where one of a few words is expected, a
// day, a time, or the reference of a secret.
var refusedWords = []string{"must be one of", "may takes", "attach takes", "class takes", "days takes", "must be a time of day", "must be a date such as",
	"must be urgent or routine", "must be mandatory or none", "must be json or form", "a secret does not belong in this file"}

// TestSchemasAgree: of every file in the corpus of broken configurations, in the example and in the stories, the schema and the
// loader think the same, as far as a schema can see.
func TestSchemasAgree(t *testing.T) {
	schemas := compiled(t)
	files, refused := 0, 0
	check := func(dir string) {
		source := &strict.Folder{Dir: dir, NoSecrets: true}
		readFolder(source, channelTypes)
		problems := map[string]strict.Problems{}
		for _, p := range source.Problems() {
			problems[p.File] = append(problems[p.File], p)
		}
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, name)
			rel = filepath.ToSlash(rel)
			schema := schemas[subjectOf(rel)]
			if err != nil || schema == nil || d.IsDir() || has(problems[rel], beforeSchemas) {
				return nil
			}
			files++
			err = schema.Validate(asJSON(t, name))
			must, may := judged(problems[rel])
			switch {
			case must && err == nil:
				t.Errorf("%s: %s\nthe schema accepts what the loader refuses:\n%v", dir, rel, problems[rel])
			case !must && !may && err != nil:
				t.Errorf("%s: %s\nthe schema refuses what the loader accepts: %v\nwhich says\n%v", dir, rel, err, problems[rel])
			}
			if err != nil {
				refused++
			}
			return nil
		})
	}
	for _, pattern := range []string{"../../config/testdata/broken", "../../routing/testdata/broken", "../../routing/testdata/stories", "../../subscribers/testdata/broken", "testdata/broken"} {
		names, _ := filepath.Glob(pattern + "/*.txtar")
		if len(names) == 0 {
			t.Errorf("nothing in %s", pattern)
		}
		for _, name := range names {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			check(stricttest.Write(t, archive))
			if t.Failed() {
				t.Fatalf("in %s", name)
			}
		}
	}
	check("../../deploy/example")
	if files < 150 || refused < 40 {
		t.Errorf("of %d files %d were refused: the corpus has shrunk", files, refused)
	}
}

func compiled(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schemas := map[string]*jsonschema.Schema{}
	for _, s := range subjects() {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText(s)))
		if err == nil {
			err = c.AddResource(s.Name+".json", doc)
		}
		if err != nil {
			t.Fatal(err)
		}
		schemas[s.Name] = c.MustCompile(s.Name + ".json")
	}
	return schemas
}

func has(ps strict.Problems, codes []strict.Code) bool {
	return slices.ContainsFunc(ps, func(p strict.Problem) bool { return slices.Contains(codes, p.Code) })
}

// judged says whether a schema must refuse a file of which the loader says this, and whether it may.
func judged(ps strict.Problems) (must, may bool) {
	for _, p := range ps {
		says := func(words string) bool { return strings.Contains(p.Message, words) }
		switch {
		case slices.Contains(perhaps, p.Code):
			may = true
			must = must || slices.ContainsFunc(refusedWords, says)
		case slices.Contains(ofForm, p.Code):
			may = true
			must = must || !slices.ContainsFunc(beyond, says)
		}
	}
	return must, may
}

// asJSON reads a YAML file as an editor does: what is written without quotes and looks like a number is one, a day is text.
func asJSON(t *testing.T, name string) any {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		t.Fatal(err)
	}
	var top yaml.Node
	if err := loader.Load(&top); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return valueOf(top.Content[0])
}

func valueOf(n *yaml.Node) any {
	switch {
	case n.Kind == yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			all[n.Content[i].Value] = valueOf(n.Content[i+1])
		}
		return all
	case n.Kind == yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			all = append(all, valueOf(item))
		}
		return all
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		return json.Number(n.Value)
	}
	return n.Value
}
