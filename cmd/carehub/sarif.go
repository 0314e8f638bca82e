package main

import (
	"io"
	"maps"
	"net/url"
	"slices"

	"carehub/config/strict"
)

// What check says as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change. The numbers are those of the
// sections.
type (
	sarifLog struct { // 3.13
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct { // 3.14
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"` // 3.14.17
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct { // 3.18
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct { // 3.19
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct { // 3.49
		ID               strict.Code `json:"id"`
		ShortDescription sarifText   `json:"shortDescription"`
	}
	sarifText struct { // 3.11 and 3.12
		Text string `json:"text"`
	}
	sarifResult struct { // 3.27
		RuleID    strict.Code     `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"` // 3.27.10: error or warning
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct { // 3.28
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct { // 3.29
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct { // 3.4
		URI string `json:"uri"` // relative to where the program runs
	}
	sarifRegion struct { // 3.30
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

func printSARIF(w io.Writer, dir string, problems strict.Problems) error {
	codes := slices.Sorted(maps.Keys(strict.Codes))
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver.Name = "carehub check"
	for _, code := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{code, sarifText{strict.Codes[code]}})
	}
	for _, p := range problems {
		rule, _ := slices.BinarySearch(codes, p.Code)
		at := sarifPhysical{sarifArtifact{(&url.URL{Path: fromHere(dir, p.File)}).String()}, sarifRegion{p.Line, p.Column}}
		run.Results = append(run.Results, sarifResult{p.Code, rule, severity(p), sarifText{p.Message}, []sarifLocation{{at}}})
	}
	return indented(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
