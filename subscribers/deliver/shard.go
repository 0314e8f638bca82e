package deliver

import (
	"context"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

// shard is one partition's share of the work: the events read and not yet settled, and what is parked.
type shard struct {
	e *Engine
	p int

	// guarded by e.mu
	order   []*event          // read from the log and above the cursor, in order
	events  map[uint64]*event // those with bodies in memory, by sequence
	idle    []*event          // that nobody needed when they came here, oldest first
	idlers  int               // recipients of those
	fetches map[uint64]*fetch // events that are being read back
	early   int               // events read back before anybody needed them
	sheets  map[uint64]*sheet // of the events in memory and of unwritten outcomes
	pages   map[pageKey]*page
	changed map[pageKey]bool  // pages that the ledger does not hold as they are
	ahead   map[uint64][]wait // parked above the cursor when the hub stopped; taken up as the events are read again
	cursor  uint64            // as written
	settled uint64            // as it could be written
	newest  uint64            // sequence seen so far
	swept   time.Time         // last look for stragglers
	partial bool              // a timer will see to the outcomes of events with others still untold
	failure error             // of the last write to the ledger
	paused  map[*lane]bool    // with something to send as soon as the owner may start attempts again
	stage   stage

	sealed bool   // it takes no new events
	taken  uint64 // newest sequence taken in
	end    uint64 // newest sequence there will ever be
	atEnd  bool   // it is sealed and read to that end

	standing // for health.go
	marks    // for reverse.go

	boot uint64        // newest sequence at the start: up to here the ledger may know more than we
	kick chan struct{} // something to write
	room chan struct{} // order has become shorter
	work chan struct{} // order is not empty
	quit chan struct{} // the flush loop is to write everything and end
	seal chan struct{} // closed when sealed

	background sync.WaitGroup // readers, who may be held up by the store for a while after they were to stop

	attempts sync.WaitGroup  // and alarms
	life     context.Context // ends when nothing is to be written any more
	kill     context.CancelFunc
	ctx      context.Context // of attempts and alarms; ends after the grace
	cancel   context.CancelFunc
	reading  context.Context // of taking in events; ends when the shard is to stop
	halt     context.CancelFunc
}

// stage is where a shard is in its life.
type stage int

const (
	starting stage = iota // it takes up what the ledger knows
	running
	stopping // nothing new starts
	stopped  // nothing of it is in memory any more
)

func newShard(e *Engine, p int) *shard {
	s := &shard{e: e, p: p, events: map[uint64]*event{}, fetches: map[uint64]*fetch{}, sheets: map[uint64]*sheet{}, pages: map[pageKey]*page{}, changed: map[pageKey]bool{},
		ahead: map[uint64][]wait{}, paused: map[*lane]bool{}, kick: make(chan struct{}, 1), room: make(chan struct{}, 1), work: make(chan struct{}, 1),
		quit: make(chan struct{}), seal: make(chan struct{})}
	s.life, s.kill = context.WithCancel(context.Background())
	s.ctx, s.cancel = context.WithCancel(s.life)
	s.reading, s.halt = context.WithCancel(s.life)
	return s
}

// event is an accepted event in memory.
type event struct {
	stored    events.Stored
	sheet     *sheet           // that holds out
	out       []events.Outcome // of its recipients
	unsettled int              // recipients that are neither settled nor parked
	users     int              // deliveries that hold on to it
	idle      time.Time        // since when it stands in shard.idle; zero where it does not
	early     bool             // read back, and not needed yet
	withdrawn bool             // no attempt is to follow on one that fails
	read      time.Time        // when it came into memory

	opening  sync.Once
	ref      string
	envelope fhir.Envelope // of stored.Message
	unfit    error         // why it has none
}

// lane names the lane of the event: its patient's. Alarms have no order among them, and one that cannot be taken must not
// hold up the others.
func (ev *event) lane() string {
	if e := &ev.stored.Record.Event; e.Kind != events.Alarm {
		return e.Patient
	}
	return ev.id()
}

func (ev *event) id() string { return ev.stored.Record.Event.ID }

// remember puts an event in memory, with a sheet that now is the event's to give back. If it is there already, that one
// stays. Called with the lock held.
func (s *shard) remember(st events.Stored, sh *sheet) *event {
	if ev := s.events[st.Seq]; ev != nil {
		s.dropSheet(sh)
		return ev
	}
	ev := &event{stored: st, sheet: sh, out: sh.out[st.Seq], read: time.Now()}
	s.events[st.Seq] = ev
	return ev
}

// note takes down an outcome; the ledger has it soon after.
func (s *shard) note(ev *event, index int, out events.Outcome) {
	ev.out[index] = out
	sh := ev.sheet
	if len(sh.dirty) == 0 {
		sh.since = time.Now()
	}
	sh.dirty[ev.stored.Seq] = true
	sh.version++
	s.e.notify(ev)
	switch {
	case ev.unsettled == 0:
		s.press(ev)
	case !s.partial:
		s.partial = true
		time.AfterFunc(partialAfter, s.kickPartial)
	}
}

// press has an event's outcomes written at once.
func (s *shard) press(ev *event) {
	ev.sheet.due = true
	signal(s.kick)
}

func (s *shard) kickPartial() {
	s.e.mu.Lock()
	s.partial = false
	s.e.mu.Unlock()
	signal(s.kick)
}

// settle ends the waiting for d: its outcome is final and whoever had to be told of it has been.
func (s *shard) settle(d *delivery) {
	ev := d.event
	if d.parked {
		s.unpark(d)
		s.press(ev)
	} else if ev.unsettled--; ev.unsettled == 0 {
		s.press(ev)
	}
	s.letGo(d)
}
