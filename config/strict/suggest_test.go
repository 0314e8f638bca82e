package strict_test

import (
	"testing"

	"carehub/config/strict"
)

func TestDidYouMean(t *testing.T) {
	candidates := []string{"admission", "attendance", "discharge", "fall", "p-7f3k", "url"}
	for word, want := range map[string]string{
		"admision":   "admission",
		"Admission":  "admission",
		"dishcarge":  "discharge",
		"attendence": "attendance",
		"fal":        "fall",
		"p-7f3x":     "p-7f3k",
		"ulr":        "url",
		"":           "",
		"x":          "",
		"transfer":   "",
		"p-9x2m":     "",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := strict.DidYouMean(word, candidates); got != want {
			t.Errorf("%q: got %s", word, got)
		}
	}
}
