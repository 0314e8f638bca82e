package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"carehub/events"
	"carehub/events/archive"
	"carehub/events/fhir"
	"carehub/events/stream"
)

// filler writes a store as it would be after years, in minutes: most events in the archive, the newest in the streams
// of one full generation, each with its message, its plan for four recipients and their outcomes.
//
//	go run ./cmd/bench fill -events 10000000 DIR    DIR/data is the store; there must be none yet
type filler struct {
	dir              string
	events, patients int
	hot              int
	names            []string // of patients, in the order of the archive
	letters          map[events.Kind]letter
	random           *rand.Rand
}

func fill(ctx context.Context, args []string) error {
	f := filler{random: rand.New(rand.NewPCG(1, 2)), letters: map[events.Kind]letter{}} // #nosec G404 -- made-up data
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	flags.IntVar(&f.events, "events", 1_000_000, "events in all")
	flags.IntVar(&f.patients, "patients", 100_000, "patients they are about")
	flags.IntVar(&f.hot, "hot", 80_000, "of them, events that are not in the archive yet")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if f.dir = flags.Arg(0); f.dir == "" {
		return fmt.Errorf("fill needs the folder of a hub")
	}
	for n := range f.patients {
		f.names = append(f.names, fmt.Sprintf("p-%06d", n))
	}
	for _, kind := range events.Kinds {
		l, err := newLetter(kind)
		if err != nil {
			return err
		}
		f.letters[kind] = l
	}
	return f.run(ctx)
}

func (f *filler) run(ctx context.Context) error {
	store, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(f.dir, "data"), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer store.Close(context.WithoutCancel(ctx))
	old, err := archive.Open(ctx, archive.Options{Store: store})
	if err != nil {
		return err
	}
	// What is in the archive was in the first generation once.
	if err := store.Grow(ctx, 0); err != nil {
		return err
	}
	for p := range 4 {
		if err := store.Retire(ctx, p); err != nil {
			return err
		}
	}
	if err := store.Clear(ctx, store.Retired()); err != nil {
		return err
	}
	if err := f.fillArchive(ctx, old); err != nil {
		return err
	}
	return f.fillStreams(ctx, store)
}

// fillArchive writes the volumes side by side, and enters them in order.
func (f *filler) fillArchive(ctx context.Context, old *archive.Archive) error {
	began := time.Now()
	var group sync.WaitGroup
	busy := make(chan struct{}, 3)
	volumes := f.volumes()
	enter, failed := make([]func() error, len(volumes)), make([]error, len(volumes))
	for i, v := range volumes {
		group.Go(func() {
			busy <- struct{}{}
			enter[i], failed[i] = old.Load(ctx, v.level, v.events, f.volume(v))
			<-busy
		})
	}
	group.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, enter := range enter {
		if err := enter(); err != nil {
			return err
		}
	}
	fmt.Printf("%d events in the archive, %.0f/s\n", f.events-f.hot, float64(f.events-f.hot)/time.Since(began).Seconds())
	return nil
}

// shape is what a volume of the archive is to hold.
type shape struct {
	first  int // events in the volumes before
	events int
	level  int
}

// volumes are those of the archive, as merging would have left them.
func (f *filler) volumes() (all []shape) {
	for done, level := 0, 3; done < f.events-f.hot; {
		left := f.events - f.hot - done
		size := 25_000 << (3 * level) // of a partition of a full generation, and of eight of those
		if left < size && level > 0 {
			level--
			continue
		}
		all = append(all, shape{first: done, events: min(size, left), level: level})
		done += min(size, left)
	}
	return all
}

// volume makes the events of one, by patient, each patient's spread over the time of the volume; a goroutine ahead of who
// takes them. All must be taken.
func (f *filler) volume(v shape) iter.Seq[events.Stored] {
	mine := *f
	mine.random = rand.New(rand.NewPCG(uint64(v.first), 2)) // #nosec G115 G404 -- positive; made-up data
	made := make(chan []events.Stored, 8)
	go func() {
		defer close(made)
		var some []events.Stored
		for i := range v.events {
			k := i * f.patients / v.events                                   // patient of the i-th
			some = append(some, mine.event(f.names[k], uint64(v.first+i)+1)) // #nosec G115 -- a count
			if len(some) == 256 || i == v.events-1 {
				made <- some
				some = nil
			}
		}
	}()
	return func(yield func(events.Stored) bool) {
		for some := range made {
			for _, st := range some {
				if !yield(st) {
					return
				}
			}
		}
	}
}

// event makes one.
func (f *filler) event(patient string, seq uint64) events.Stored {
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	recorded := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seq) * 20 * time.Second) // #nosec G115 -- small
	kind := events.Kinds[f.random.IntN(len(events.Kinds))]
	e := events.Event{ID: events.NewID(by, patient, fmt.Sprint("fill-", seq)), Patient: patient, Kind: kind, By: by,
		Recorded: recorded, Occurred: recorded.Add(-time.Duration(f.random.IntN(3600)) * time.Second), Place: "Riverside Hospital", Words: f.words()}
	if kind != events.Fall {
		e.Stay = e.ID
	}
	plan := events.Plan{Rules: events.Hash([]byte("rules")), Request: events.Hash(fmt.Append(nil, seq)), Hub: "https://hub.example", Renderer: events.Renderer,
		Urgency: events.Urgent, FallbackAfter: 5 * time.Minute, AlarmAfter: 15 * time.Minute, GiveUpAfter: 72 * time.Hour}
	st := events.Stored{Partition: events.PartitionOf(patient, 4), Seq: seq}
	for i := range 4 {
		plan.Recipients = append(plan.Recipients, events.Recipient{ID: fmt.Sprintf("r%d", i), Name: fmt.Sprintf("Receiver %d", i), Phone: "01234 567890",
			Rule: "routing/" + patient + ".yaml:4", Channels: []events.Channel{{Key: "webhook", Type: "webhook"}}})
		st.Outcomes = append(st.Outcomes, events.Outcome{State: events.Received, Channel: "webhook", Attempts: 1,
			At: recorded.Add(time.Duration(f.random.IntN(1e9)))})
	}
	st.Record = events.Record{V: events.RecordVersion, Event: e, Plan: plan}
	st.Message = f.letters[kind].write(f.random, e)
	return st
}

var vocabulary = []string{"he", "she", "fell", "at", "home", "in", "the", "kitchen", "was", "taken", "by", "ambulance", "ward", "seven", "is", "tired", "but",
	"awake", "and", "talking", "asked", "for", "his", "glasses", "her", "tablets", "blue", "folder", "daughter", "with", "them", "neighbour", "rang"}

func (f *filler) words() string {
	var b bytes.Buffer
	for range 5 + f.random.IntN(20) {
		b.WriteString(vocabulary[f.random.IntN(len(vocabulary))] + " ")
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// letter is a real message, cut where every event has something else.
type letter struct {
	parts []string // text, and between each two something to fill in
	gaps  []string // what
}

var variable = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|ev-sample-[a-z2-7]{26}|p-sample|WORDS|2026-11-03T1[45]:[0-9:.]+Z`)

func newLetter(kind events.Kind) (letter, error) {
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	at := time.Date(2026, 11, 3, 14, 2, 0, 0, time.UTC)
	e := events.Event{ID: events.NewID(by, "p-sample", "key"), Patient: "p-sample", Kind: kind, By: by, Occurred: at, Recorded: at.Add(time.Hour),
		Place: "Riverside Hospital", Words: "WORDS"}
	if kind != events.Fall {
		e.Stay = e.ID
	}
	message, err := fhir.Encode(fhir.Message{Event: e, Patient: events.Patient{ID: "p-sample", Name: "Thomas Example", Born: "1941-03-11"},
		By:  events.Person{ID: "ruth", Kind: events.Carer, Name: "Ruth Example", Relationship: "daughter", Phone: "+44 7700 900124"},
		Hub: events.Sender{Name: "Bench", URL: "https://hub.example", Phone: "+44 7700 900123", Email: "help@hub.example"}, Urgency: events.Urgent})
	if err != nil {
		return letter{}, err
	}
	l, from := letter{}, 0
	for _, at := range variable.FindAllIndex(message, -1) {
		l.parts = append(l.parts, string(message[from:at[0]]))
		l.gaps = append(l.gaps, string(message[at[0]:at[1]]))
		from = at[1]
	}
	l.parts = append(l.parts, string(message[from:]))
	return l, nil
}

// write fills the letter in: the same for the same gap, as in a real one.
func (l letter) write(random *rand.Rand, e events.Event) []byte {
	known := map[string]string{"WORDS": e.Words, "p-sample": e.Patient}
	b := make([]byte, 0, 6<<10)
	for i, gap := range l.gaps {
		text, ok := known[gap]
		switch {
		case ok:
		case gap[0] == 'e':
			text = e.ID
		case gap[:4] == "2026":
			text = e.Recorded.Format("2006-01-02T15:04:05.000Z")
		default:
			var id uuid.UUID
			for n := range id {
				id[n] = byte(random.Uint32()) // #nosec G115 -- a byte of it
			}
			text = id.String()
		}
		known[gap] = text
		b = append(append(b, l.parts[i]...), text...)
	}
	return append(b, l.parts[len(l.parts)-1]...)
}

// fillStreams writes the newest events as the hub would: each synced, then the ledger that says that all were told.
func (f *filler) fillStreams(ctx context.Context, store *stream.Store) error {
	began := time.Now()
	made := make(chan events.Stored, 64)
	var failed error
	var mu sync.Mutex
	placed := map[int]map[uint64][]events.Outcome{}
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for st := range made {
				at, _, err := store.Publish(ctx, st.Record, st.Message)
				for events.KindOf(err) == events.Unavailable && ctx.Err() == nil { // on a busy disk, with so many at once
					at, _, err = store.Publish(ctx, st.Record, st.Message)
				}
				mu.Lock()
				if placed[at.Partition] == nil {
					placed[at.Partition] = map[uint64][]events.Outcome{}
				}
				placed[at.Partition][at.Seq] = st.Outcomes
				failed = errorsFirst(failed, err)
				mu.Unlock()
			}
		})
	}
	for n := range f.hot {
		made <- f.event(f.names[f.random.IntN(f.patients)], uint64(f.events-f.hot+n+1)) // #nosec G115 -- positive
	}
	close(made)
	group.Wait()
	if failed != nil {
		return failed
	}
	for p, told := range placed {
		if err := settle(ctx, store, p, told); err != nil {
			return err
		}
	}
	fmt.Printf("%d events in the streams, %.0f/s\n", f.hot, float64(f.hot)/time.Since(began).Seconds())
	return nil
}

func errorsFirst(first, then error) error {
	if first != nil {
		return first
	}
	return then
}

// settle writes the ledger of a partition in which everybody was told.
func settle(ctx context.Context, store *stream.Store, p int, told map[uint64][]events.Outcome) error {
	sheets := map[uint64]map[uint64][]events.Outcome{}
	last := uint64(0)
	for seq, out := range told {
		if sheets[seq/16] == nil {
			sheets[seq/16] = map[uint64][]events.Outcome{}
		}
		sheets[seq/16][seq] = out
		last = max(last, seq)
	}
	var entries []events.Entry
	for number, sheet := range sheets {
		value, err := json.Marshal(map[string]any{"v": 1, "out": sheet})
		if err != nil {
			return err
		}
		entries = append(entries, events.Entry{Key: events.LedSubject(p, number), Value: value})
	}
	entries = append(entries, events.Entry{Key: events.CursorSubject(p), Value: fmt.Append(nil, last)})
	for some := range slices.Chunk(entries, 512) {
		if err := store.Put(ctx, p, some); err != nil {
			return err
		}
	}
	return nil
}
