package archive_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carehub/events"
	"carehub/events/archive"
	"carehub/events/stream"
	"carehub/events/stream/streamtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a store with its archive, and what was stored in it.
type world struct {
	t      *testing.T
	dir    string
	store  *stream.Store
	opt    archive.Options
	is     *archive.Archive
	now    time.Time
	busy   map[int]bool // partitions that are not drained
	events []events.Stored
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 3, 15, 0, 0, 0, time.UTC), busy: map[int]bool{}}
	w.opt = archive.Options{Share: 1, Clock: func() time.Time { return w.now },
		Drained:  func(_ context.Context, p int, _ uint64) (bool, error) { return !w.busy[p], nil },
		Outcomes: func(_ context.Context, st events.Stored) ([]events.Outcome, error) { return outcomes(st), nil }}
	w.open()
	return w
}

// outcomes are what the ledger would say of an event.
func outcomes(st events.Stored) []events.Outcome {
	all := make([]events.Outcome, len(st.Record.Plan.Recipients))
	for i := range all {
		all[i] = events.Outcome{State: events.Received, Channel: "webhook", At: st.Record.Event.Recorded, Attempts: i + 1}
	}
	return all
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = stream.Open(w.t.Context(), stream.Options{Dir: w.dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	store := w.store
	w.t.Cleanup(func() { _ = store.Close(context.Background()) })
	w.opt.Store = store
	if w.is, err = archive.Open(w.t.Context(), w.opt); err != nil {
		w.t.Fatal(err)
	}
}

// reopen is a restart.
func (w *world) reopen() {
	w.t.Helper()
	_ = w.store.Close(w.t.Context())
	w.open()
}

func (w *world) publish(patient, key string, kind events.Kind, edit ...func(*events.Event)) events.Stored {
	w.t.Helper()
	rec := streamtest.Record(patient, key, kind, 2)
	rec.Event.Recorded, rec.Event.Occurred = w.now, w.now
	for _, e := range edit {
		e(&rec.Event)
	}
	st, created, err := w.is.Publish(w.t.Context(), rec, []byte(`{"resourceType":"Bundle","id":"`+rec.Event.ID+`"}`))
	if err != nil || !created {
		w.t.Fatalf("created %v, %v", created, err)
	}
	w.events = append(w.events, st)
	w.now = w.now.Add(time.Second)
	return st
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// turn begins a generation and has the one before archived.
func (w *world) turn() {
	w.t.Helper()
	w.must(w.is.Grow(w.t.Context(), 0))
	w.must(w.is.Work(w.t.Context()))
}

// clear lets enough time pass that what was replaced is deleted.
func (w *world) clear() {
	w.t.Helper()
	for range 2 {
		w.must(w.is.Work(w.t.Context()))
		w.now = w.now.Add(2 * time.Minute)
	}
	w.must(w.is.Work(w.t.Context()))
}

// check looks for everything that was ever stored, in every way that there is.
func (w *world) check() {
	w.t.Helper()
	timelines := map[string][]string{}
	newest := map[string]events.Event{}
	for _, st := range w.events {
		e := st.Record.Event
		timelines[e.Patient] = append([]string{e.ID}, timelines[e.Patient]...)
		newest[e.Patient+string(e.Kind)] = e
		found, err := w.is.Find(w.t.Context(), e.ID)
		w.must(err)
		if found.Outcomes != nil {
			if !reflect.DeepEqual(found.Outcomes, outcomes(st)) {
				w.t.Errorf("%s has the outcomes %+v", e.ID, found.Outcomes)
			}
			found.Outcomes = nil
		}
		if !reflect.DeepEqual(found, st) {
			w.t.Fatalf("%s is now %+v, was %+v", e.ID, found, st)
		}
		again, created, err := w.is.Publish(w.t.Context(), st.Record, []byte("again"))
		if created || err != nil || again.Place() != st.Place() {
			w.t.Fatalf("%s could be stored again: %v %v %v", e.ID, created, again.Place(), err)
		}
	}
	w.checkEach()
	delete(timelines, events.HubPatient) // alarms are found by their ids only
	for _, st := range w.events {
		e := st.Record.Event
		if e.Patient == events.HubPatient {
			continue
		}
		latest, _, err := w.is.Latest(w.t.Context(), e.Patient, e.Kind)
		if want := newest[e.Patient+string(e.Kind)]; err != nil || !alike(latest, want) {
			w.t.Fatalf("latest is %+v, want %+v, %v", latest, want, err)
		}
	}
	for patient, want := range timelines {
		for _, limit := range []int{3, 1000} {
			if got := w.timeline(patient, limit); !slices.Equal(got, want) {
				w.t.Fatalf("timeline of %s by %d:\n%v, want\n%v", patient, limit, got, want)
			}
		}
	}
}

// checkEach reads everything at once, and again what came in the second half of the time.
func (w *world) checkEach() {
	w.t.Helper()
	for _, since := range []time.Time{{}, w.events[len(w.events)/2].Record.Event.Recorded} {
		want, got := map[string]int{}, map[string]int{}
		for _, st := range w.events {
			if !st.Record.Event.Recorded.Before(since) {
				want[st.Record.Event.ID]++
			}
		}
		w.must(w.is.Each(w.t.Context(), since, func(st events.Stored) error {
			if st.Message != nil || len(st.Record.Plan.Recipients) != 2 && st.Record.Event.Kind != events.Alarm {
				return fmt.Errorf("%s has a message, or no plan", st.Record.Event.ID)
			}
			got[st.Record.Event.ID]++
			return nil
		}))
		if !maps.Equal(got, want) {
			w.t.Fatalf("since %s there are %v, want %v", since, got, want)
		}
	}
}

// various makes events differ in what the next one is judged by.
func (w *world) various(e *events.Event) {
	n := len(w.events)
	e.Test, e.Occurred = n%3 == 0, e.Recorded.Add(-time.Duration(n)*time.Hour)
	e.Stay = []string{"", e.ID, "ev-elsewhere"}[n/4%3]
	if n%5 == 0 {
		e.Flags = []events.Flag{events.FlagLate}
	}
}

// alike reports whether the next event is judged the same by either.
func alike(x, y events.Event) bool {
	return x.Patient == y.Patient && x.Kind == y.Kind && x.Stay == y.Stay && x.Test == y.Test && x.Has(events.FlagLate) == y.Has(events.FlagLate) &&
		x.Occurred.Equal(y.Occurred) && x.Recorded.Equal(y.Recorded)
}

func (w *world) timeline(patient string, limit int) (ids []string) {
	w.t.Helper()
	var before events.Place
	for {
		page, err := w.is.Timeline(w.t.Context(), patient, before, limit)
		w.must(err)
		for _, st := range page {
			ids = append(ids, st.Record.Event.ID)
			before = st.Place()
		}
		if len(page) < limit {
			return ids
		}
	}
}

// TestNothingIsLost: events that have gone through generations, volumes and merges are found as they were.
func TestNothingIsLost(t *testing.T) {
	w := newWorld(t)
	for turn := range 5 {
		for i := range 60 {
			w.publish(fmt.Sprintf("p-n%d", i%13), fmt.Sprint(turn, i), events.Kinds[i%4], w.various)
			if i%20 == 0 {
				w.publishAlarm(fmt.Sprint(turn, i))
			}
		}
		if turn == 2 {
			w.check()
		}
		w.turn()
	}
	w.check()
	w.clear()
	w.check()
	held, volumes := w.is.Size()
	if live, _ := w.store.Layout(); len(live) != 4 || held != len(w.events) || volumes > 13 {
		t.Errorf("%d live partitions, %d events of %d in %d volumes", len(live), held, len(w.events), volumes)
	}
	for _, st := range w.events {
		got, ok, err := w.is.At(t.Context(), st.Place())
		if err != nil || !ok || got.Record.Event.ID != st.Record.Event.ID || got.Place() != st.Place() {
			t.Fatalf("at %+v is %q: %v, %v", st.Place(), got.Record.Event.ID, ok, err)
		}
	}
	if _, ok, err := w.is.At(t.Context(), events.Place{Partition: 1, Seq: 1 << 40}); ok || err != nil {
		t.Errorf("something is nowhere: %v", err)
	}
	w.reopen()
	w.check()
	if again, _ := w.is.Size(); again != held {
		t.Errorf("after a restart %d events in the archive, before %d", again, held)
	}
}

func (w *world) publishAlarm(about string) {
	w.t.Helper()
	rec := streamtest.Record(events.HubPatient, "", events.Alarm, 1)
	rec.Event.ID, rec.Event.Recorded = events.AlarmID(events.About{Event: about}), w.now
	st, _, err := w.is.Publish(w.t.Context(), rec, []byte("alarm"))
	w.must(err)
	w.events = append(w.events, st)
}

// TestUndrainedStays: a partition with somebody still to be told stays where the engine finds it, as do later ones of
// the same patients.
func TestUndrainedStays(t *testing.T) {
	w := newWorld(t)
	patient := streamtest.Patients(1, 1)[0]
	for i := range 3 {
		w.publish(patient, fmt.Sprint(i), events.Fall)
		w.busy[1] = true
		w.turn()
	}
	live, _ := w.store.Layout()
	var numbers []int
	for _, p := range live {
		numbers = append(numbers, p.Number)
	}
	if !slices.Equal(numbers, []int{1, 5, 9, 12, 13, 14, 15}) {
		t.Errorf("live are %v", numbers)
	}
	w.check()
	w.busy[1] = false
	w.clear()
	if live, _ := w.store.Layout(); len(live) != 4 {
		t.Errorf("in the end live are %v", live)
	}
	w.check()
}

// failing is a store that fails at one of its writes, and at every later one.
type failing struct {
	*stream.Store
	left *int
}

func (f failing) broken() error {
	if *f.left--; *f.left < 0 {
		return &events.Error{Kind: events.Unavailable, Message: "gone"}
	}
	return nil
}

func (f failing) HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := f.broken(); err != nil {
		return 0, err
	}
	return f.Store.HubPut(ctx, key, value, revision)
}

func (f failing) CreateVolume(ctx context.Context, v int) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Store.CreateVolume(ctx, v)
}

func (f failing) AppendVolume(ctx context.Context, v int, last uint64, parts [][]byte) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Store.AppendVolume(ctx, v, last, parts)
}

func (f failing) Retire(ctx context.Context, p int) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Store.Retire(ctx, p)
}

func (f failing) Clear(ctx context.Context, retired []int) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Store.Clear(ctx, retired)
}

func (f failing) DropVolume(ctx context.Context, v int) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Store.DropVolume(ctx, v)
}

// TestCutAnywhere: the work may end at any of its writes; everything is found then, and the next start goes on.
func TestCutAnywhere(t *testing.T) {
	w := newWorld(t)
	for g := range 3 {
		for i := range 12 {
			w.publish(fmt.Sprintf("p-n%d", i), fmt.Sprint(g, i), events.Kinds[i%2])
		}
		w.must(w.is.Grow(t.Context(), 0))
	}
	cuts := 0
	for ended := false; !ended; cuts++ {
		left := cuts
		opt := w.opt
		opt.Store = failing{w.store, &left}
		cut, err := archive.Open(t.Context(), opt)
		w.must(err)
		ended = cut.Work(t.Context()) == nil
		if ended && len(w.store.Retired()) > 0 {
			w.now, ended = w.now.Add(2*time.Hour), cut.Work(t.Context()) == nil // what was replaced is deleted
		}
		w.is, err = archive.Open(t.Context(), w.opt)
		w.must(err)
		w.check()
	}
	w.clear()
	w.check()
	held, _ := w.is.Size()
	if live, _ := w.store.Layout(); len(live) != 4 || held != len(w.events) || cuts < 8 {
		t.Errorf("%d live partitions, %d events in the archive after %d cuts", len(live), held, cuts)
	}
}

// TestUnfinishedVolume: what a crash left of a volume goes soon, where nobody else can be making it; else after an hour.
func TestUnfinishedVolume(t *testing.T) {
	w := newWorld(t)
	for _, alone := range []bool{true, false} {
		w.opt.Alone = alone
		w.reopen()
		w.must(w.store.CreateVolume(t.Context(), 1))
		w.clear()
		if there, err := w.store.Volumes(t.Context()); err != nil || (len(there) == 0) != alone {
			t.Errorf("alone %v: the volumes %v are there after four minutes, %v", alone, there, err)
		}
	}
	w.now = w.now.Add(time.Hour)
	w.clear()
	if there, err := w.store.Volumes(t.Context()); err != nil || len(there) > 0 {
		t.Errorf("the volumes %v are there after an hour, %v", there, err)
	}
}

// TestRetention: what has had its time goes; what an open stay needs, and the kinds without a limit, stay.
func TestRetention(t *testing.T) {
	const year = 365 * 24 * time.Hour
	w := newWorld(t)
	w.opt.Retention = map[events.Kind]time.Duration{events.Admission: year, events.Discharge: year, events.Attendance: 2 * year}
	w.reopen()
	stay := func(id string) func(*events.Event) { return func(e *events.Event) { e.Stay = id } }
	in := w.publish("p-ended", "in", events.Admission, stay("s1"))
	out := w.publish("p-ended", "out", events.Discharge, stay("s1"))
	open := w.publish("p-open", "in", events.Admission, stay("s2"))
	fall := w.publish("p-open", "fall", events.Fall)
	w.turn()
	there := func(st events.Stored) bool {
		_, err := w.is.Find(t.Context(), st.Record.Event.ID)
		return err == nil
	}
	for _, c := range []struct {
		after time.Duration
		want  [4]bool
	}{{year + year/2, [4]bool{true, true, true, true}}, {year, [4]bool{false, false, true, true}}, {9 * year, [4]bool{false, false, true, true}}} {
		w.now = w.now.Add(c.after)
		w.clear()
		if got := [4]bool{there(in), there(out), there(open), there(fall)}; got != c.want {
			t.Errorf("%v later: admission, discharge, open admission, fall are there: %v, want %v", c.after, got, c.want)
		}
	}
	w.publish("p-open", "out", events.Discharge, stay("s2"))
	w.now = w.now.Add(year)
	w.clear()
	if there(open) || !there(fall) {
		t.Error("after the discharge the admission is still there, or the fall is not")
	}
}

// counting counts the look-ups that reach the store.
type counting struct {
	*stream.Store
	asked  atomic.Int32 // for the newest of a kind
	listed atomic.Int32 // for those of a patient
	fails  atomic.Bool  // a publish
	full   atomic.Bool  // it takes nothing, and says so
}

func (c *counting) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	c.listed.Add(1)
	return c.Store.Timeline(ctx, patient, before, limit)
}

func (c *counting) Latest(ctx context.Context, patient string, kind events.Kind) (events.Stored, bool, error) {
	c.asked.Add(1)
	return c.Store.Latest(ctx, patient, kind)
}

// Publish may fail after it has stored the event, as it does when the answer does not come.
func (c *counting) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	if c.full.Load() {
		return events.Stored{}, false, &events.Error{Kind: events.Unavailable, Untried: true}
	}
	st, created, err := c.Store.Publish(ctx, rec, message)
	if c.fails.Load() {
		return events.Stored{}, false, &events.Error{Kind: events.Unavailable}
	}
	return st, created, err
}

// TestNewestAreAtHand: what the next event is judged by is not read from the store, once what it held at the start has been
// looked through: neither what was there nor what came since, wherever it has moved to.
func TestNewestAreAtHand(t *testing.T) {
	w := newWorld(t)
	for n := range 600 { // more than one handful
		w.publish(fmt.Sprintf("p-%04d", n%200), fmt.Sprint("key", n), events.Kinds[n%3])
	}
	w.reopen()
	store := &counting{Store: w.store}
	w.opt.Store, w.opt.Alone = store, true
	w.opt.Mine = func() bool { return false } // what Run would do in the background is done in turns
	var err error
	if w.is, err = archive.Open(t.Context(), w.opt); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.is.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	latest := func(st events.Stored) (fromStore bool) {
		t.Helper()
		before, want := store.asked.Load(), st.Record.Event
		e, found, err := w.is.Latest(t.Context(), want.Patient, want.Kind)
		if err != nil || !found || e.Stay != want.Stay || !e.Recorded.Equal(want.Recorded) {
			t.Fatalf("%+v %v %v, want %+v", e, found, err, want)
		}
		return store.asked.Load() > before
	}
	for latest(w.events[len(w.events)-1]) { // it is looking
		time.Sleep(time.Millisecond)
	}
	newer := w.publish("p-0007", "again", events.Kinds[0])
	for _, st := range append(w.events[len(w.events)-30:], newer) {
		if st.Record.Event.Patient == "p-0007" && st.Seq != newer.Seq {
			continue
		}
		if latest(st) {
			t.Errorf("%s was read from the store", st.Record.Event.ID)
		}
	}
	if _, found, err := w.is.Latest(t.Context(), "p-none", events.Fall); found || err != nil || store.asked.Load() == 0 {
		t.Error(found, err)
	}
	listed := func(patient, when string) {
		t.Helper()
		var want []string
		for _, st := range slices.Backward(w.events) {
			if st.Record.Event.Patient == patient {
				want = append(want, st.Record.Event.ID)
			}
		}
		for _, limit := range []int{1, 2, 20} {
			if got := w.timeline(patient, limit); !slices.Equal(got, want) {
				t.Errorf("%s, in pages of %d: %v, want %v", when, limit, got, want)
			}
		}
		if n := store.listed.Load(); n != 0 {
			t.Errorf("%s the store had to look for a patient's events %d times", when, n)
		}
	}
	listed("p-0007", "before they are in the archive")

	w.turn()
	w.publish("p-0007", "and again", events.Kinds[1])
	listed("p-0007", "as they move there")
	w.clear()
	if latest(newer) {
		t.Error("what is in the archive was looked for in the store")
	}
	listed("p-0007", "from there")

	rec := streamtest.Record("p-0008", "in doubt", events.Kinds[0], 2)
	rec.Event.Recorded, rec.Event.Occurred = w.now, w.now
	store.full.Store(true)
	if _, _, err := w.is.Publish(t.Context(), rec, []byte(`{}`)); err == nil {
		t.Fatal("no error")
	}
	listed("p-0008", "after it could not be stored")
	store.full.Store(false)
	store.fails.Store(true)
	if _, _, err := w.is.Publish(t.Context(), rec, []byte(`{}`)); err == nil {
		t.Fatal("no error")
	}
	if !latest(events.Stored{Record: rec}) {
		t.Error("it could not be known that the event is stored")
	}
	if all := w.timeline("p-0008", 20); len(all) != 4 || all[0] != rec.Event.ID || store.listed.Load() != 1 {
		t.Errorf("of the one in doubt: %v", all)
	}
}

// volumesRead is a store that notes which volumes are read.
type volumesRead struct {
	archive.Store
	numbers []int
}

func (r *volumesRead) ReadVolume(ctx context.Context, v int, first uint64, n int) ([]byte, error) {
	r.numbers = append(r.numbers, v)
	return r.Store.ReadVolume(ctx, v, first, n)
}

// TestEachReadsWhatIsSince: of volumes whose events are all too old nothing is read.
func TestEachReadsWhatIsSince(t *testing.T) {
	w := newWorld(t)
	for n := range 8 {
		w.publish(fmt.Sprintf("p-000%d", n), "old", events.Fall)
	}
	w.turn()
	old, err := w.store.Volumes(t.Context())
	w.must(err)
	since := w.now.AddDate(0, 1, 0)
	w.now = since
	late := w.publish("p-0001", "new", events.Fall)
	w.turn()
	read := &volumesRead{Store: w.store}
	w.opt.Store = read
	again, err := archive.Open(t.Context(), w.opt) // after a restart it is known still
	w.must(err)
	for _, test := range []struct {
		since  time.Time
		events int
		old    bool
	}{{since, 1, false}, {since.Add(time.Second), 0, false}, {since.AddDate(0, -1, -1), 9, true}} {
		read.numbers = nil
		var found []string
		w.must(again.Each(t.Context(), test.since, func(st events.Stored) error {
			found = append(found, st.Record.Event.ID)
			return nil
		}))
		readOld := slices.ContainsFunc(read.numbers, func(v int) bool { return slices.Contains(old, v) })
		if len(found) != test.events || test.events == 1 && found[0] != late.Record.Event.ID || readOld != test.old || len(old) == 0 {
			t.Errorf("since %s there are %v; of volumes %v, %v were read", test.since, found, old, read.numbers)
		}
	}
}
