package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the table of who may import what of ours, beside what everyone may: events, events/fhir and config/strict.
// A parent never imports its child, siblings never each other; what reaches across does so by an interface that the
// caller declares and cmd connects. Two packages are there to be shared by some: events/page, the frame of every page, and
// subscribers/endpoints, the records that whatever looks after endpoints keeps in common.
var mayImport = map[string][]string{
	"events":                     {},
	"events/answers":             {},
	"events/archive":             {},
	"events/audit":               {},
	"events/console":             {"events/page"},
	"events/correct":             {},
	"events/documents":           {},
	"events/fhir":                {},
	"events/fhir/validate":       {},
	"events/fhirapi":             {},
	"events/forget":              {},
	"events/hold":                {},
	"events/intake":              {},
	"events/page":                {},
	"events/phone":               {"events/page"},
	"events/receipts":            {"events/page"},
	"events/stream":              {},
	"events/stream/clustertest":  {},
	"events/stream/streamtest":   {},
	"events/timeline":            {"events/page"},
	"config/strict/stricttest":   {"config/strict"},
	"config/strict":              {},
	"config":                     {},
	"routing":                    {},
	"routing/cases":              {"routing"},
	"routing/compare":            {"routing"},
	"subscribers":                {},
	"subscribers/attempts":       {},
	"subscribers/egress":         {},
	"subscribers/email":          {"subscribers"},
	"subscribers/bounces":        {},
	"subscribers/email/mailtest": {},
	"subscribers/webhook":        {"subscribers"},
	"subscribers/endpoints":      {},
	"subscribers/inbox":          {"events/page", "subscribers", "subscribers/endpoints"},
	"subscribers/signin":         {"events/page"},
	"subscribers/push":           {"events/page", "subscribers"},
	"subscribers/sms":            {"subscribers"},
	"subscribers/signup":         {"subscribers"},
	"subscribers/fhirmsg":        {"subscribers"},
	"subscribers/channeltest":    {"subscribers"},
	"subscribers/deliver":        {"subscribers"},
	"subscribers/oauth":          {},
	"deploy":                     {},
	"cmd/bench":                  {"events/archive", "events/stream"},
	"cmd/chaos":                  {"events/receipts"},
}

var everyone = []string{"events", "events/fhir", "config/strict"}

type goPackage struct {
	ImportPath, Doc string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "carehub/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportLaws(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "carehub/")
		if name == "cmd/carehub" {
			continue // connects everything
		}
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is not in the table of this test: add a row, and say in its package comment what it is for", name)
			continue
		}
		for _, imp := range p.Imports {
			of, ours := strings.CutPrefix(imp, "carehub/")
			if !ours || slices.Contains(allowed, of) || slices.Contains(everyone, of) && name != "events" && name != "config/strict" {
				continue
			}
			t.Errorf("%s imports %s", name, of)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
