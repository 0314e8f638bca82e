package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"carehub/config"
	"carehub/config/strict"
	"carehub/subscribers"
)

// The formats of check's findings.
const (
	formatText   = "text"
	formatJSON   = "json"
	formatGitHub = "github"
	formatSARIF  = "sarif"
)

func severity(p strict.Problem) string {
	if p.Warning {
		return "warning"
	}
	return "error"
}

// onTerminal reports whether w is a terminal.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printFindings writes problems for a person, a program or GitHub's annotations.
func printFindings(w io.Writer, dir, format string, problems strict.Problems) error {
	switch format {
	case formatText:
		printText(w, dir, problems, onTerminal(w), onTerminal(w) && os.Getenv("NO_COLOR") == "")
	case formatJSON:
		return printJSON(w, problems)
	case formatGitHub:
		for _, p := range problems {
			fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", severity(p), property.Replace(fromHere(dir, p.File)), p.Line, p.Column, p.Code, annotation.Replace(p.Message))
		}
	case formatSARIF:
		return printSARIF(w, dir, problems)
	default:
		return exitError{code: 2, msg: "--format takes text, json, github and sarif"}
	}
	return nil
}

// fromHere is a file of the folder as a path from where the program runs, for that is what code hosts go by.
func fromHere(dir, file string) string {
	if file == filepath.ToSlash(dir) {
		return file
	}
	if filepath.IsAbs(dir) {
		here, _ := os.Getwd()
		relative, err := filepath.Rel(here, dir)
		if err != nil || strings.HasPrefix(relative, "..") {
			return file
		}
		dir = relative
	}
	return filepath.ToSlash(filepath.Join(dir, filepath.FromSlash(file)))
}

// GitHub's escapes of workflow commands: of a message, and of a property.
var (
	annotation = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property   = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// written is a problem as JSON says it.
type written struct {
	Code     strict.Code `json:"code"`
	Severity string      `json:"severity"`
	Gap      bool        `json:"gap,omitempty"` // an error that a hub can run with
	File     string      `json:"file"`
	Line     int         `json:"line"`
	Column   int         `json:"column"`
	Message  string      `json:"message"`
}

func findings(problems strict.Problems) []written {
	all := make([]written, 0, len(problems))
	for _, p := range problems {
		all = append(all, written{p.Code, severity(p), p.Gap, p.File, p.Line, p.Column, p.Message})
	}
	return all
}

func printJSON(w io.Writer, problems strict.Problems) error { return indented(w, findings(problems)) }

func indented(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// printText writes a line for each problem; with excerpts also its code and the line it is on, with a caret under the column.
func printText(w io.Writer, dir string, problems strict.Problems, excerpts, colour bool) {
	lines := map[string][]string{}
	for _, p := range problems {
		if !excerpts {
			fmt.Fprintln(w, p)
			continue
		}
		if _, read := lines[p.File]; !read {
			lines[p.File] = quotable(dir, p.File)
		}
		head, mark := p.String(), "^"
		if colour {
			tint := "\x1b[31m"
			if p.Warning {
				tint = "\x1b[33m"
			}
			head, mark = tint+head+"\x1b[0m", tint+mark+"\x1b[0m"
		}
		fmt.Fprintf(w, "%s [%s]\n", head, p.Code)
		if p.Code != strict.OpenToOthers && p.Line <= len(lines[p.File]) { // what is in that file is private
			text := lines[p.File][p.Line-1]
			fmt.Fprintf(w, "    %s\n    %s%s\n", text, under(text, p.Column), mark)
		}
	}
}

// quotable are the lines of a file that may be shown: none of a private one, and none that cannot be read.
func quotable(dir, file string) []string {
	if isPrivate(file) {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file))) // #nosec G304 -- a file of the folder that was just read
	if err != nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
}

// isPrivate reports whether a file says who people are.
func isPrivate(file string) bool { return slices.Contains(privateFiles, file) }

var privateFiles = []string{config.PatientsFile, subscribers.CarersFile}

// under is the space before a column, with the tabs of the line kept so that both are as wide.
func under(text string, column int) string {
	var space strings.Builder
	for i, r := range []rune(text) {
		switch {
		case i >= column-1:
			return space.String()
		case r == '\t':
			space.WriteRune(r)
		default:
			space.WriteByte(' ')
		}
	}
	return space.String()
}
