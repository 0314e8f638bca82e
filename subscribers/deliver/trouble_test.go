package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"carehub/events"
	"carehub/subscribers"
	"carehub/subscribers/deliver"
)

// hooked is a ledger and log with hooks.
type hooked struct {
	deliver.Ledger
	deliver.Log
	get func(ctx context.Context, key string) error
	put func(ctx context.Context, entries []events.Entry) error
	at  atomic.Pointer[func(ctx context.Context, p int, seq uint64) error]
}

// reads sets what comes before a read of an event, also while the engine runs.
func (h *hooked) reads(at func(ctx context.Context, p int, seq uint64) error) { h.at.Store(&at) }

func (h *hooked) Get(ctx context.Context, p int, key string) ([]byte, bool, error) {
	if h.get != nil {
		if err := h.get(ctx, key); err != nil {
			return nil, false, err
		}
	}
	return h.Ledger.Get(ctx, p, key)
}
func (h *hooked) Put(ctx context.Context, p int, entries []events.Entry) error {
	if h.put != nil {
		if err := h.put(ctx, entries); err != nil {
			return err
		}
	}
	return h.Ledger.Put(ctx, p, entries)
}
func (h *hooked) At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error) {
	if at := h.at.Load(); at != nil {
		if err := (*at)(ctx, p, seq); err != nil {
			return events.Stored{}, false, err
		}
	}
	return h.Log.At(ctx, p, seq)
}
func (h *hooked) on(o *deliver.Options) { o.Ledger, o.Log = h, h }

func newHooked(w *world) *hooked { return &hooked{Ledger: w.store, Log: w.store} }

func TestReaderWhoHangsUpStopsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		h := newHooked(w)
		var slow atomic.Bool
		h.get = func(ctx context.Context, key string) error {
			if slow.Load() {
				<-ctx.Done()
				return &events.Error{Kind: events.Unavailable, Message: "x", Err: ctx.Err()}
			}
			return nil
		}
		e := deliver.New(deliver.Options{Log: h, Ledger: h, Alarm: w.alarm, Lookup: w.lookup})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		first := w.log(events.Admission, "p-7f3k", "gp")
		w.pushOut("p-7f3k")
		slow.Store(true)
		request, hangUp := context.WithCancel(context.Background())
		go e.Receipts(request, first)
		settle()
		second := w.log(events.Discharge, "p-7f3k", "gp")
		settle()
		hangUp()
		settle()
		slow.Store(false)
		pass(time.Hour)
		select {
		case err := <-ended:
			t.Errorf("the engine has ended (err=%v) though nobody stopped it", err)
		default:
			cancel()
			<-ended
		}
		same(t, "told", w.told("gp/webhook"), []string{first.Record.Event.ID, second.Record.Event.ID})
	})
}

func TestOneFailedLedgerReadStopsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		h := newHooked(w)
		var down atomic.Bool
		h.get = func(context.Context, string) error {
			if down.Load() {
				return &events.Error{Kind: events.Unavailable, Message: "reconnecting"}
			}
			return nil
		}
		w.run(h.on)
		a := w.log(events.Admission, "p-7f3k", "gp")
		w.pushOut("p-7f3k")
		down.Store(true)
		b := w.log(events.Discharge, "p-7f3k", "gp")
		pass(3 * time.Second)
		down.Store(false)
		pass(time.Minute)
		same(t, "told", w.told("gp/webhook"), []string{a.Record.Event.ID, b.Record.Event.ID})
		w.stop()
	})
}

func TestOutcomesSurviveARestartInMidFanOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "nurses", "gp", "hospice")
		w.behaves("gp/webhook", hang)
		w.behaves("hospice/webhook", hang)
		ledger := &frail{Ledger: w.store}
		w.run(func(o *deliver.Options) { o.Ledger, o.Grace = ledger, time.Nanosecond })
		st := w.log(events.Admission, "p-7f3k", "nurses", "gp", "hospice")
		pass(500 * time.Millisecond) // nurses' outcome is written; nobody is parked yet
		ledger.broken.Store(true)
		w.stop()
		w.behaves("gp/webhook", nil)
		w.behaves("hospice/webhook", gone)
		e := w.run()
		pass(time.Minute)
		same(t, "states", w.states(e, st), []string{"nurses received", "gp received", "hospice refused gone"})
		w.stop()
		e = w.run()
		pass(time.Minute)
		same(t, "states after another restart", w.states(e, st), []string{"nurses received", "gp received", "hospice refused gone"})
		same(t, "gp told", w.told("gp/webhook"), []string{st.Record.Event.ID})
		w.stop()
	})
}

func TestCursorPassesOnlyWhatIsWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "nurses", "gp")
		w.behaves("gp/webhook", dead)
		ledger := &frail{Ledger: w.store}
		w.run(func(o *deliver.Options) { o.Ledger, o.Grace = ledger, time.Nanosecond })
		st := w.log(events.Admission, "p-7f3k", "nurses", "gp")
		pass(60 * time.Millisecond)
		ledger.broken.Store(true) // killed
		w.stop()
		e := w.run()
		pass(time.Hour)
		same(t, "states", w.states(e, st), []string{"nurses received", "gp retrying connection"})
		w.stop()
	})
}

func TestOverdueAlarmSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		w.alarmErr = errors.New("store closed")
		w.run()
		w.log(events.Admission, "p-7f3k", "gp")
		pass(40 * time.Minute)
		w.stop()
		w.mu.Lock()
		w.alarmErr = nil
		w.mu.Unlock()
		w.run()
		pass(5 * time.Hour)
		if len(w.alarms) == 0 {
			t.Error("5 hours untold and nobody was alarmed")
		}
		w.stop()
	})
}

func TestLastAlarmSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		w.run()
		w.log(events.Admission, "p-7f3k", "gp")
		pass(71 * time.Hour)
		w.mu.Lock()
		w.alarmErr = errors.New("store closed")
		w.mu.Unlock()
		pass(2 * time.Hour)
		w.stop()
		w.mu.Lock()
		w.alarmErr = nil
		w.mu.Unlock()
		w.run()
		pass(5 * time.Hour)
		if last := w.alarms[len(w.alarms)-1]; last.Reason != events.ReasonGaveUp {
			t.Errorf("given up, and the last alarm is %+v", last)
		}
		w.stop()
	})
}

func TestUnreadableEventDoesNotSilenceAlarms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		h := newHooked(w)
		w.run(h.on)
		bad := w.log(events.Admission, "p-bad", "gp")
		for i := range 20 {
			w.log(events.Admission, fmt.Sprintf("p-%04d", i), "gp")
		}
		w.pushOut("p-bad")
		h.reads(func(_ context.Context, _ int, seq uint64) error {
			if seq == bad.Seq {
				return errors.New("checksum mismatch")
			}
			return nil
		})
		pass(10 * time.Hour)
		if len(w.alarms) == 0 {
			t.Error("21 messages untold for ten hours and nobody was alarmed")
		}
		w.stop()
	})
}

func TestSlowRecipientDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "slow", "fast")
		w.behaves("slow/webhook", func(events.Delivery) error { time.Sleep(200 * time.Millisecond); return nil })
		for i := range 6000 {
			w.log(events.Admission, fmt.Sprintf("p-%04d", i), "slow", "fast")
		}
		w.run()
		pass(10 * time.Minute)
		var worst time.Duration
		for _, a := range w.attempts("fast/webhook") {
			worst = max(worst, a.after)
		}
		if worst > 5*time.Second {
			t.Errorf("fast was delayed by up to %v", worst)
		}
		w.stop()
	})
}

func TestAlarmThatCannotBeStoredStopsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "hospice", "gp")
		w.behaves("hospice/webhook", gone)
		w.alarmErr = errors.New("no leader")
		w.run()
		w.log(events.Admission, "p-7f3k", "hospice")
		settle()
		for range 600 {
			w.log(events.Admission, "p-7f3k", "gp")
		}
		pass(24 * time.Hour)
		if n := len(w.told("gp/webhook")); n != 600 {
			t.Errorf("gp was told %d of 600 after a day", n)
		}
		w.stop()
	})
}

func TestPoisonAlarmBlocksNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "admin")
		var poison string
		w.behaves("admin/webhook", func(d events.Delivery) error {
			if d.Event == poison {
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			}
			return nil
		})
		poison = w.logAlarm("gp", "admin").Record.Event.ID
		w.run()
		settle()
		second := w.logAlarm("hospice", "admin")
		pass(12 * time.Hour)
		same(t, "the second alarm", w.told("admin/webhook"), []string{second.Record.Event.ID})
		w.stop()
	})
}

func TestEventsMissingFromTheStoreAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		p := events.PartitionOf("p-7f3k", 4)
		w.store.Put(t.Context(), p, []events.Entry{{Key: events.CursorSubject(p), Value: []byte("5")}})
		e := deliver.New(deliver.Options{Log: w.store, Ledger: w.store, Alarm: w.alarm, Lookup: w.lookup})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		settle()
		for range 5 {
			w.log(events.Admission, "p-7f3k", "gp")
		}
		pass(100 * time.Hour)
		select {
		case err := <-ended:
			t.Log("refused to start:", err)
			cancel()
			return
		default:
		}
		cancel()
		<-ended
		if n := len(w.told("gp/webhook")); n != 5 {
			t.Errorf("told %d of 5, alarms %d", n, len(w.alarms))
		}
	})
}

func TestRefusalOfOnePatientDoesNotCoverAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", func(events.Delivery) error {
			return &events.Failure{Reason: events.ReasonRejected, Permanent: true, Status: 422, Body: true}
		})
		e := w.run()
		w.log(events.Admission, "p-aaaa", "gp")
		pass(50 * time.Minute)
		b := w.log(events.Admission, "p-bbbb", "gp")
		pass(100 * time.Hour)
		r, _ := e.Receipts(t.Context(), b)
		for _, a := range w.alarms {
			if a.Event == b.Record.Event.ID {
				return
			}
		}
		t.Errorf("p-bbbb: state %s, Alarmed %v, yet no alarm names it: %+v", r[0].State, r[0].Alarmed, w.alarms)
		w.stop()
	})
}

func TestGivenUpInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		h := newHooked(w)
		e := w.run(h.on)
		st := w.log(events.Admission, "p-7f3k", "gp")
		pass(72*time.Hour - 11*time.Second)
		w.pushOut("p-7f3k") // unless it has just been tried, which is seldom
		var once atomic.Bool
		h.reads(func(ctx context.Context, _ int, seq uint64) error {
			if once.CompareAndSwap(false, true) {
				select {
				case <-time.After(50 * time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		w.behaves("gp/webhook", func(events.Delivery) error {
			time.Sleep(59 * time.Second)
			return &events.Failure{Reason: events.ReasonTimeout}
		})
		_ = e
		pass(100 * time.Hour)
		same(t, "state", w.states(e, st), []string{"gp failed gave-up"})
		w.stop()
	})
}

func TestWaitingBehindAnotherIsNoTelling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		poison := w.log(events.Admission, "p-dead", "gp")
		behind := w.log(events.Discharge, "p-dead", "gp")
		w.behaves("gp/webhook", func(d events.Delivery) error {
			if d.Event == poison.Record.Event.ID {
				return &events.Failure{Reason: events.ReasonServerError, Status: 500, Body: true}
			}
			return nil
		})
		e := w.run()
		pass(10 * time.Hour)
		if got := w.states(e, behind)[0]; got == "gp trying" {
			t.Error("ten hours later, never attempted, the carer reads: Telling The gp…")
		}
		w.stop()
	})
}

// A channel that panics fails its delivery, which is tried again; the hub goes on.
func TestPanicInAChannelFailsOnlyItsDelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp", "nurses")
		w.behaves("gp/webhook", func(events.Delivery) error { panic("of a channel") })
		e := w.run()
		st := w.log(events.Admission, "p-7f3k", "gp", "nurses")
		settle()
		same(t, "states", w.states(e, st), []string{"gp retrying internal", "nurses received"})
		w.behaves("gp/webhook", nil)
		pass(time.Minute)
		same(t, "in the end", w.states(e, st), []string{"gp received", "nurses received"})
		w.stop()
	})
}

// An event that was erased while somebody waited for it holds nobody up, and is counted.
func TestErasedEventBlocksNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		h := newHooked(w)
		w.run(h.on)
		erased := w.log(events.Admission, "p-bad", "gp")
		for i := range 10 {
			w.log(events.Admission, fmt.Sprintf("p-%04d", i), "gp")
		}
		pass(5 * time.Second)
		w.stop()
		h.reads(func(_ context.Context, _ int, seq uint64) error {
			if seq == erased.Seq {
				return &events.Error{Kind: events.Internal, Message: "cannot be read"}
			}
			return nil
		})
		w.behaves("gp/webhook", nil)
		e := w.run(h.on)
		next := w.log(events.Discharge, "p-bad", "gp")
		pass(time.Hour)
		if told, lost := len(w.told("gp/webhook")), e.Health().Lost; lost == 0 || told+lost != 12 {
			t.Errorf("of 12 events %d told, %d lost", told, lost)
		}
		same(t, "the next of this patient", w.states(e, next), []string{"gp received"})
		lost := 0
		for _, a := range w.alarms {
			if a.Recipient == "gp" && a.Reason == events.ReasonLost {
				lost++
			}
		}
		if lost == 0 || lost != e.Health().Lost {
			t.Errorf("%d alarms about %d lost deliveries", lost, e.Health().Lost)
		}
		w.stop()
	})
}

// An alarm that nobody who is named for alarms has been told of in time is counted once, also after a restart; one that somebody
// knows of is not, and that whoever logged it knows does not count.
func TestAlarmThatIsLateIsCounted(t *testing.T) {
	for name, c := range map[string]struct {
		works string
		want  int
	}{"nobody knows": {"nobody", 1}, "another knows": {"deputy", 0}, "only the logger knows": {"ruth", 1}} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, "admin", "deputy", "ruth")
			for _, id := range []string{"admin", "deputy", "ruth"} {
				if id != c.works {
					w.behaves(id+"/webhook", dead)
				}
			}
			w.alarmAfter = 10 * time.Minute
			e := w.run()
			w.logAlarm("gp", "admin", "deputy", "ruth")
			pass(9 * time.Minute)
			if got := e.Health().Unheard; got != 0 {
				t.Errorf("%s: %d alarms unheard before their time", name, got)
			}
			pass(2 * time.Hour)
			if got := e.Health().Unheard; got != c.want {
				t.Errorf("%s: %d alarms unheard, want %d", name, got, c.want)
			}
			w.stop()
			e = w.run()
			pass(time.Minute)
			if got := e.Health().Unheard; got != c.want {
				t.Errorf("%s: %d alarms unheard after a restart, want %d", name, got, c.want)
			}
			w.stop()
		})
	}
}

// An outcome names the alarm that speaks for it, also where that is about another event.
func TestOutcomeNamesItsAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", dead)
		e := w.run()
		first, second := w.log(events.Admission, "p-aaaa", "gp"), w.log(events.Fall, "p-bbbb", "gp")
		pass(5 * time.Hour)
		for _, st := range []events.Stored{first, second} {
			r, err := e.Receipts(t.Context(), st)
			if err != nil || len(w.alarms) != 1 || r[0].Alarmed && r[0].Alarm != events.AlarmID(w.alarms[0]) {
				t.Errorf("%v: %+v, alarms %+v", err, r[0].Outcome, w.alarms)
			}
		}
		w.stop()
	})
}

// Alarms that nobody could be given are counted where operators look.
func TestAlarmThatIsRefusedIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "admin")
		w.behaves("admin/webhook", gone)
		e := w.run()
		w.logAlarm("gp", "admin")
		pass(time.Hour)
		if h := e.Health(); h.Unheard != 1 {
			t.Errorf("%d alarms unheard, want 1", h.Unheard)
		}
		w.stop()
	})
}

// Each message that ends badly is alarmed about, also the second about one patient.
func TestEveryRefusalIsAlarmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		w.behaves("gp/webhook", gone)
		w.run()
		a := w.log(events.Fall, "p-7f3k", "gp")
		pass(10 * time.Minute)
		b := w.log(events.Admission, "p-7f3k", "gp")
		pass(time.Minute)
		var about []string
		for _, al := range w.alarms {
			about = append(about, al.Event)
		}
		same(t, "alarms", about, []string{a.Record.Event.ID, b.Record.Event.ID})
		w.stop()
	})
}

// What the event was planned by may come to this process after the event: nobody is refused before it has.
func TestLateKnowledgeIsNoRefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "gp")
		known, allowed, asked := false, false, 0
		away := &events.Error{Kind: events.Unavailable}
		st := w.log(events.Admission, "p-7f3k", "gp")
		e := w.run(func(o *deliver.Options) {
			lookup := o.Lookup
			o.Lookup = func(id string) (subscribers.Subscriber, bool) { s, ok := lookup(id); return s, ok && known }
			o.Allowed = func(*events.Record, string) bool { return allowed }
			o.Renew = func(context.Context, string) error {
				if asked++; asked == 1 {
					return away
				}
				known, allowed = true, true
				return nil
			}
		})
		settle()
		same(t, "states", w.states(e, st), []string{"gp retrying internal"})
		time.Sleep(time.Minute)
		same(t, "states", w.states(e, st), []string{"gp received"})
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		w.stop()
	})
}

// Somebody taken off a patient's rules is not told any more of what was accepted before.
func TestNoLongerAllowedIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "tom", "gp")
		st := w.log(events.Admission, "p-7f3k", "tom", "gp")
		e := w.run(func(o *deliver.Options) {
			o.Allowed = func(_ *events.Record, recipient string) bool { return recipient != "tom" }
		})
		settle()
		same(t, "states", w.states(e, st), []string{"tom refused revoked", "gp received"})
		w.stop()
	})
}
