package main

import (
	"os"
	"path/filepath"
	"testing"

	"carehub/events/fhir"
)

// TestNamedIn: what receivers note of a message without decoding it is what it says.
func TestNamedIn(t *testing.T) {
	files, _ := filepath.Glob("../../events/fhir/testdata/golden/*.json")
	named := 0
	for _, file := range files {
		body, err := os.ReadFile(file) // #nosec G304 -- of this repository
		if err != nil {
			t.Fatal(err)
		}
		m, err := fhir.Decode(body)
		if err != nil {
			continue
		}
		switch id := namedIn(body); id {
		case m.Event.ID:
			named++
		case "":
		default:
			t.Errorf("%s is said to be about %s, not %s", file, id, m.Event.ID)
		}
	}
	if named < 20 {
		t.Errorf("only %d of %d messages were read", named, len(files))
	}
}
