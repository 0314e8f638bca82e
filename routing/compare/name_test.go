package compare

import (
	"strings"
	"testing"

	"carehub/events"
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
		" (mon 17:00-9:00, at home)": func(o routing.Occasion) bool { return o.Hours == "mon 17:00-9:00" && o.Place == "home" },
	} {
		for _, kind := range []events.Kind{events.Fall, events.Admission} {
			var on occasions
			for i, o := range f.occasions {
				if holds(o) {
					on += occasions(rune(i))
				}
			}
			if got, is := f.named(kind, on); !is || got != want {
				t.Errorf("%s: %q, want %q", kind, got, want)
			}
		}
	}
	classes := occasions("")
	for i, o := range f.occasions {
		if o.Class == "EMER" {
			classes += occasions(rune(i))
		}
	}
	if got, is := f.named(events.Admission, classes); !is || got != " (class EMER)" {
		t.Errorf("of a class: %q", got)
	}
	if _, is := f.named(events.Fall, classes); is {
		t.Error("a fall has a class")
	}
	if got := strings.Join(merged(f.occasions, f.occasions[:1]), "; "); got != "mon 9:00-17:00, elsewhere than home and hospital, class other than EMER" {
		t.Errorf("of one: %q", got)
	}
}
