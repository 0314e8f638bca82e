// Package deliver is the engine that tells people: it reads accepted events, sends each to the recipients frozen in its
// plan, and writes down how that went.
//
// What it promises. Every recipient of every accepted event ends in a recorded state: at least one attempt, never none,
// over any number of crashes. One lane per (recipient, patient) has one attempt in flight, so first arrivals keep the
// order of acceptance. Recipients wait for nobody but themselves. What cannot be delivered soon is parked: its index
// stays in memory and in the ledger, its body only in the store, and it is retried with backoff for days, by the next
// channel too once the first has had its time. Whoever stays untold is alarmed about.
//
// A process delivers the partitions that it owns, each as a shard that starts and stops on its own: several processes may
// share a store, and a store may grow.
//
// The files: engine.go wires it, supervise.go starts and stops shards, which shard.go has. read.go takes accepted events in
// and announce.go tells of them; lane.go says whom to try next, and when is agenda.go. endpoint.go is one endpoint's
// health, limits.go its limits and pauses, budget.go what all endpoints share. attempt.go is one attempt, repeat.go one that
// somebody asked for, due.go fallback, alarms and giving up, reverse.go a no that comes after the end, answer.go what people
// answer, quiet.go quiet hours. The ledger is written
// by settle.go, sheet.go and park.go; receipts.go, health.go and drained.go say how things stand.
package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"carehub/events"
	"carehub/subscribers"
)

// Log is where accepted events are read from, in order, per partition.
type Log interface {
	// Layout returns the partitions that are live, older generations first, and a channel that is closed when that changes.
	Layout() (live []events.Partition, changed <-chan struct{})
	Last(ctx context.Context, p int) (uint64, error)
	At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error)
	Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error
}

// Ledger is where outcomes are kept: the newest value of each key. Put is durable, and in order, when it returns nil; a
// nil value deletes. Put fails with events.ErrFenced, and has done nothing, when the partition belongs to another process.
type Ledger interface {
	Put(ctx context.Context, p int, entries []events.Entry) error
	Get(ctx context.Context, p int, key string) ([]byte, bool, error)
	List(ctx context.Context, p int, prefix string) ([]events.Entry, error)
	Has(ctx context.Context, p int, prefix string) (bool, error) // whether List would return anything
}

// Owner says which partitions this process may deliver, and until when.
type Owner interface {
	// Owned returns the partitions held now and a channel that is closed when that changes.
	Owned() (held []int, changed <-chan struct{})
	// MayStart reports whether an attempt for p may start now: p is held, and will be for a safe margin still.
	MayStart(p int) bool
	// Released tells that the engine does not deliver p, which Owned did not list when it was last asked: everything it
	// knew is written, unless p was lost. It may be told again and again.
	Released(p int)
}

// Options are what the engine needs from outside. Log, Ledger, Lookup and Alarm are required.
type Options struct {
	Log    Log
	Ledger Ledger
	Owner  Owner // nil: this process owns every partition, always
	// Lookup finds a subscriber as registered now: addresses and revocation are never frozen.
	Lookup func(id string) (subscribers.Subscriber, bool)
	// Allowed, if set, is asked before each attempt whether this recipient may still be told of this event.
	Allowed func(rec *events.Record, recipient string) bool
	// Renew, if set, is asked before a recipient that Lookup does not know, or Allowed says no to, is refused for good: what
	// the event was planned by may not have come to this process yet. It returns nil when all that is stored of the
	// recipient is known here, and Lookup and Allowed are asked once more; with an error the attempt is made again later.
	Renew func(ctx context.Context, recipient string) error
	// Announce, if set, hears of each event as it is taken in, in the order of acceptance, before any attempt. The event
	// stays what a restart reads again until each channel that it returns is closed; nil ones count for nothing. It must not block.
	Announce func(rec *events.Record) (done []<-chan struct{})
	// Alarm tells the people named for alarms, durably, once for each About. It is called again until it returns nil.
	Alarm func(ctx context.Context, about events.About, of events.Stored) error
	// Link makes the page address that a message to this recipient carries.
	Link func(event, recipient string) string
	// Document is the content of what is attached to an event.
	Document func(ctx context.Context, d events.Document) ([]byte, error)
	// Return makes the address that mail servers report failures of this leg to; nil, or "": none.
	Return func(leg events.Leg, event, recipient string) string
	Slog   *slog.Logger
	// Attempted, if set, hears of each attempt: the channel's type, and delivered or the reason it was not.
	Attempted func(channelType, result string, took time.Duration)
	// Tried, if set, hears of each attempt with what an HTTP endpoint answered, for the delivery log. It must return at once.
	Tried func(events.Attempt)
	// Paused, if set, says whether nothing is to be sent to an endpoint for now. Engine.Pause tells of changes.
	Paused func(recipient, channel string) bool
	// Gone, if set, pauses an endpoint that asks not to be called again, durably, and sees to it that a person is told, once.
	// target is subscribers.Target of the one that asked: there may be another by now. It is called again until it returns nil.
	Gone func(ctx context.Context, recipient, channel, target string) error
	// Ended, if set, hears of each delivery's final outcome: the type of the channel that it speaks of, empty if the
	// recipient has none, and how long after its event was accepted, but for quiet hours. It is called with the engine's lock held.
	Ended func(channelType string, state events.State, age time.Duration)

	AttemptTimeout time.Duration // one attempt at the most; 60 s unless set
	Grace          time.Duration // how long attempts in flight may take to end at shutdown; 10 s unless set
	Concurrency    int           // attempts in flight to one endpoint; 8 unless set, or the endpoint has a limit of its own
	InFlight       int           // attempts in flight to all endpoints; 2048 unless set
	Hot            int           // events of one partition kept in memory with their bodies; 512 unless set
}

func (o *Options) defaults() {
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Concurrency == 0 {
		o.Concurrency = 8
	}
	if o.InFlight == 0 {
		o.InFlight = 2048
	}
	if o.Hot == 0 {
		o.Hot = 512
	}
	if o.Slog == nil {
		o.Slog = slog.New(slog.DiscardHandler)
	}
	if o.Allowed == nil {
		o.Allowed = func(*events.Record, string) bool { return true }
	}
	if o.Renew == nil {
		o.Renew = func(context.Context, string) error { return nil }
	}
	if o.Announce == nil {
		o.Announce = func(*events.Record) []<-chan struct{} { return nil }
	}
	if o.Attempted == nil {
		o.Attempted = func(string, string, time.Duration) {}
	}
	if o.Ended == nil {
		o.Ended = func(string, events.State, time.Duration) {}
	}
	if o.Paused == nil {
		o.Paused = func(string, string) bool { return false }
	}
	if o.Link == nil {
		o.Link = func(string, string) string { return "" }
	}
	if o.Return == nil {
		o.Return = func(events.Leg, string, string) string { return "" }
	}
}

// Engine delivers. Make it with New, run it with Run once.
type Engine struct {
	opt   Options
	began time.Time // where its clock starts

	mu         sync.Mutex
	shards     map[int]*shard // by partition: those that start, run or stop in this process
	recipients map[string]*recipient
	agenda     agenda             // lanes and endpoints to wake, lanes with a time to keep
	ending     map[*delivery]bool // about to be given up
	rewind     chan struct{}      // tells the clock that the agenda has a new first entry
	tidied     time.Time          // when the agenda was
	quiet      map[events.Quiet]*quiet
	watchers   map[string][]*watcher // by event id
	elsewhere  bool                  // some partitions are delivered by other processes
	resting    map[int]time.Time     // partitions that were found to be another's: not to be started before
	unheard    int                   // alarms that did not reach a recipient
	lost       int                   // deliveries whose events were gone

	budget *budget

	moved chan struct{} // tells the supervisor that a shard has ended, or was read to its end
}

// New makes an engine; it does nothing until Run.
func New(opt Options) *Engine {
	opt.defaults()
	return &Engine{opt: opt, began: time.Now(), shards: map[int]*shard{}, recipients: map[string]*recipient{}, rewind: make(chan struct{}, 1),
		ending: map[*delivery]bool{}, watchers: map[string][]*watcher{}, resting: map[int]time.Time{}, quiet: map[events.Quiet]*quiet{}, budget: newBudget(opt.InFlight), moved: make(chan struct{}, 1)}
}

// Run delivers until ctx ends, then drains: no new attempts, those in flight get the grace, everything known is written.
// It returns early with an error only if a partition cannot be read for another reason than that the store is away.
func (e *Engine) Run(ctx context.Context) error {
	run, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var work sync.WaitGroup
	work.Go(func() { e.clock(run) })
	work.Go(func() { e.pollWatchers(run) })
	e.supervise(run, fail)
	work.Wait()
	if ctx.Err() == nil {
		return context.Cause(run)
	}
	return nil
}
