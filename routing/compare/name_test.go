package compare

import (
	"strings"
	"testing"

	"carehub/routing"
)

// TestNamed: what makes no difference is not named.
func TestNamed(t *testing.T) {
	f := &findings{}
	for _, h := range []string{"mon 9:00-17:00", "mon 17:00-9:00"} {
		for _, p := range []string{"", "home", "hospital"} {
			for _, c := range []string{"", "EMER"} {
				f.occasions = append(f.occasions, routing.Occasion{Hours: h, Place: p, Class: c})
			}
		}
	}
	for want, holds := range map[string]func(o routing.Occasion) bool{
		"":                           func(routing.Occasion) bool { return true },
		" (mon 17:00-9:00)":          func(o routing.Occasion) bool { return o.Hours == "mon 17:00-9:00" },
		" (elsewhere than hospital)": func(o routing.Occasion) bool { return o.Place != "hospital" },
		" (at home or hospital)":     func(o routing.Occasion) bool { return o.Place != "" },
		" (class EMER)":              func(o routing.Occasion) bool { return o.Class == "EMER" },
		" (mon 17:00-9:00, at home)": func(o routing.Occasion) bool { return o.Hours == "mon 17:00-9:00" && o.Place == "home" },
	} {
		var on occasions
		for i, o := range f.occasions {
			if holds(o) {
				on += occasions(rune(i))
			}
		}
		if got := f.named(on); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := strings.Join(Names(f.occasions, f.occasions[:1]), "; "); got != "mon 9:00-17:00, elsewhere than home and hospital, class other than EMER" {
		t.Errorf("of one: %q", got)
	}
}
