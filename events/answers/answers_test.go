package answers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carehub/events"
	"carehub/events/answers"
	"carehub/events/stream"
)

var errLater = errors.New("later")

// ward is one event of a patient at a hub in a bubble of fake time, whose outcomes are in memory.
type ward struct {
	t         *testing.T
	store     *stream.Memory
	rec       events.Record
	mu        sync.Mutex
	out       []events.Outcome
	log       []string // what happened, with the minutes since acceptance
	given     []string // answers that were stored
	start     time.Time
	away      bool // the engine cannot do anything just now
	died      atomic.Bool
	elsewhere atomic.Bool  // another hub delivers it
	skew      atomic.Int64 // of the clock on the wall, in nanoseconds
	answers   *answers.Answers
	stop      func()
}

func newWard(t *testing.T) *ward {
	w := &ward{t: t, store: stream.NewMemory(1), start: time.Now()}
	w.rec = events.Record{V: 1, Event: events.Event{ID: events.NewID(events.Actor{Kind: events.Carer, ID: "ruth"}, "p-7f3k", "k"), Patient: "p-7f3k", Recorded: w.start},
		Plan: events.Plan{Recipients: []events.Recipient{
			{ID: "team", Acknowledge: &events.Acknowledge{Within: 30 * time.Minute, Steps: []int{2, 3}}}, {ID: "surgery"}, {ID: "duty", Step: true}, {ID: "tom", Step: true}}}}
	w.out = []events.Outcome{{State: events.Sent, At: w.start}, {State: events.Received, At: w.start}, {State: events.Spared, At: w.start}, {State: events.Spared, At: w.start}}
	w.run()
	return w
}

// run starts the hub, as after a crash.
func (w *ward) run() {
	w.answers = answers.New(answers.Options{Store: w.store, Engine: func() answers.Engine { return w }, Receipts: w.Receipts, Alarm: w.alarm,
		Given: func(_ events.Stored, index int, ack events.Ack) {
			w.given = append(w.given, fmt.Sprint(index, " ", ack.Answer))
		},
		Find: func(context.Context, string) (events.Stored, error) {
			return events.Stored{Partition: 0, Seq: 1, Record: w.rec}, nil
		},
		Mine: func(int) bool { return !w.elsewhere.Load() }, Over: func(string) bool { return w.died.Load() }, Later: func(err error) bool { return errors.Is(err, errLater) }, Never: func(error) bool { return false },
		Clock: func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	known := make(chan struct{})
	work.Go(func() { _ = w.answers.Follow(ctx, func() { close(known) }) })
	<-known
	work.Go(func() { _ = w.answers.Run(ctx) })
	w.stop = func() { cancel(); work.Wait() }
}

func (w *ward) announce() {
	select {
	case <-w.answers.Announce(&w.rec):
	case <-time.After(time.Minute):
		w.t.Fatal("it is not stored that the event waits for answers")
	}
}

func (w *ward) Receipts(context.Context, events.Stored) ([]events.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]events.Receipt, len(w.out))
	for i := range w.out {
		all[i] = events.Receipt{Recipient: w.rec.Plan.Recipients[i], Outcome: w.out[i]}
	}
	return all, nil
}

func (w *ward) did(what string, index int, state events.State) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return errLater
	}
	minutes := time.Since(w.start).Truncate(time.Minute).String()
	w.log = append(w.log, minutes+" "+what+" "+w.rec.Plan.Recipients[index].ID)
	w.out[index].State, w.out[index].At = state, time.Now()
	return nil
}

func (w *ward) Acknowledge(_ context.Context, _ events.Place, index int, ack events.Ack) error {
	state := events.Acknowledged
	if ack.Answer == events.NotForUs {
		state = events.Declined
	}
	err := w.did(string(ack.Answer), index, state)
	if err == nil {
		w.mu.Lock()
		w.out[index].Ack = &ack
		w.mu.Unlock()
	}
	return err
}

func (w *ward) Unanswered(_ context.Context, _ events.Place, index int) error {
	w.mu.Lock()
	at := w.out[index].At
	w.mu.Unlock()
	err := w.did("unanswered", index, events.Unacknowledged)
	w.mu.Lock()
	w.out[index].At = at
	w.mu.Unlock()
	return err
}

func (w *ward) TellStep(_ context.Context, _ events.Place, index int) error {
	return w.did("told", index, events.Sent)
}

func (w *ward) Changed(string) {}

func (w *ward) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

func (w *ward) alarm(_ context.Context, about events.About, _ events.Stored) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, time.Since(w.start).Truncate(time.Minute).String()+" alarm "+about.Recipient+" "+string(about.Reason))
	return nil
}

func (w *ward) give(index int, answer events.Answer) {
	w.t.Helper()
	ack := events.Ack{Answer: answer, Name: "Jo", At: time.Now().UTC(), Via: "api"}
	if _, err := w.answers.Give(w.t.Context(), events.Stored{Seq: 1, Record: w.rec}, index, ack); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) happened(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("got %q, want %q", w.log, want)
	}
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(5 * time.Hour)
		w.stop()
		w.happened("30m0s unanswered team", "30m0s told duty", "1h0m0s unanswered duty", "1h0m0s told tom", "1h30m0s unanswered tom", "1h30m0s alarm team unanswered")
	})
}

// TestTally: each step is counted once, and an event is overdue from when the first time is over until somebody answers or everybody was
// tried. What another hub delivers is that hub's to count.
func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		for _, c := range []struct {
			after         time.Duration
			told, overdue int
		}{{29 * time.Minute, 0, 0}, {2 * time.Minute, 1, 1}, {30 * time.Minute, 2, 1}, {30 * time.Minute, 2, 0}} {
			time.Sleep(c.after)
			w.tallies(c.told, c.overdue)
		}
		w.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(31 * time.Minute)
		w.tallies(1, 1)
		w.elsewhere.Store(true)
		time.Sleep(time.Minute)
		w.tallies(1, 0)
		w.elsewhere.Store(false)
		time.Sleep(time.Minute)
		w.tallies(1, 1)
		w.give(2, events.Acting)
		time.Sleep(time.Minute)
		w.tallies(1, 0)
		w.stop()
	})
}

func (w *ward) tallies(told, overdue int) {
	w.t.Helper()
	if t, o := w.answers.Tally(); t != told || o != overdue {
		w.t.Errorf("after %v %d steps are told and %d events overdue, want %d and %d", time.Since(w.start), t, o, told, overdue)
	}
}

func TestAnAnswerStopsTheSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(20 * time.Minute)
		w.give(1, events.Seen) // the surgery's is not the team's
		time.Sleep(20 * time.Minute)
		w.give(2, events.Acting)
		w.give(2, events.Acting)
		time.Sleep(5 * time.Hour)
		w.stop()
		w.happened("20m0s seen surgery", "30m0s unanswered team", "30m0s told duty", "40m0s acting duty")
		if want := []string{"1 seen", "2 acting"}; !slices.Equal(w.given, want) {
			t.Errorf("on record is %q", w.given)
		}
	})
}

func TestDeclinedRunsTheNextStepAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(time.Minute)
		w.give(0, events.NotForUs)
		time.Sleep(time.Minute)
		w.give(2, events.Seen)
		time.Sleep(5 * time.Hour)
		w.stop()
		slices.Sort(w.log) // the step may be told before the outcome is written
		w.happened("1m0s alarm team declined", "1m0s declined team", "1m0s told duty", "2m0s seen duty")
	})
}

// TestNobodyIsRemindedOfTheDead: once it is known that the patient has died, no further step is told and nobody is alarmed.
func TestNobodyIsRemindedOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(45 * time.Minute)
		w.died.Store(true)
		time.Sleep(5 * time.Hour)
		w.stop()
		w.happened("30m0s unanswered team", "30m0s told duty")
	})
}

// TestAnswersOverRestarts: what is due is due after a restart, an outage and with the clock set to another time.
func TestAnswersOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.announce()
		time.Sleep(10 * time.Minute)
		w.skew.Store(int64(-3 * time.Hour)) // the clock is set back while it runs
		time.Sleep(10 * time.Minute)
		w.happened()
		w.skew.Store(0)
		w.stop()
		time.Sleep(2 * time.Hour)
		w.run()
		time.Sleep(time.Minute)
		w.happened("2h20m0s unanswered team", "2h20m0s told duty")
		time.Sleep(20 * time.Minute)
		w.stop()
		w.setAway(true)
		w.run()
		w.give(2, events.Seen) // is kept while the engine cannot take it
		time.Sleep(20 * time.Minute)
		all, _ := w.Receipts(t.Context(), events.Stored{})
		w.answers.Correct(w.rec.Event.ID, all)
		if all[2].State != events.Acknowledged || all[2].Ack.Name != "Jo" {
			t.Errorf("%+v", all[2])
		}
		w.stop()
		w.setAway(false)
		w.run()
		time.Sleep(5 * time.Hour)
		w.stop()
		w.happened("2h20m0s unanswered team", "2h20m0s told duty", "3h1m0s seen duty")
	})
}

func TestCheck(t *testing.T) {
	for _, ack := range []events.Ack{{Answer: "seen"}, {Answer: "yes", Name: "Jo"}, {Answer: "seen", Name: "Jo\nSmith"}, {Answer: "seen", Name: " "},
		{Answer: "seen", Name: "Jo", Line: "\x00"}, {Answer: "seen", Name: "Jo", Role: string(slices.Repeat([]rune{'r'}, 81))}} {
		if events.KindOf(answers.Check(ack)) != events.Invalid {
			t.Errorf("%+v", ack)
		}
	}
	if err := answers.Check(events.Ack{Answer: events.Seen, Name: "Siân", Line: "Byddwn yn ffonio."}); err != nil {
		t.Error(err)
	}
}
