package routing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"carehub/events"
	"carehub/routing"
)

var everyone = []string{"surgery", "nurses", "hospice", "duty-line", "ruth", "tom"}

// TestOrderOfRulesDecidesNothing: whatever the order of rules, and of names within them, the same people are told.
func TestOrderOfRulesDecidesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// The first rule keeps every kind from reaching nobody, so that the check has no complaint.
		rules := []string{"  - on: [admission, attendance, discharge, fall]\n    notify: [surgery, nurses]\n"}
		for range rapid.IntRange(0, 5).Draw(rt, "rules") {
			on := some(rt, "on", []string{"admission", "attendance", "discharge", "fall"})
			rules = append(rules, fmt.Sprintf("  - on: [%s]\n    notify: [%s]\n", on, some(rt, "notify", everyone)))
		}
		slices.Sort(rules)
		rules = slices.Compact(rules)
		kind := rapid.SampledFrom(events.Kinds).Draw(rt, "kind")
		because := rapid.SampledFrom([]events.Kind{"", events.Fall}).Draw(rt, "because")
		by := rapid.SampledFrom([]string{"ruth", "tom"}).Draw(rt, "by")
		before := told(t, rules, kind, because, by)
		after := told(t, rapid.Permutation(rules).Draw(rt, "order"), kind, because, by)
		if !slices.Equal(before, after) {
			rt.Errorf("told %v, then %v", before, after)
		}
		if slices.Contains(before, by) {
			rt.Errorf("%s was told of their own event", by)
		}
	})
}

// some draws a list of different items, joined as YAML has them.
func some(t *rapid.T, label string, from []string) string {
	items := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 3, rapid.ID).Draw(t, label)
	return strings.Join(items, ", ")
}

func told(t *testing.T, rules []string, kind, because events.Kind, by string) []string {
	head := "patient: p-7f3k\nlogged_by:\n  ruth: {may: log}\n  tom: {may: log}\nrules:\n"
	archive := &txtar.Archive{Files: []txtar.File{{Name: "routing/p-7f3k.yaml", Data: []byte(head + strings.Join(rules, ""))}}}
	matches, _ := loadAnyway(t, archive).Match(routing.Asked{Patient: "p-7f3k", Kind: kind, Because: because, LoggedBy: by})
	var ids []string
	for _, m := range matches {
		ids = append(ids, m.Recipient)
	}
	return slices.Sorted(slices.Values(ids))
}

// BenchmarkMatch is one patient's usual event; at most 20 µs.
func BenchmarkMatch(b *testing.B) {
	rules := load(b, txtar.Parse([]byte(sound)))
	var m []routing.Match
	for b.Loop() {
		m, _ = rules.Match(routing.Asked{Patient: "p-7f3k", Kind: events.Admission, Because: events.Fall, LoggedBy: "ruth"})
	}
	if len(m) != 2 {
		b.Fatal(m)
	}
}
