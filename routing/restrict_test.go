package routing_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"carehub/config/strict"
	"carehub/config/strict/stricttest"
	"carehub/events"
	"carehub/routing"
)

const family = `
-- routing/p-7f3k.yaml --
patient: p-7f3k
logged_by:
  ruth: {as: [dad], may: [log, see]}
  tom: {as: [grandad], may: see}
  surgery: {may: log}
rules:
  - on: [admission, attendance, discharge, fall]
    notify: [surgery, nurses, ruth]
    acknowledge: {within: 95m, else: [tom, hospice]}
`

func loadWith(t *testing.T, text string, change func(*routing.Known)) (*routing.Rules, strict.Problems) {
	t.Helper()
	folder := &strict.Folder{Dir: stricttest.Write(t, txtar.Parse([]byte(text)))}
	k := known()
	k.Carers = map[string]bool{"ruth": true, "tom": true}
	change(&k)
	return routing.Load(folder, k, now), folder.Problems()
}

// TestRestricted: of a restricted patient no carer hears, and none may do anything, whatever the file says; the providers
// are told as before, and the hash of the rules is another.
func TestRestricted(t *testing.T) {
	open, _ := loadWith(t, family, func(*routing.Known) {})
	rules, problems := loadWith(t, family, func(k *routing.Known) { k.Restricted = map[string]bool{"p-7f3k": true} })
	if problems.Failed() || !strings.Contains(problems.Error(), "p-7f3k is restricted, so ruth and tom are left out") {
		t.Errorf("the check says: %v", problems)
	}
	matches, known := rules.Match(routing.Asked{Patient: "p-7f3k", Kind: events.Fall, LoggedBy: "surgery"})
	if !known || len(matches) != 1 || matches[0].Recipient != "nurses" || !slices.Equal(matches[0].Ask.Else, []string{"hospice"}) {
		t.Errorf("told: %+v", matches)
	}
	for _, carer := range []string{"ruth", "tom"} {
		if rules.May(carer, "p-7f3k", routing.See, now) != routing.No || rules.May(carer, "p-7f3k", routing.Log, now) != routing.No {
			t.Errorf("%s may still do something", carer)
		}
		if len(rules.Aliases(carer)) != 0 || rules.IsStep(carer, routing.Asked{Patient: "p-7f3k", Kind: events.Fall}, now) {
			t.Errorf("%s still has a name for the patient, or their turn", carer)
		}
	}
	if rules.May("surgery", "p-7f3k", routing.Log, now) != routing.Allowed {
		t.Error("a provider may log no more")
	}
	if rules.Hash() == open.Hash() {
		t.Error("other people are told by rules of the same hash")
	}
}

// TestRestrictedToNobody: where only carers are told, the check says that nobody is.
func TestRestrictedToNobody(t *testing.T) {
	text := strings.NewReplacer("[surgery, nurses, ruth]", "[ruth]", "[tom, hospice]", "[tom]").Replace(family)
	_, problems := loadWith(t, text, func(k *routing.Known) { k.Restricted = map[string]bool{"p-7f3k": true} })
	if !problems.Failed() || !strings.Contains(problems.Error(), "a fall would reach nobody: p-7f3k is restricted") {
		t.Errorf("the check says: %v", problems)
	}
}

// TestDeceased: everybody is told as before, and nobody has to answer.
func TestDeceased(t *testing.T) {
	rules, problems := loadWith(t, family, func(k *routing.Known) { k.Deceased = map[string]bool{"p-7f3k": true} })
	asked := routing.Asked{Patient: "p-7f3k", Kind: events.Discharge, LoggedBy: "surgery"}
	matches, _ := rules.Match(asked)
	if problems.Failed() || len(matches) != 2 || matches[0].Ask != nil || rules.IsStep("tom", asked, now) {
		t.Errorf("told: %+v, and the check says %v", matches, problems)
	}
}

// TestRestrictedSteps: providers who were to be told if a carer did not answer are told at once; rules that have ended tell nobody.
func TestRestrictedSteps(t *testing.T) {
	restricted := func(k *routing.Known) { k.Restricted = map[string]bool{"p-7f3k": true} }
	text := strings.Replace(family, "[surgery, nurses, ruth]", "[ruth]", 1)
	rules, problems := loadWith(t, text, restricted)
	matches, _ := rules.Match(routing.Asked{Patient: "p-7f3k", Kind: events.Fall, LoggedBy: "surgery"})
	if len(matches) != 1 || matches[0].Recipient != "hospice" || matches[0].Ask != nil {
		t.Errorf("told: %+v; the check says %v", matches, problems)
	}
	_, problems = loadWith(t, text+"    until: 2020-01-01\n", restricted)
	if !strings.Contains(problems.Error(), "a fall would reach nobody: p-7f3k is restricted") {
		t.Errorf("the check says: %v", problems)
	}
	_, problems = loadWith(t, family+"    hours: {days: mon, from: \"09:00\", to: \"17:00\"}\n  - on: fall\n    notify: ruth\n", restricted)
	if !strings.Contains(problems.Error(), "routing/p-7f3k.yaml:1:10: warning: a fall would reach nobody") {
		t.Errorf("the check says: %v", problems)
	}
}
