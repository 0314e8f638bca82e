// Command chaos breaks a hub on purpose, in real processes on this machine, and then lets the receivers say whether
// carehub kept its promises.
//
//	go run ./cmd/chaos                     100 kills of the hub under 200 events a second to four recipients; ten minutes
//	go run ./cmd/chaos -faults all         every fault: kills, pauses, receivers that hang, fail and crawl, cut and slow wires
//	go run ./cmd/chaos -faults all -disk   and a full disk (root: the store stands on a small disk of its own)
//	go run ./cmd/chaos -nats 1             the store on an external nats-server, which is killed and paused too
//	go run ./cmd/chaos -nats 3 -hubs 3     three hubs on a cluster of three
//	               … -faults machine       and machines are lost: now and then a hub and a server are gone together, for 15 s
//	go run ./cmd/chaos parked -n 300000    a dead recipient's backlog: memory, restart, and draining in order
//	go run ./cmd/chaos copy                the data of a hub under load, copied at random moments: a hub on the copy has everything
//	go run ./cmd/chaos strace              every 201 is written after the fsync of its event (needs strace)
//
// A run says what it did and what it found, as text or with -json, and exits with 1 if a promise was broken, or if nothing
// was acknowledged. What fault comes when is drawn from -seed, which is printed; how the processes take it is not repeatable.
// However it ends, its processes end with it.
//
// What it cannot break is a clock: the processes share the machine's, and a time namespace moves all but the wall clock. What
// a clock does that is set forward or back is for tests of packages (deliver.TestClockSetBack, deliver.TestClockSetForward).
//
// Loggers log one event after another for each patient, with the same key until it is acknowledged. The receivers are a
// process of their own that appends each request to a file before it answers. From that file, and from what the hub
// says of each event afterwards, follows the judgement (judge.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// settings of a run.
type settings struct {
	kills      int
	rate       int // events a second
	recipients int
	patients   int
	gap        time.Duration // between faults, on average
	apart      time.Duration // that they are at least, if that is more than a quarter of gap
	faults     string        // "kill", "machine" or "all"
	down       time.Duration // that a machine is gone
	pause      time.Duration // that breaks a promise; 0: none does
	nats       int           // external servers; 0 embeds the store
	hubs       int
	disk       bool
	seed       uint64
	interval   time.Duration // of the ledger: how old a delivery may be and still be repeated after a kill
	json       bool
	dir        string // to work in; emptied at the end unless given
	n          int    // deliveries to park, events to trace, or copies
	rest       time.Duration
}

func (s *settings) flags(command string) *flag.FlagSet {
	f := flag.NewFlagSet("chaos", flag.ExitOnError)
	f.Uint64Var(&s.seed, "seed", rand.Uint64(), "what is drawn by chance is drawn from this") // #nosec G404 -- faults are no secret
	f.IntVar(&s.rate, "rate", 200, "events a second")
	f.IntVar(&s.recipients, "recipients", 4, "recipients of each event")
	f.IntVar(&s.patients, "patients", 64, "patients logged for, each in order")
	f.StringVar(&s.dir, "dir", "", "folder to work in, on the disk to be tested; kept")
	f.BoolVar(&s.json, "json", false, "print the findings as JSON")
	f.IntVar(&s.n, "n", map[string]int{"": 1, "parked": 300_000, "strace": 200, "copy": 10}[command], "parked: deliveries; strace: events; copy: copies")
	f.DurationVar(&s.rest, "rest", 3*time.Minute, "parked: how long the hub has nothing to do before its memory is looked at; what its store keeps for two minutes it gives back within three")
	f.IntVar(&s.kills, "kills", 100, "kills of a hub")
	f.DurationVar(&s.gap, "gap", 4*time.Second, "time between faults, on average")
	f.DurationVar(&s.apart, "apart", 0, "least time between what was killed running again and the next fault, so that a pause is one fault's; 0: a quarter of -gap")
	f.StringVar(&s.faults, "faults", "kill", `"kill": hubs, and servers of -nats; "machine": and a hub and a server together, for a while; "all": whatever else can break`)
	f.DurationVar(&s.down, "down", 15*time.Second, "-faults machine: how long it is gone")
	f.DurationVar(&s.pause, "pause", 0, "how long a recipient who is well may get nothing about a patient, such as 10s with several hubs; 0: not judged")
	f.IntVar(&s.nats, "nats", 0, "external NATS servers to keep the store on: 1, or 3 in a cluster")
	f.IntVar(&s.hubs, "hubs", 1, "hub processes; more than one needs -nats")
	f.BoolVar(&s.disk, "disk", false, "with -faults all: fill the disk too; needs root, for a disk of its own")
	f.DurationVar(&s.interval, "interval", 500*time.Millisecond, "ledger interval: 100 ms of gathering, and the write before and the write after it on a busy disk")
	return f
}

func (s *settings) check() error {
	switch {
	case s.hubs > 1 && s.nats == 0:
		return errors.New("-hubs: several hubs need a store outside of them: -nats")
	case !slices.Contains([]string{"kill", "machine", "all"}, s.faults):
		return errors.New(`-faults: "kill", "machine" or "all"`)
	case s.faults == "machine" && s.nats == 0:
		return errors.New("-faults machine: a machine of a hub and a server of its store needs -nats")
	case s.nats != 0 && s.nats != 1 && s.nats != 3:
		return errors.New("-nats: 1 or 3")
	case s.disk && s.nats > 0:
		return errors.New("-disk: only with the store inside the hub")
	case min(s.rate, s.recipients, s.patients, s.hubs, s.kills, s.n) < 1:
		return errors.New("-rate, -recipients, -patients, -hubs, -kills and -n begin at 1: a run of nothing proves nothing")
	case s.pause < 0 || s.pause > 0 && s.rate < s.patients:
		return errors.New("-pause: needs a -rate of an event a second for each of -patients; otherwise there is a pause because nothing happens")
	case s.rate > 100_000:
		return errors.New("-rate: 100,000 a second at the most")
	case s.gap <= 0:
		return errors.New("-gap: a time between faults, such as 4s")
	case s.apart < 0 || s.apart > s.gap:
		return errors.New("-apart: -gap at the most, which is the average")
	}
	return nil
}

// commands by their names; "" is the run of faults.
var commands = map[string]func(context.Context, settings) error{
	"": runFaults, "parked": runParked, "copy": runCopies, "strace": runStrace,
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "receive" { // the receivers' process: see receive.go
		exit(receive(os.Args[2], os.Args[3]))
	}
	name, args := "", os.Args[1:]
	if len(args) > 0 && commands[args[0]] != nil {
		name, args = args[0], args[1:]
	}
	var s settings
	_ = s.flags(name).Parse(args) // exits by itself
	ctx, stop := untilStopped()
	defer stop()
	exit(inFolder(ctx, s, commands[name]))
}

// untilStopped ends with Ctrl-C, and as timeout(1) or a CI ends what takes too long.
func untilStopped() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// inFolder runs a command in a folder, its own unless one is given.
func inFolder(ctx context.Context, s settings, run func(context.Context, settings) error) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if s.dir != "" {
		s.dir, err = filepath.Abs(s.dir)
		return errors.Join(err, run(ctx, s))
	}
	if s.dir, err = os.MkdirTemp("", "chaos-"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos: what is left of the run is in", s.dir)
			return
		}
		_ = os.RemoveAll(s.dir)
	}()
	return run(ctx, s)
}
