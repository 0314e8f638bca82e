package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile parses each instruction as BuildKit does, with its linter, and insists on what the image is meant to be.
func dockerfile(path string) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	f, err := os.Open(path) // #nosec G304 -- the file to be checked
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		return []string{path + ": " + err.Error()}
	}
	for _, w := range parsed.Warnings {
		report("%s", w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		report("line %d: %s: %s", at[0].Start.Line, rule, message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		report("%v", err)
		return problems
	}
	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		report("the image is built on %s, not on nothing", last.BaseName)
	}
	seen := map[string]string{}
	for _, c := range last.Commands {
		seen[strings.ToUpper(c.Name())] = fmt.Sprint(c)
		if u, ok := c.(*instructions.UserCommand); ok && strings.HasPrefix(u.User, "0") {
			report("the image runs as root")
		}
	}
	for _, want := range []string{"USER", "HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL", "COPY"} {
		if _, ok := seen[want]; !ok {
			report("no %s", want)
		}
	}
	return problems
}
