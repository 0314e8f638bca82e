package sms

import (
	"strings"
	"testing"

	"carehub/events"
	"carehub/subscribers/channeltest"
)

// TestText: always one message, of constant words and an address, that says nothing of what it is about.
func TestText(t *testing.T) {
	link := func(n int) func() string {
		return func() string { return "https://hub.example/m/" + strings.Repeat("x", n) }
	}
	for _, c := range []struct {
		test bool
		link func() string
		want string
		lang string
	}{
		{false, link(90), "Mae gennych neges gofal: " + link(90)(), "cy"},
		{true, link(112), "PRAWF. Mae gennych neges gofal. Mewngofnodwch: https://hub.example", "cy"},
		{false, link(90), "You have a care message: " + link(90)(), ""},
		{false, link(113), "You have a care message: " + link(113)(), ""},
		{false, link(114), "You have a care message. Please sign in: https://hub.example", ""},
		{true, link(107), "TEST. You have a care message: " + link(107)(), ""},
		{true, link(108), "TEST. You have a care message. Please sign in: https://hub.example", ""},
		{false, nil, "You have a care message. Please sign in: https://hub.example", ""},
	} {
		for _, kind := range events.Kinds {
			d := channeltest.Sample()
			d.Kind, d.Test, d.Link, d.Language = kind, c.test, c.link, c.lang
			got, err := compose(d)
			if err != nil || got != c.want || !fits(got) {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		}
	}
}
