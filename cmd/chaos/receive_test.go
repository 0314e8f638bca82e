package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carehub/events/fhir"
)

// TestPickyIsConsistent: what is refused for good is refused in any mood in which it could be taken, or a repeat of what was
// taken unheard would end otherwise.
func TestPickyIsConsistent(t *testing.T) {
	seen, err := os.Create(filepath.Join(t.TempDir(), "seen"))
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	id := ""
	for n := 0; !unwelcome(picky, id); n++ {
		id = fmt.Sprint("msg_", n)
	}
	body, err := os.ReadFile("../../events/fhir/testdata/golden/admission.json")
	if err != nil {
		t.Fatal(err)
	}
	rs := &receivers{seen: seen}
	for _, is := range []string{takes, crawls, flaps, flaps} { // of two that flap one is taken
		rs.moods = map[string]mood{picky: {is, time.Now().Add(100 * time.Millisecond)}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+picky+"/$process-message", strings.NewReader(string(body)))
		r.Header.Set("X-Request-Id", id)
		answer := httptest.NewRecorder()
		rs.ServeHTTP(answer, r)
		if answer.Code < 400 {
			t.Errorf("in the mood %s it answers %d", is, answer.Code)
		}
	}
}

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
