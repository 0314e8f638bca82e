// Command bench measures carehub against what the machine could do at best, in one run: events that are durably stored
// and delivered to four receivers, as a ratio to plain Go doing the least that promise needs, which is one group-committed
// fsync and four keep-alive POSTs of the same bytes. Machines differ and are noisy; the ratio travels better than any rate.
//
//	go run ./cmd/bench            five interleaved rounds of 20 s each, 64 loggers
//	go run ./cmd/bench -rounds 1 -time 5s
//
// Receivers, hub and loggers are processes of their own on this machine, sharing its cores. Loggers log as fast as they are
// answered; a round's clock stops when the last delivery has arrived.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"
)

// settings of a run.
type settings struct {
	rounds   int
	time     time.Duration // of logging in each round
	loggers  int
	patients int
	keep     string // folder to work in; a temporary one unless set
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "receive" {
		exit(receive())
	}
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&s.time, "time", 20*time.Second, "time of logging in each round")
	flag.IntVar(&s.loggers, "loggers", 64, "loggers at a time")
	flag.IntVar(&s.patients, "patients", 512, "patients they log for")
	flag.StringVar(&s.keep, "dir", "", "folder to work in, on the disk to be measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, s settings) error {
	dir := s.keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(".", "bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	b, err := prepare(ctx, s, dir)
	if err != nil {
		return err
	}
	defer b.close()

	var ratios []float64
	fmt.Printf("%-6s %12s %14s %12s %8s %14s %14s\n", "round", "raw fsync/s", "raw events/s", "hub events/s", "ratio", "hub p50 accept", "hub CPU/event")
	for n := range s.rounds {
		fsyncs, err := b.rawFsync(ctx)
		if err != nil {
			return err
		}
		raw, err := b.raw(ctx)
		if err != nil {
			return fmt.Errorf("raw round: %w", err)
		}
		hub, err := b.hub(ctx)
		if err != nil {
			return fmt.Errorf("hub round: %w", err)
		}
		ratios = append(ratios, hub.rate/raw.rate)
		fmt.Printf("%-6d %12.0f %14.0f %12.0f %8.3f %14s %14s\n", n+1, fsyncs, raw.rate, hub.rate, hub.rate/raw.rate,
			hub.p50.Round(100*time.Microsecond), hub.cpu.Round(time.Microsecond))
	}
	slices.Sort(ratios)
	fmt.Printf("median ratio %.3f of %d rounds; every event arrived at all four receivers\n", ratios[len(ratios)/2], s.rounds)
	return nil
}
