// Package strict reads a folder of YAML files for people: every problem in every file is found in one pass and said with
// its file, line and column, and with a suggestion where one is likely. It wraps the YAML library; nobody else imports it.
package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Line and Column count from 1, columns in characters. File is relative to the folder, with
// forward slashes.
type Pos struct {
	File         string
	Line, Column int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Short is the place without its column, as rules are named: routing/p-7f3k.yaml:4.
func (p Pos) Short() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Problem is one thing wrong with the folder. A Warning does not stop the folder from being used. A Gap is an error, but
// one that a hub can run with: what falls into it is stored and told to a person, and refusing to start would tell nobody.
type Problem struct {
	Code Code
	Pos
	Message string
	Warning bool
	Gap     bool
}

func (p Problem) String() string {
	if p.Warning {
		return p.Pos.String() + ": warning: " + p.Message
	}
	return p.Pos.String() + ": " + p.Message
}

// Problems are all that was found, sorted by file and position. As an error it prints one problem a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Failed reports whether any of them is more than a warning.
func (ps Problems) Failed() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning })
}

// Unfit reports whether a hub cannot run with the folder.
func (ps Problems) Unfit() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning && !p.Gap })
}

// Malformed reports whether a file cannot be parsed, so that nothing is known of what it says.
func (ps Problems) Malformed(file string) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.File == file && p.Code == Syntax })
}

func compare(a, b Problem) int {
	return cmp.Or(
		cmp.Compare(a.File, b.File),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Message, b.Message),
	)
}
