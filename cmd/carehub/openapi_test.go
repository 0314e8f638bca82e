package main

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	yaml "go.yaml.in/yaml/v4"
)

// openAPI is docs/openapi.yaml, to be held against what a hub does.
type openAPI struct {
	document   any
	routes     http.ServeMux
	operations map[string]string // JSON pointer of each, by its pattern

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// described is the document, read once.
var described = sync.OnceValues(readOpenAPI)

const openAPIAt = "file:///openapi.json"

func readOpenAPI() (*openAPI, error) {
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		return nil, err
	}
	a := &openAPI{operations: map[string]string{}, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	if err := yaml.Unmarshal(text, &a.document); err != nil {
		return nil, err
	}
	a.compiler.AssertFormat()
	if err := a.compiler.AddResource(openAPIAt, a.document); err != nil {
		return nil, err
	}
	for path, item := range a.at("/paths").(map[string]any) {
		for method := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			pointer := "/paths/" + escape(path) + "/" + method
			for _, concrete := range a.concrete(path) {
				pattern := strings.ToUpper(method) + " " + concrete
				a.operations[pattern] = pointer
				a.routes.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
			}
		}
	}
	return a, nil
}

// concrete are the paths that a path with {type} stands for: one for each type of resource.
func (a *openAPI) concrete(path string) (all []string) {
	if path == "/" {
		return []string{"/{$}"} // and nothing below it
	}
	if !strings.Contains(path, "{type}") {
		return []string{path}
	}
	for _, resource := range a.at("/components/parameters/Type/schema/enum").([]any) {
		all = append(all, strings.Replace(path, "{type}", resource.(string), 1))
	}
	return all
}

func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// at is what a JSON pointer (RFC 6901) points to, nil for nothing.
func (a *openAPI) at(pointer string) any {
	found := a.document
	for _, step := range strings.Split(pointer, "/")[1:] {
		switch in := found.(type) {
		case map[string]any:
			found = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		case []any:
			var n int
			if _, err := fmt.Sscan(step, &n); err != nil || n >= len(in) {
				return nil
			}
			found = in[n]
		default:
			return nil
		}
	}
	return found
}

// follow is where a pointer leads to in the end, where it is a reference.
func (a *openAPI) follow(pointer string) string {
	if in, ok := a.at(pointer).(map[string]any); ok {
		if ref, ok := in["$ref"].(string); ok {
			return strings.TrimPrefix(ref, "#")
		}
	}
	return pointer
}

// judge holds a value against the schema at a pointer.
func (a *openAPI) judge(pointer string, value any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	schema, known := a.compiled[pointer]
	if !known {
		var err error
		if schema, err = a.compiler.Compile(openAPIAt + "#" + strings.ReplaceAll(url.PathEscape(pointer), "%2F", "/")); err != nil {
			return err
		}
		a.compiled[pointer] = schema
	}
	return schema.Validate(value)
}

// holds fails a test when a hub's answer is none that the document has for this route. What it has no route for is nobody's
// promise.
func (a *openAPI) holds(t *testing.T, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	_, pattern := a.routes.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}})
	operation, known := a.operations[pattern]
	if !known || method == http.MethodHead {
		return
	}
	response := a.follow(fmt.Sprintf("%s/responses/%d", operation, status))
	said, ok := a.at(response).(map[string]any)
	if !ok {
		t.Errorf("docs/openapi.yaml: %s has no answer %d: %s", pattern, status, body)
		return
	}
	for name := range maps.Keys(headersOf(said)) {
		if header.Get(name) == "" && status >= http.StatusBadRequest {
			t.Errorf("docs/openapi.yaml: the answer %d of %s is to have %s", status, pattern, name)
		}
	}
	if len(body) == 0 {
		return
	}
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	at := response + "/content/" + escape(media)
	if a.at(at) == nil {
		t.Errorf("docs/openapi.yaml: the answer %d of %s has no %q", status, pattern, media)
		return
	}
	for _, value := range values(t, media, body) {
		if err := a.judge(a.follow(at+"/schema"), value); err != nil {
			t.Errorf("docs/openapi.yaml: the answer %d of %s is another: %v\n%s", status, pattern, err, body)
		}
	}
}

func headersOf(response map[string]any) map[string]any {
	headers, _ := response["headers"].(map[string]any)
	return headers
}

// values are what a body holds: one JSON value, several of them, or text.
func values(t *testing.T, media string, body []byte) (all []any) {
	t.Helper()
	if !strings.HasSuffix(media, "json") {
		return []any{string(body)}
	}
	parts := [][]byte{body}
	if media == "application/x-ndjson" {
		parts = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, part := range parts {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(part))
		if err != nil {
			t.Errorf("%s: %v", part, err)
		}
		all = append(all, value)
	}
	return all
}

// conforms holds an answer against the document; every test that asks a hub does.
func conforms(t *testing.T, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	a, err := described()
	if err != nil {
		t.Fatal(err)
	}
	a.holds(t, method, path, status, header, body)
}

// TestOpenAPIDocument: it is one, by OpenAPI's own schema, and so are its schemas; its examples are examples.
func TestOpenAPIDocument(t *testing.T) {
	a, err := described()
	if err != nil {
		t.Fatal(err)
	}
	own, err := jsonschema.NewCompiler().Compile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Validate(a.document); err != nil {
		t.Error(err)
	}
	a.examples(t, "", a.document)
	ids := map[string]string{}
	for pattern, pointer := range a.operations {
		id, _ := a.at(pointer + "/operationId").(string)
		if other, taken := ids[id]; id == "" || taken && other != pointer {
			t.Errorf("%s: the operationId %q is missing or taken", pattern, id)
		}
		ids[id] = pointer
		a.parameters(t, pointer)
	}
}

// examples compiles every schema below a pointer, and judges the examples beside and in it.
func (a *openAPI) examples(t *testing.T, pointer string, below any) {
	t.Helper()
	switch in := below.(type) {
	case []any:
		for i, v := range in {
			a.examples(t, fmt.Sprintf("%s/%d", pointer, i), v)
		}
	case map[string]any:
		schema := ""
		switch {
		case in["$ref"] != nil:
			if a.at(a.follow(pointer)) == nil {
				t.Errorf("%s refers to nothing", pointer)
			}
		case in["schema"] != nil && !strings.HasSuffix(pointer, "/properties"):
			schema = pointer + "/schema"
		case regexp.MustCompile(`^/components/schemas/[^/]+$`).MatchString(pointer):
			schema = pointer
		}
		if schema != "" {
			a.judgeAll(t, schema, in)
		}
		for name, v := range in {
			if name != "example" && name != "examples" {
				a.examples(t, pointer+"/"+escape(name), v)
			}
		}
	}
}

func (a *openAPI) judgeAll(t *testing.T, schema string, in map[string]any) {
	t.Helper()
	_ = a.judge(schema, nil) // compiles it
	if a.compiled[schema] == nil {
		t.Errorf("%s is no schema: %v", schema, a.judge(schema, nil))
		return
	}
	given := []any{}
	if in["example"] != nil {
		given = append(given, in["example"])
	}
	if some, ok := in["examples"].(map[string]any); ok {
		for _, e := range some {
			given = append(given, e.(map[string]any)["value"])
		}
	}
	for _, value := range given {
		if err := a.judge(schema, value); err != nil {
			t.Errorf("the example of %s: %v", schema, err)
		}
	}
}

var inBraces = regexp.MustCompile(`\{([^}]+)\}`)

// parameters has each part of a path described.
func (a *openAPI) parameters(t *testing.T, operation string) {
	t.Helper()
	item := operation[:strings.LastIndexByte(operation, '/')]
	var said, wanted []string
	list, _ := a.at(item + "/parameters").([]any)
	for i := range list {
		said = append(said, a.at(a.follow(fmt.Sprintf("%s/parameters/%d", item, i))+"/name").(string))
	}
	for _, part := range inBraces.FindAllStringSubmatch(item, -1) {
		wanted = append(wanted, part[1])
	}
	if slices.Sort(said); !slices.Equal(slices.Sorted(slices.Values(wanted)), said) {
		t.Errorf("%s has the parameters %v, and describes %v", item, wanted, said)
	}
}

// TestOpenAPIRoutes: the document has every route of a hub, and no other.
func TestOpenAPIRoutes(t *testing.T) {
	a, err := described()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, pattern := range everyRoute(t) {
		if pattern != "/fhir/" { // what answers that there is no such route
			served[pattern] = true
		}
	}
	for pattern := range served {
		_, described := a.operations[pattern]
		_, any := a.operations["GET "+pattern]
		if !described && !any {
			t.Errorf("docs/openapi.yaml lacks %s", pattern)
		}
	}
	for pattern := range a.operations {
		_, path, _ := strings.Cut(pattern, " ")
		if !served[pattern] && !served[path] {
			t.Errorf("docs/openapi.yaml has %s, which is not served", pattern)
		}
	}
}

// everyRoute are the patterns of a hub that has everything set up.
func everyRoute(t *testing.T) []string {
	h := newBouncingTown(t).open()
	return h.routes(h.desk(), nil).patterns
}
