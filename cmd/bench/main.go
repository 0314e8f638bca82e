// Command bench measures carehub against what the machine could do at best, in one run, and writes the page of figures.
// Machines differ and are noisy; a ratio travels better than any rate. The raw limit is plain Go doing the least that the
// promise needs: one group-committed fsync for each event and keep-alive POSTs of the same bytes to the same receivers.
//
//	go run ./cmd/bench                             everything but what takes hours
//	go run ./cmd/bench throughput latency          some of it
//	go run ./cmd/bench -write docs/figures.md      and renew the page
//	go run ./cmd/bench -long -write docs/figures.md
//	go run ./cmd/bench -quick                      does it work at all
//	go run ./cmd/bench fill DIR                    a store of years of events, to look at (fill.go)
//
// Hub, raw limit, receivers and loggers are processes of their own on this machine, sharing its cores. It needs Go and
// Linux, and a minute of a quiet machine for each round.
//
// The files: one for each measurement (throughput.go, latency.go, …); scene.go sets the stage for them, child.go and the
// three roles are the processes, figure.go and page.go the result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measurement is something that bench can measure.
type measurement struct {
	name, title string
	about       string // for the page: what is measured, and how
	long        bool   // takes so long that it is left out unless asked for
	run         func(ctx context.Context, b *bench) ([]figure, error)
}

// measurements are in the order of the page.
var measurements = []measurement{throughput, latency, fanout, cost, hung, subscribed, history, parked, kills, cluster, reload, idle}

// settings of a run.
type settings struct {
	rounds  int
	time    time.Duration // of logging in each round
	loggers int
	dir     string // to work in; a temporary folder here unless set
	quick   bool   // only show that it works
	long    bool
	write   string // page to renew
}

// What the page is measured with.
const (
	usualRounds  = 5
	usualTime    = 20 * time.Second
	usualLoggers = 64
)

func main() {
	if err := start(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		if role, ok := roles[args[0]]; ok {
			return role(ctx, args[1:])
		}
	}
	s, chosen, err := parse(args)
	if err != nil {
		return err
	}
	return measure(ctx, s, chosen)
}

// parse reads flags and names of measurements, in any order.
func parse(args []string) (s settings, chosen []measurement, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", usualRounds, "interleaved rounds")
	flags.DurationVar(&s.time, "time", usualTime, "time of logging in each round")
	flags.IntVar(&s.loggers, "loggers", usualLoggers, "loggers at a time, at full load")
	flags.StringVar(&s.dir, "dir", "", "folder to work in, on the disk to be measured (default: a new one here)")
	flags.BoolVar(&s.quick, "quick", false, "one short round of everything, to see that it works; judges nothing")
	flags.BoolVar(&s.long, "long", false, "also what takes long")
	flags.StringVar(&s.write, "write", "", "page to renew, such as docs/figures.md; its numbers are kept beside it in a .json")
	flags.Usage = func() { usage(flags) }
	var names []string
	for {
		if err := flags.Parse(args); err != nil {
			return s, nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		names, args = append(names, flags.Arg(0)), flags.Args()[1:]
	}
	if s.quick {
		s.rounds, s.time = 1, time.Second
	}
	switch {
	case s.rounds < 1:
		return s, nil, errors.New("-rounds must be at least 1")
	case s.quick && s.write != "":
		return s, nil, errors.New("-quick measures nothing that is worth a page: leave out -write")
	}
	chosen, err = choose(names, s.long)
	return s, chosen, err
}

func usage(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprintln(out, "bench [flags] [measurement ...]")
	for _, m := range measurements {
		long := ""
		if m.long {
			long = " (long)"
		}
		fmt.Fprintf(out, "  %-15s%s%s\n", m.name, m.title, long)
	}
	flags.PrintDefaults()
}

func choose(names []string, long bool) (chosen []measurement, err error) {
	known := []string{"all"}
	for _, m := range measurements {
		known = append(known, m.name)
		if slices.Contains(names, m.name) || (len(names) == 0 || slices.Contains(names, "all")) && (long || !m.long) {
			chosen = append(chosen, m)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("there is no measurement %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// measure runs what was chosen, prints it, and renews the page with all that could be measured.
func measure(ctx context.Context, s settings, chosen []measurement) error {
	b, err := prepare(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	var failed []error
	for _, m := range chosen {
		if ctx.Err() != nil {
			return errors.Join(append(failed, context.Cause(ctx))...)
		}
		fmt.Printf("\n== %s: %s\n", m.name, m.title)
		figures, err := m.run(ctx, b)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
			fmt.Println(err)
			continue
		}
		show(os.Stdout, figures, s.quick)
		if s.write == "" {
			continue
		}
		if err := renew(s.write, result{Measurement: m.name, Date: time.Now().UTC().Format(time.DateOnly), Command: b.command(m),
			Machine: b.machine, Figures: figures}); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}
