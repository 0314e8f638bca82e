package console

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestEveryReasonHasItsWords: whatever an alarm or a failed attempt can give as its reason, the pages say in both languages. One
// without words would be shown as the hub's own fault.
func TestEveryReasonHasItsWords(t *testing.T) {
	reasons := reasonsOf(t, "../delivery.go")
	if len(reasons) < 30 {
		t.Fatalf("only %d reasons were found", len(reasons))
	}
	for _, file := range []string{"words.en.json", "words.cy.json"} {
		text, err := catalogue.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatal(err)
		}
		for reason := range reasons {
			if said["why."+reason] == "" {
				t.Errorf("%s has no why.%s", file, reason)
			}
		}
		for key := range said {
			if reason, ok := strings.CutPrefix(key, "why."); ok && !reasons[reason] {
				t.Errorf("%s has words for %s, which is no reason", file, reason)
			}
		}
	}
}

// reasonsOf are the values of the constants of type Reason in a file.
func reasonsOf(t *testing.T, path string) map[string]bool {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		kind, _ := spec.Type.(*ast.Ident)
		value, _ := spec.Values[0].(*ast.BasicLit)
		if kind != nil && kind.Name == "Reason" && value != nil {
			reason, _ := strconv.Unquote(value.Value) // it has been parsed
			all[reason] = true
		}
		return true
	})
	return all
}
