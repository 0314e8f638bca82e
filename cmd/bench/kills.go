package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

var kills = measurement{name: "kills", title: "Killed again and again", long: true, run: measureKills,
	about: "The hub is killed (SIGKILL) 100 times under 200 events a second to four recipients. Then the receivers' own file says what " +
		"arrived of everything acknowledged, in which order, and how often. A kill may repeat what was in flight, and what was younger " +
		"than the ledger's interval."}

var cluster = measurement{name: "cluster", title: "Three hubs, three NATS servers", long: true, run: measureCluster,
	about: "Hubs are killed 20 times and servers about half as often, under 200 events a second, one at a time: the next at least 12 seconds after the one before runs " +
		"again, a quarter of a minute on average, so that each pause is that of one kill. Judged as above."}

// findings are what cmd/chaos -json says of a run.
type findings struct {
	Lost       int `json:"lost"`
	OutOfOrder int `json:"out_of_order"`
	Changed    int `json:"changed"`
	Unequal    int `json:"unequal"`
	Kills      int `json:"kills"`
	Events     int `json:"events"`
	Deliveries int `json:"deliveries"`
	Repeats    int `json:"repeats"`
	Excess     int `json:"excess"` // kills with more repeats than may be
	Worst      struct {
		Repeats int `json:"repeats"`
		Exposed int `json:"exposed"`
	} `json:"worst"`
	Pause  time.Duration `json:"pause"`  // the longest in which a recipient who was well got nothing of a patient
	Within int           `json:"within"` // faults that began in it
	Single time.Duration `json:"single"` // the longest in which no more than one began
}

func measureKills(ctx context.Context, b *bench) ([]figure, error) {
	var f findings
	if err := b.chaos(ctx, &f, "-kills", b.some(100, 2), "-rate", "200"); err != nil {
		return nil, err
	}
	return f.figures(), nil
}

func measureCluster(ctx context.Context, b *bench) ([]figure, error) {
	var f findings
	if err := b.chaos(ctx, &f, "-nats", "3", "-hubs", "3", "-kills", b.some(20, 2), "-rate", "200", "-gap", "15s", "-apart", "12s"); err != nil {
		return nil, err
	}
	return append(f.figures(), f.longest()), nil
}

// longest is judged here, not by a bound that chaos is given: the page says how long it was.
func (f findings) longest() figure {
	return figure{Name: "longest pause in one patient's deliveries to a recipient", Value: f.Pause.Seconds(), Unit: "s"}.atMost(10).
		noting("%d kills fell into it; the longest pause of one kill was %.1f s", f.Within, f.Single.Seconds())
}

func (f findings) figures() []figure {
	return []figure{
		{Name: "kills", Value: float64(f.Kills)},
		{Name: "events acknowledged", Value: float64(f.Events)},
		figure{Name: "deliveries lost", Value: float64(f.Lost)}.atMost(0),
		figure{Name: "first arrivals out of order", Value: float64(f.OutOfOrder)}.atMost(0),
		figure{Name: "repeats with another id or other bytes", Value: float64(f.Changed)}.atMost(0),
		figure{Name: "outcomes unlike what the receivers saw", Value: float64(f.Unequal)}.atMost(0),
		figure{Name: "kills with more repeats than may be", Value: float64(f.Excess)}.atMost(0).noting("%d repeats of %d deliveries in all; the worst kill had %d, "+
			"when %d were in flight or younger than the ledger's interval", f.Repeats, f.Deliveries, f.Worst.Repeats, f.Worst.Exposed),
	}
}

// some is how many of something a run has.
func (b *bench) some(fully, quick int) string {
	if b.quick {
		return fmt.Sprint(quick)
	}
	return fmt.Sprint(fully)
}

// chaos runs cmd/chaos and reads what it found. A broken promise is a finding, not an error.
func (b *bench) chaos(ctx context.Context, found any, args ...string) error {
	dir, err := os.MkdirTemp(b.dir, "chaos-")
	if err != nil {
		return err
	}
	if err := b.tool(ctx, found, "./cmd/chaos", append(args, "-json", "-dir", dir)...); err != nil {
		return err // which may say what to see in that folder
	}
	return os.RemoveAll(dir)
}

// tool runs another program of ours and reads the JSON it prints.
func (b *bench) tool(ctx context.Context, into any, program string, args ...string) error {
	p := newProcess(ctx, "go", append([]string{"run", program}, args...)...)
	p.Stderr = os.Stderr
	out, err := p.Output()
	if jerr := json.Unmarshal(out, into); jerr != nil {
		return errors.Join(fmt.Errorf("%s: %w", program, jerr), err)
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return nil
	}
	return err
}
