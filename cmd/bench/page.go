package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// result is the figures of one measurement, and how they came about.
type result struct {
	Measurement string   `json:"measurement"`
	Date        string   `json:"date"`
	Command     string   `json:"command"`
	Machine     machine  `json:"machine"`
	Figures     []figure `json:"figures"`
}

// command is how to do a measurement again.
func (b *bench) command(m measurement) string {
	c := "go run ./cmd/bench " + m.name
	if b.rounds != usualRounds || b.time != usualTime || b.loggers != usualLoggers {
		c += fmt.Sprintf(" -rounds %d -time %s -loggers %d", b.rounds, b.time, b.loggers)
	}
	return c
}

// renew puts a result in the place of the last of its measurement, and writes the page and its numbers.
func renew(page string, r result) error {
	numbers := strings.TrimSuffix(page, ".md") + ".json"
	var results []result
	data, err := os.ReadFile(numbers) // #nosec G304 -- named on the command line
	if err == nil {
		err = json.Unmarshal(data, &results)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", numbers, err)
	}
	results = slices.DeleteFunc(results, func(old result) bool { return old.Measurement == r.Measurement })
	results = append(results, r)
	place := func(r result) int {
		return slices.IndexFunc(measurements, func(m measurement) bool { return m.name == r.Measurement })
	}
	results = slices.DeleteFunc(results, func(r result) bool { return place(r) < 0 }) // no longer measured
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(place(a), place(b)) })
	if data, err = json.MarshalIndent(results, "", "  "); err != nil {
		return err
	}
	return errors.Join(publish(numbers, string(data)+"\n"), publish(page, render(results)))
}

// publish writes a file that everyone may read.
func publish(name, text string) error {
	return os.WriteFile(name, []byte(text), 0o644) // #nosec G306 -- for everyone
}

const pageHead = `# Figures

<!-- Written by go run ./cmd/bench -write; do not edit. -->

What carehub does on one machine, beside what that machine could do at best. The **raw limit** is plain Go doing the least that
the promise needs: one group-committed fsync for each event, and keep-alive POSTs of the same bytes to the same receivers. Both run
in turn, in the same minutes, on the same disk; receivers and loggers are processes of their own and share the cores. Every figure
is from a run in which every event arrived at every receiver. Machines differ and are noisy: the ratios travel, the rates do not.

    go run ./cmd/bench -write docs/figures.md          # everything but what is marked long
    go run ./cmd/bench -long -write docs/figures.md    # everything; takes hours

It renews this page and its numbers in [figures.json](figures.json). What is not measured again stays, with its own date and
commit; a + says that the code had been changed since.
`

// render writes the page.
func render(results []result) string {
	var b strings.Builder
	b.WriteString(pageHead)
	met, goals := goals(results)
	fmt.Fprintf(&b, "\n%d of %d goals are met.\n", met, goals)
	for _, m := range machines(results) {
		fmt.Fprintf(&b, "\n| | |\n|---|---|\n| processor | %s, %d cores, %s |\n| kernel | %s |\n| filesystem | %s |\n| Go | %s |\n| nats-server | %s |\n",
			m.CPU, m.Cores, m.Memory, m.Kernel, m.Filesystem, m.Go, m.NATS)
	}
	for _, r := range results {
		r.render(&b)
	}
	return b.String()
}

// goals counts those that are met, and all of them.
func goals(results []result) (met, all int) {
	for _, r := range results {
		for _, f := range r.Figures {
			if f.Met == nil {
				continue
			}
			all++
			if *f.Met {
				met++
			}
		}
	}
	return met, all
}

// machines are those that anything was measured on, whatever the commit.
func machines(results []result) (all []machine) {
	for _, r := range results {
		r.Machine.Commit = ""
		if !slices.Contains(all, r.Machine) {
			all = append(all, r.Machine)
		}
	}
	return all
}

func (r result) render(b *strings.Builder) {
	m := measurements[slices.IndexFunc(measurements, func(m measurement) bool { return m.name == r.Measurement })]
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| | carehub | | compared with | ratio | goal | met |\n|---|---:|---|---:|---:|---|---|\n", m.title, m.about)
	for _, f := range r.Figures {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", f.Name, short(f.Value), f.Unit, f.compared(), f.ratio(), f.Goal, bold(f.met()))
	}
	b.WriteString("\n")
	for _, f := range r.Figures {
		if f.Note != "" {
			fmt.Fprintf(b, "- %s: %s\n", f.Name, f.Note)
		}
	}
	fmt.Fprintf(b, "- `%s`, %s, commit %s", r.Command, r.Date, r.Machine.Commit)
	if m.long {
		b.WriteString(" (long)")
	}
	b.WriteString("\n")
}

func bold(met string) string {
	if met == "no" {
		return "**no**"
	}
	return met
}
