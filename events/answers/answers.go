// Package answers keeps what named people answer to what they were told, and sees to it that somebody else is told where
// nobody answers in time.
//
// An answer is stored before whoever gave it is thanked, by whichever hub they came to; the hub that delivers the event's
// partition then writes it into the outcome, from where on it lives with the event. What a rule asks of an event waits in a
// record of its own until somebody has answered or everybody has been tried. Such a record holds times only: all else follows
// from the frozen plan and the outcomes, so that doing any of it twice does no harm.
package answers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"carehub/events"
)

// Store is the hub's own records, newest value per key, changed by compare-and-set.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubDelete(ctx context.Context, key string) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
}

// Engine is where outcomes are written.
type Engine interface {
	Acknowledge(ctx context.Context, at events.Place, index int, ack events.Ack) error
	Unanswered(ctx context.Context, at events.Place, index int) error
	TellStep(ctx context.Context, at events.Place, index int) error
	Changed(event string)
}

// Options are what answers need. All are required.
type Options struct {
	Store  Store
	Engine func() Engine
	// Find is an event, and Receipts how telling its recipients stands, without the answers that wait here.
	Find     func(ctx context.Context, id string) (events.Stored, error)
	Receipts func(ctx context.Context, st events.Stored) ([]events.Receipt, error)
	// Mine reports whether this hub delivers a partition.
	Mine func(partition int) bool
	// Later reports whether an error of the engine says to ask again, and Never whether it says that the outcome will not change
	// any more: the event is in the archive.
	Later, Never func(error) bool
	// Over reports whether nobody has to answer for a patient any more: they have died.
	Over func(patient string) bool
	// Alarm tells the people named for alarms, and whoever logged the event, durably, once for each About.
	Alarm func(ctx context.Context, about events.About, of events.Stored) error
	// Given hears of each answer that was stored for a row of an event's plan. It does not keep whoever gave it waiting.
	Given func(st events.Stored, index int, ack events.Ack)
	Clock func() time.Time
	Log   *slog.Logger
}

// Answers is safe for concurrent use.
type Answers struct {
	Options

	mu    sync.Mutex
	given map[string]given // answers that wait for the engine, or came too late for it, by key
	due   map[string]*due  // by event
	asked []question       // events whose records are to be made
	told  int              // steps, since the start
	kick  chan struct{}
}

// The keys of the records.
const (
	prefix    = "hub.answer."
	givenKey  = prefix + "given." // and the event, and the index of the row
	dueKey    = prefix + "due."   // and the event
	recordNow = 1
)

// given is the record of an answer. The shape is a promise.
type given struct {
	V     int        `json:"v"`
	Event string     `json:"event"`
	Index int        `json:"index"`
	Ack   events.Ack `json:"ack"`
	Kept  bool       `json:"kept,omitempty"` // the event is in the archive: the answer stays here
}

// New returns answers that know nothing until Follow runs.
func New(o Options) *Answers {
	return &Answers{Options: o, given: map[string]given{}, due: map[string]*due{}, kick: make(chan struct{}, 1)}
}

// Follow keeps up with what all hubs have stored, until ctx ends; ready is called when everything stored is known.
func (a *Answers) Follow(ctx context.Context, ready func()) error {
	return a.Store.HubWatch(ctx, prefix, ready, func(key string, value []byte) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if event, ok := strings.CutPrefix(key, dueKey); ok {
			a.takeDue(event, value)
		} else {
			a.takeGiven(key, value)
		}
		a.wake()
	})
}

func (a *Answers) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// takeGiven takes in an answer. Called with the lock held.
func (a *Answers) takeGiven(key string, value []byte) {
	var g given
	if len(value) == 0 || json.Unmarshal(value, &g) != nil {
		delete(a.given, key)
		return
	}
	a.given[key] = g
}

func keyOf(event string, index int) string { return givenKey + event + "." + strconv.Itoa(index) }

// Check refuses an answer that is none.
func Check(ack events.Ack) error {
	problem := ""
	switch {
	case !ack.Answer.Known():
		problem = "The answer must be seen, acting or declined."
	case strings.TrimSpace(ack.Name) == "":
		problem = "Please give your name: an answer is a person's."
	case utf8.RuneCountInString(ack.Name) > events.MaxAnswerer || utf8.RuneCountInString(ack.Role) > events.MaxAnswerer:
		problem = fmt.Sprintf("A name and a role have %d characters at the most.", events.MaxAnswerer)
	case utf8.RuneCountInString(ack.Line) > events.MaxLine:
		problem = fmt.Sprintf("What you add has %d characters at the most.", events.MaxLine)
	case strings.ContainsFunc(ack.Name+ack.Role+ack.Line, func(r rune) bool { return r < ' ' }) || !utf8.ValidString(ack.Name+ack.Role+ack.Line):
		problem = "Please write on one line."
	}
	if problem != "" {
		return &events.Error{Kind: events.Invalid, Message: problem}
	}
	return nil
}

// Give stores what a person has answered for a row of an event's plan, and returns once that is durable. The same answer of the
// same person again is the first one. Errors: Invalid, Unavailable.
func (a *Answers) Give(ctx context.Context, st events.Stored, index int, ack events.Ack) (events.Ack, error) {
	if err := Check(ack); err != nil {
		return ack, err
	}
	receipts, err := a.Receipts(ctx, st)
	if err != nil {
		return ack, err
	}
	a.Correct(st.Record.Event.ID, receipts)
	if old := receipts[index].Ack; old != nil && old.Answer == ack.Answer && old.Name == ack.Name && old.Line == ack.Line {
		return *old, nil
	}
	g := given{V: recordNow, Event: st.Record.Event.ID, Index: index, Ack: ack}
	for {
		_, revision, ok, err := a.Store.HubGet(ctx, keyOf(g.Event, index))
		if err != nil {
			return ack, err
		}
		if !ok {
			revision = 0
		}
		value, err := json.Marshal(g)
		if err != nil {
			return ack, err
		}
		if _, err = a.Store.HubPut(ctx, keyOf(g.Event, index), value, revision); err == nil {
			a.mu.Lock()
			a.takeGiven(keyOf(g.Event, index), value)
			a.wake()
			a.mu.Unlock()
			a.Engine().Changed(g.Event)
			a.Log.Info("answered", "event", g.Event, "recipient", st.Record.Plan.Recipients[index].ID, "answer", string(ack.Answer), "via", ack.Via)
			a.Given(st, index, ack)
			return ack, nil
		} else if events.KindOf(err) != events.Conflict {
			return ack, err
		}
	}
}

// Correct makes receipts, in the order of the plan, say what was answered and is not in the outcomes yet, and when the next
// step is.
func (a *Answers) Correct(event string, receipts []events.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range receipts {
		g, ok := a.given[keyOf(event, i)]
		if !ok {
			continue
		}
		r := &receipts[i]
		r.State, r.At, r.Ack, r.Outcome.Next = events.Acknowledged, g.Ack.At, &g.Ack, time.Time{}
		if g.Ack.Answer == events.NotForUs {
			r.State = events.Declined
		}
	}
	if d := a.due[event]; d != nil {
		d.announce(receipts)
	}
}

// Run has the engine take answers in and does what is due, until ctx ends.
func (a *Answers) Run(ctx context.Context) error {
	for {
		a.mu.Lock()
		next := a.nextDue()
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-a.kick:
		case <-time.After(next):
		}
		a.note(ctx)
		a.settle(ctx)
		a.escalate(ctx)
	}
}

// settle has the engine take in what was given.
func (a *Answers) settle(ctx context.Context) {
	a.mu.Lock()
	waiting := make(map[string]given, len(a.given))
	for key, g := range a.given {
		if !g.Kept {
			waiting[key] = g
		}
	}
	a.mu.Unlock()
	for key, g := range waiting {
		if err := a.settleOne(ctx, key, g); err != nil && !a.Later(err) && ctx.Err() == nil {
			a.Log.Error("an answer is not in the outcome yet; trying again", "event", g.Event, "error", err.Error())
		}
	}
}

const workFor = 30 * time.Second // on one event

func (a *Answers) settleOne(ctx context.Context, key string, g given) error {
	ctx, cancel := context.WithTimeout(ctx, workFor)
	defer cancel()
	if _, _, waits, err := a.Store.HubGet(ctx, key); err != nil || !waits { // it was settled before Give or Follow had it taken in
		if err == nil {
			a.forget(key)
		}
		return err
	}
	st, err := a.Find(ctx, g.Event)
	if events.KindOf(err) == events.NotFound { // its time is over
		return a.drop(ctx, key)
	}
	if err != nil {
		return err
	}
	if st.Outcomes == nil && !a.Mine(st.Partition) || g.Index >= len(st.Record.Plan.Recipients) {
		return nil
	}
	if g.Ack.Answer == events.NotForUs {
		about := events.About{Event: g.Event, Recipient: st.Record.Plan.Recipients[g.Index].ID, Reason: events.ReasonDeclined}
		if err := a.Alarm(ctx, about, st); err != nil {
			return err
		}
	}
	if st.Outcomes == nil {
		err = a.Engine().Acknowledge(ctx, st.Place(), g.Index, g.Ack)
		if err == nil {
			err = a.drop(ctx, key)
			a.check(g.Event)
			return err
		}
		if !a.Never(err) {
			return err
		}
	}
	g.Kept = true
	value, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, revision, ok, err := a.Store.HubGet(ctx, key)
	if err != nil || !ok {
		return err
	}
	_, err = a.Store.HubPut(ctx, key, value, revision)
	return err
}

func (a *Answers) drop(ctx context.Context, key string) error {
	err := a.Store.HubDelete(ctx, key)
	if err == nil {
		a.forget(key)
	}
	return err
}

func (a *Answers) forget(key string) {
	a.mu.Lock()
	delete(a.given, key)
	a.mu.Unlock()
}

// errGone: the event is not there any more.
var errGone = errors.New("the event is gone")
