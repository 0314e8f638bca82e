package events

import "testing"

// TestContentWithin: a ceiling lowers what a channel tells and never raises it.
func TestContentWithin(t *testing.T) {
	for _, c := range []struct{ content, ceiling, want Content }{
		{ContentFull, ContentSummary, ContentSummary},
		{ContentFull, ContentLink, ContentLink},
		{ContentFull, "", ContentFull},
		{ContentLink, ContentFull, ContentLink},
		{ContentSummary, ContentSummary, ContentSummary},
		{"", ContentLink, ""}, // a webhook has no levels
	} {
		if got := c.content.Within(c.ceiling); got != c.want {
			t.Errorf("%q within %q: got %q", c.content, c.ceiling, got)
		}
	}
}
