package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers/deliver"
)

// torn is a ledger that fails for good at the n-th entry.
type torn struct {
	deliver.Ledger
	mu   sync.Mutex
	left int
}

func (l *torn) Put(ctx context.Context, p int, entries []events.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, en := range entries {
		if l.left == 0 {
			return errors.New("killed")
		}
		l.left--
		if err := l.Ledger.Put(ctx, p, []events.Entry{en}); err != nil {
			return err
		}
	}
	return nil
}

// TestBounceOverCrashes kills the hub after each write of the ledger, and asks again as the record of the bounce does.
func TestBounceOverCrashes(t *testing.T) {
	for left := range 8 {
		t.Run(fmt.Sprint(left, " writes"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, "gp email webhook", "nurses email")
				w.run()
				a := w.log(events.Admission, "p-7f3k", "gp", "nurses")
				pass(time.Minute)
				w.stop()
				w.behaves("gp/webhook", dead) // else it is told before anything is written
				e := w.run(func(o *deliver.Options) { o.Ledger, o.Grace = &torn{Ledger: w.store, left: left}, time.Nanosecond })
				settle()
				nurses := deliver.Reversal{Leg: events.Leg{Place: a.Place(), Index: 1}, Reason: events.ReasonBounced}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				first := e.Reverse(ctx, bounce(a, 0))
				second := e.Reverse(ctx, nurses)
				cancel()
				w.stop()
				w.behaves("gp/webhook", nil)
				e = w.run()
				settle()
				if first != nil {
					reverse(t, e, bounce(a, 0))
				}
				if second != nil {
					reverse(t, e, nurses)
				}
				pass(time.Hour)
				same(t, "after", w.states(e, a), []string{"gp received", "nurses refused bounced"})
				if w.told("gp/webhook") == nil || len(w.told("gp/email")) != 1 {
					t.Errorf("told %q, by mail %q", w.told("gp/webhook"), w.told("gp/email"))
				}
				if h := e.Health(); h.Parked != 0 {
					t.Errorf("%d parked", h.Parked)
				}
				w.stop()
			})
		})
	}
}

// TestBouncesAndKillsAnywhere: mails come back at any time while the hub is killed again and again. Whoever was sent a mail that
// came back is told by the next channel, nobody is forgotten, and a person hears of each.
func TestBouncesAndKillsAnywhere(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { bouncesAnywhere(t, rand.New(rand.NewPCG(seed, 11))) })
		})
	}
}

// records are the bounces that the hub has to act on.
type records struct {
	mu   sync.Mutex
	open []deliver.Reversal
}

func (r *records) add(b deliver.Reversal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, b)
}

// work asks for each until it is done, or ctx ends.
func (r *records) work(ctx context.Context, e *deliver.Engine) {
	for ctx.Err() == nil {
		r.mu.Lock()
		todo := slices.Clone(r.open)
		r.mu.Unlock()
		var asked sync.WaitGroup
		for _, b := range todo {
			asked.Go(func() {
				if e.Reverse(ctx, b) != nil {
					return
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				if i := slices.Index(r.open, b); i >= 0 {
					r.open = slices.Delete(r.open, i, i+1)
				}
			})
		}
		asked.Wait()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func bouncesAnywhere(t *testing.T, rnd *rand.Rand) {
	w := newWorld(t, "gp email webhook", "nurses webhook")
	var pending records
	var all, bounced []events.Stored
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(rnd.Uint64(), 12)) // thrown by many attempts at once
	w.behaves("gp/webhook", func(events.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if dice.IntN(3) > 0 {
			return &events.Failure{Reason: events.ReasonConnection}
		}
		return nil
	})
	life := func(ledger *torn, more func()) {
		e := w.run(func(o *deliver.Options) { o.Ledger, o.Hot, o.Grace = ledger, 16, time.Nanosecond })
		ctx, cancel := context.WithCancel(t.Context())
		worked := make(chan struct{})
		go func() { pending.work(ctx, e); close(worked) }()
		more()
		w.stop()
		cancel()
		<-worked
	}
	for range 6 {
		life(&torn{Ledger: w.store, left: rnd.IntN(80)}, func() {
			for range rnd.IntN(40) {
				st := w.log(events.Admission, fmt.Sprintf("p-%04d", rnd.IntN(4)), "gp", "nurses")
				all = append(all, st)
				if rnd.IntN(3) == 0 {
					bounced = append(bounced, st)
					for range 1 + rnd.IntN(2) { // read by two hubs
						pending.add(bounce(st, 0))
					}
				}
				if rnd.IntN(2) == 0 {
					pass(time.Duration(rnd.IntN(900)) * time.Millisecond)
				}
			}
			pass(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		})
	}
	w.behaves("gp/webhook", nil)
	last := w.run()
	ctx, cancel := context.WithCancel(t.Context())
	worked := make(chan struct{})
	go func() { pending.work(ctx, last); close(worked) }()
	pass(time.Hour)
	cancel()
	<-worked
	if h := last.Health(); h.Parked != 0 || len(pending.open) != 0 {
		t.Errorf("%d parked, %d bounces open", h.Parked, len(pending.open))
	}
	for _, st := range bounced {
		if !slices.Contains(w.told("gp/webhook"), st.Record.Event.ID) {
			t.Errorf("the gp was not told of %d of partition %d by the next channel: %q", st.Seq, st.Partition, w.states(last, st))
		}
		about := events.About{Event: st.Record.Event.ID, Recipient: "gp", Channel: "email", Reason: events.ReasonBounced}
		if !slices.Contains(w.alarms, about) {
			t.Errorf("nobody heard that %d of partition %d came back", st.Seq, st.Partition)
		}
	}
	for _, st := range all {
		for _, id := range []string{"gp/email", "nurses/webhook"} {
			if !slices.Contains(w.told(id), st.Record.Event.ID) && !(id == "gp/email" && slices.Contains(w.told("gp/webhook"), st.Record.Event.ID)) {
				t.Errorf("%s was not told of %d of partition %d", id, st.Seq, st.Partition)
			}
		}
		for _, state := range w.states(last, st) {
			if !strings.HasSuffix(state, "sent") && !strings.HasSuffix(state, "received") {
				t.Errorf("%d of partition %d: %s", st.Seq, st.Partition, state)
			}
		}
	}
	w.stop()
}
