package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var reload = measurement{name: "reload", title: "10,000 patients: check and reload", run: measureReload,
	about: "A folder of 10,000 patients, each with a file of their own, and 1,000 subscribers. `carehub check` of it (median of five). A hub that runs " +
		"with it, of which one file is edited: from the edit, through `carehub reload`, until the new rules are in force (median of five rounds of " +
		"three). And how long the slowest event takes to its fourth receiver, at 50 events a second for 20 s, while the hub reloads again and " +
		"again, beside the slowest of as long without reloads, at the same hub (medians of five rounds in turn). Memory of the rules and a match " +
		"are `BenchmarkTenThousand`'s, of ./routing."}

// reloadsCalmly is how many reloads of a round are timed while nothing else happens.
const reloadsCalmly = 3

func measureReload(ctx context.Context, b *bench) ([]figure, error) {
	t := town{receivers: 1000}.with(10_000)
	if b.quick {
		t = town{receivers: 10}.with(100)
	}
	checked, err := b.check(ctx, t)
	if err != nil {
		return nil, err
	}
	reloaded, err := b.reloads(ctx, t)
	if err != nil {
		return nil, err
	}
	rules, err := b.rules(ctx)
	return append(append(checked, reloaded...), rules...), err
}

// check runs carehub check over the folder of a town.
func (b *bench) check(ctx context.Context, t town) ([]figure, error) {
	h, err := b.folder(t)
	if err != nil {
		return nil, err
	}
	defer h.end()
	var times, peaks []float64
	for range b.rounds {
		cmd := exec.CommandContext(ctx, b.carehub, "check", h.dir) // #nosec G204 -- our own program
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("check: %w: %s", err, out[:min(len(out), 500)])
		}
		times = append(times, time.Since(began).Seconds())
		peaks = append(peaks, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)*1024/1e6) // Maxrss is in KiB on Linux
	}
	return []figure{
		figure{Name: "check", Value: median(times), Unit: "s"}.atMost(3),
		{Name: "check, memory at most", Value: median(peaks), Unit: "MB"},
	}, nil
}

// reloads has a hub reload, first while nothing happens and then while events are told.
func (b *bench) reloads(ctx context.Context, t town) ([]figure, error) {
	sc, err := b.stage(ctx, t)
	if err != nil {
		return nil, err
	}
	defer sc.end()
	if _, err := sc.run(trial{pace: pace{Rate: calm, Time: b.time / 10}, of: firstOf(4)}); err != nil { // opens the connections
		return nil, err
	}
	e := &editor{hub: sc.hub, carehub: b.carehub}
	var withouts, withs, slower []float64
	for n := range b.rounds {
		without, with, err := sc.withReloads(ctx, e)
		if err != nil {
			return nil, err
		}
		withouts, withs, slower = append(withouts, without), append(withs, with), append(slower, with-without)
		fmt.Printf("round %d: a reload %.2f s; the slowest event without reloads %.1f ms, with them %.1f ms\n", n+1, e.waits[len(e.waits)-1], without, with)
	}
	return []figure{
		figure{Name: "from an edit until it is in force", Value: median(e.waits), Unit: "s"}.atMost(2),
		{Name: "processor time of a reload", Value: median(e.costs), Unit: "s"},
		figure{Name: "slowest event while it reloads, later than without", Value: median(slower), Unit: "ms"}.atMost(50).noting(
			"%s ms while it reloads, %s ms without; %d edits came into force in all", short(median(withs)), short(median(withouts)), e.edits),
		{Name: "memory of the hub, at most after a reload", Value: float64(e.memory) / 1e6, Unit: "MB"},
	}, nil
}

// withReloads is a round: some reloads while nothing happens, then how many milliseconds the slowest event takes without
// reloads and with them.
func (sc *scene) withReloads(ctx context.Context, e *editor) (without, with float64, err error) {
	for range reloadsCalmly {
		if !sc.b.quick {
			if err := sleep(ctx, 2*settled); err != nil { // the hub has stored its copy of the folder before
				return 0, 0, err
			}
		}
		took, cpu, err := e.edit(ctx)
		if err != nil {
			return 0, 0, err
		}
		e.waits, e.costs = append(e.waits, took.Seconds()), append(e.costs, cpu.Seconds())
	}
	load := trial{pace: pace{Rate: calm, Time: sc.b.time}, of: firstOf(4), timed: true}
	quiet, err := sc.run(load)
	if err != nil {
		return 0, 0, err
	}
	stop := e.start(ctx)
	busy, err := sc.run(load)
	err = errors.Join(err, stop())
	return ms(percentile(quiet.arrivals, 100)), ms(percentile(busy.arrivals, 100)), err
}

// editor edits the rules of one patient again and again. Nobody is told anything else for that: what changes is about documents.
type editor struct {
	hub     *hub
	carehub string
	edits   int
	said    string    // by carehub reload, of the rules in force
	memory  int64     // of the hub, at the most
	waits   []float64 // seconds that reloads took, while nothing else happened
	costs   []float64 // seconds of a processor, of the same
}

// edit makes one edit, and says how long it takes until it is in force, and what it costs the hub.
func (e *editor) edit(ctx context.Context) (took, cpu time.Duration, err error) {
	e.edits++
	file := filepath.Join(e.hub.dir, "routing", patient(0)+".yaml")
	text, err := os.ReadFile(file) // #nosec G304 -- the bench's own folder
	if err != nil {
		return 0, 0, err
	}
	rules, _, _ := strings.Cut(string(text), "  - {on: document")
	if e.edits%2 == 1 {
		rules += "  - {on: document, notify: [r0]}\n"
	}
	before, err := e.hub.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil { // #nosec G703 -- as above
		return 0, 0, err
	}
	said, err := exec.CommandContext(ctx, e.carehub, "reload", e.hub.dir).CombinedOutput() // #nosec G204 -- our own program
	took = time.Since(began)
	if err != nil {
		return 0, 0, fmt.Errorf("reload: %w: %s", err, said[:min(len(said), 500)])
	}
	if string(said) == e.said {
		return 0, 0, fmt.Errorf("an edit is not in force: %s", said)
	}
	e.said = string(said)
	after, err := e.hub.cpu()
	if err != nil {
		return 0, 0, err
	}
	size, err := e.hub.memory()
	e.memory = max(e.memory, size)
	return took, after - before, err
}

// start makes one edit after another until stop is called, which says whether all went well.
func (e *editor) start(ctx context.Context) (stop func() error) {
	over, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			_, _, err := e.edit(ctx)
			select {
			case <-over:
				ended <- err
				return
			default:
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() error { close(over); return <-ended }
}

var benchmarked = regexp.MustCompile(`([0-9.]+) (ns/op|B/patient)`)

// rules takes what the rules of one patient hold, and what a match takes, from Go's own benchmark of them.
func (b *bench) rules(ctx context.Context) ([]figure, error) {
	args := []string{"test", "-run", "^$", "-bench", "^BenchmarkTenThousand$"}
	if b.quick {
		args = append(args, "-short", "-benchtime", "100x")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "./routing")...).CombinedOutput() // #nosec G204 -- our own program
	if err != nil {
		return nil, fmt.Errorf("benchmark: %w\n%s", err, out)
	}
	found := map[string]float64{}
	for _, m := range benchmarked.FindAllStringSubmatch(string(out), -1) {
		found[m[2]], err = strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
	}
	if len(found) != 2 {
		return nil, fmt.Errorf("the benchmark says\n%s", out)
	}
	return []figure{
		figure{Name: "memory of a patient's rules", Value: found["B/patient"], Unit: "bytes"}.atMost(2048),
		figure{Name: "a match", Value: found["ns/op"] / 1000, Unit: "µs"}.atMost(20),
	}, nil
}
