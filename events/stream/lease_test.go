package stream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/clustertest"
	"carehub/events/stream/streamtest"
)

// quick is the times of leases in tests.
var quick = stream.LeaseTimes{Beat: 100 * time.Millisecond, Lease: time.Second, Margin: 300 * time.Millisecond}

// member is a hub that shares a store: it delivers nothing, but starts and stops as its leases say.
type member struct {
	store  *stream.Store
	leases *stream.Leases
	end    context.CancelFunc // leaves in order
	ended  chan struct{}

	mu   sync.Mutex
	runs map[int]bool
	busy map[int]bool // partitions that are not released by themselves
}

func join(t *testing.T, url string, replicas int, times stream.LeaseTimes) *member {
	t.Helper()
	return joinWith(t, stream.Options{URL: url, Replicas: replicas}, times)
}

func joinWith(t *testing.T, o stream.Options, times stream.LeaseTimes) *member {
	t.Helper()
	m := &member{store: open(t, o), ended: make(chan struct{}), runs: map[int]bool{}, busy: map[int]bool{}}
	m.leases = stream.NewLeases(m.store, times)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = m.leases.Run(ctx, 10*time.Second) })
	work.Go(func() { m.follow(ctx) })
	go func() { work.Wait(); close(m.ended) }()
	m.end = func() { cancel(); <-m.ended }
	t.Cleanup(m.end)
	return m
}

// follow does what an engine does with its leases.
func (m *member) follow(ctx context.Context) {
	for {
		held, changed := m.leases.Owned()
		if ctx.Err() != nil {
			held = nil
		}
		m.mu.Lock()
		for p := range m.store.Partitions() {
			holds := slices.Contains(held, p)
			if !holds && !m.busy[p] {
				m.leases.Released(p)
			}
			m.runs[p] = holds
		}
		m.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func owned(m *member) []int {
	held, _ := m.leases.Owned()
	return held
}

// shared waits until the partitions are each owned by one of the members, in parts as given.
func shared(t *testing.T, parts []int, members ...*member) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		seen := map[int]bool{}
		var got []int
		last = ""
		for _, m := range members {
			held := owned(m)
			last += fmt.Sprint(held)
			got = append(got, len(held))
			for _, p := range held {
				seen[p] = true
			}
		}
		slices.Sort(got)
		if slices.Equal(got, parts) && len(seen) == members[0].store.Partitions() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("shared as %s, want parts %v", last, parts)
		}
	}
}

func put(t *testing.T, m *member, p int, value string) error {
	t.Helper()
	return m.store.Put(t.Context(), p, []events.Entry{{Key: events.CursorSubject(p), Value: []byte(value)}})
}

func TestSharedOut(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	a := join(t, url, 0, quick)
	shared(t, []int{4}, a)
	b := join(t, url, 0, quick)
	shared(t, []int{2, 2}, a, b)
	c := join(t, url, 0, quick)
	shared(t, []int{1, 1, 2}, a, b, c)
	began := time.Now()
	a.end()
	shared(t, []int{2, 2}, b, c)
	t.Logf("%v after one left", time.Since(began))
	c.end()
	shared(t, []int{4}, b)
}

// TestRecordWithoutHold: a partition whose record names a hub that does not know of it, for it was not told that its write came
// through, does not stay with nobody.
func TestRecordWithoutHold(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	a, b := join(t, url, 0, quick), join(t, url, 0, quick)
	shared(t, []int{2, 2}, a, b)
	p := owned(b)[0]
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Appendf(nil, `{"v":1,"hub":%q}`, a.leases.ID())
	if _, err := js.Publish(t.Context(), events.OwnSubject(p), record); err != nil {
		t.Fatal(err)
	}
	if err := put(t, b, p, "1"); !errors.Is(err, events.ErrFenced) {
		t.Fatalf("%v", err)
	}
	shared(t, []int{2, 2}, a, b)
}

// TestTakenOver: a hub that dies without a word loses what it had, no sooner than its lease has ended.
func TestTakenOver(t *testing.T) {
	cluster := clustertest.Start(t, 1)
	cable := cluster.Cable()
	a := join(t, cable.URL(), 0, quick)
	shared(t, []int{4}, a)
	b := join(t, cluster.URL(), 0, quick)
	shared(t, []int{2, 2}, a, b)
	lost := owned(a)
	for _, p := range lost {
		if err := put(t, a, p, "1"); err != nil {
			t.Fatal(err)
		}
	}
	cable.Cut()
	for len(owned(b)) < 4 { // until b has them, a must have stopped
		time.Sleep(5 * time.Millisecond)
	}
	for _, p := range lost {
		if a.leases.MayStart(p) {
			t.Errorf("partition %d may be started on both hubs", p)
		}
		if !b.leases.MayStart(p) {
			t.Errorf("partition %d may be started on neither", p)
		}
		if err := put(t, b, p, "2"); err != nil {
			t.Error(err)
		}
	}
	cable.Mend()
	for _, p := range lost {
		var err error
		for err = put(t, a, p, "zombie"); err != nil && !errors.Is(err, events.ErrFenced); err = put(t, a, p, "zombie") {
			time.Sleep(20 * time.Millisecond)
		}
		if err == nil {
			t.Errorf("the late owner of %d was not refused", p)
		}
		if value, _, err := b.store.Get(t.Context(), p, events.CursorSubject(p)); err != nil || string(value) != "2" {
			t.Errorf("partition %d has %q, %v", p, value, err)
		}
	}
	shared(t, []int{2, 2}, a, b)
}

// TestNotTakenWhileDraining: a partition that a hub is giving away stays given while something of it is under way here, even if
// nobody else wants it any more; it is free first and then taken again.
func TestNotTakenWhileDraining(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	var did lines
	a := joinWith(t, stream.Options{URL: url, Logger: slog.New(slog.NewTextHandler(&did, nil))}, quick)
	shared(t, []int{4}, a)
	const draining = 3
	a.mu.Lock()
	a.busy[draining] = true
	a.mu.Unlock()
	b := join(t, url, 0, quick)
	for len(owned(a)) != 2 || len(owned(b)) != 1 {
		time.Sleep(5 * time.Millisecond)
	}
	b.end()
	for len(owned(a)) < 3 { // a shares again
		time.Sleep(5 * time.Millisecond)
	}
	a.mu.Lock()
	a.busy[draining] = false
	a.mu.Unlock()
	a.leases.Released(draining)
	shared(t, []int{4}, a)
	if got := did.about(draining); !slices.Equal(got, []string{"taken", "released", "taken"}) {
		t.Errorf("partition %d was %q", draining, got)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// about is what became of a partition.
func (l *lines) about(p int) (did []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range regexp.MustCompile(fmt.Sprintf(`msg="partition (\w+)" partition=%d\n`, p)).FindAllStringSubmatch(string(l.text), -1) {
		did = append(did, m[1])
	}
	return did
}

// TestCameBackMeanwhile: whoever found a hub gone takes nothing that it has won back since, however late the record is read.
func TestCameBackMeanwhile(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	a := join(t, url, 0, quick)
	shared(t, []int{4}, a)
	store := open(t, stream.Options{URL: url})
	late := stream.NewLeases(store, quick)
	seq, err := late.Record(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t, a, 2, "1"); err != nil {
		t.Fatal(err)
	}
	late.TakeFrom(t.Context(), 2, a.leases.ID(), seq)
	if held, _ := late.Owned(); len(held) > 0 {
		t.Errorf("%v of a hub that is alive were taken", held)
	}
	if err := put(t, a, 2, "2"); err != nil || !slices.Equal(owned(a), []int{0, 1, 2, 3}) {
		t.Errorf("the owner is left with %v, %v", owned(a), err)
	}
	if seq, err = late.Record(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	late.TakeFrom(t.Context(), 2, a.leases.ID(), seq) // had it been silent since, it would have lost it
	if held, _ := late.Owned(); !slices.Equal(held, []int{2}) {
		t.Errorf("%v were taken", held)
	}
}

// TestBeatsNotTaken: while nobody takes the beats, a hub keeps what it holds by the ledgers.
func TestBeatsNotTaken(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	times := stream.LeaseTimes{Beat: 100 * time.Millisecond, Lease: 2 * time.Second, Margin: 100 * time.Millisecond}
	a := join(t, url, 0, times)
	shared(t, []int{4}, a)
	if err := client(t, url).DeleteStream(t.Context(), "HUB"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(times.Lease) // by its beats it would have lost them
	for p := 0; p < 4; time.Sleep(5 * time.Millisecond) {
		if a.leases.MayStart(p) {
			p++
		}
	}
	if err := put(t, a, 3, "1"); err != nil || len(owned(a)) != 4 {
		t.Errorf("%v left, %v", owned(a), err)
	}
}

// TestWriteWinsBack: a write to the ledger that is stored is as good as winning the record back, and nothing else is.
func TestWriteWinsBack(t *testing.T) {
	store := open(t, stream.Options{URL: clustertest.Start(t, 1).URL()})
	l := stream.NewLeases(store, stream.LeaseTimes{Lease: time.Hour})
	l.Lapse()
	for _, p := range []int{1, 2} {
		l.TakeFrom(t.Context(), p, "nobody", 1)
	}
	may := func() []bool { return []bool{l.MayStart(1), l.MayStart(2)} }
	if got := may(); !slices.Equal(got, []bool{true, true}) {
		t.Fatalf("taken, but may start: %v", got)
	}
	l.Lapse()
	if got := may(); !slices.Equal(got, []bool{false, false}) {
		t.Fatalf("late, but may start: %v", got)
	}
	if err := store.Put(t.Context(), 1, []events.Entry{{Key: events.CursorSubject(1), Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if got := may(); !slices.Equal(got, []bool{true, false}) {
		t.Errorf("partition 1 was written to, and may start: %v", got)
	}
}

// TestWinsBackBeside: nothing waits for the ledger of one partition to answer, and it is won back when it does.
func TestWinsBackBeside(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	store := open(t, stream.Options{URL: url})
	l := stream.NewLeases(store, stream.LeaseTimes{Lease: time.Hour})
	l.Lapse()
	for _, p := range []int{1, 2} {
		l.TakeFrom(t.Context(), p, "nobody", 1)
	}
	if err := client(t, url).DeleteStream(t.Context(), "LEDGER-2"); err != nil { // from now on the test answers for it
		t.Fatal(err)
	}
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked, err := conn.SubscribeSync(events.OwnSubject(2))
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Lapse()
	won := l.WinBack(t.Context())
	msg, err := asked.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l.MayStart(2) {
		t.Error("may start before its record was won")
	}
	if err := msg.Respond([]byte(`{"stream":"LEDGER-2","seq":7}`)); err != nil {
		t.Fatal(err)
	}
	won()
	if !l.MayStart(1) || !l.MayStart(2) {
		t.Errorf("won back: %v, %v", l.MayStart(1), l.MayStart(2))
	}
}

// TestLeavesInTimeAllTheSame: a batch that is still waited for holds a hub that leaves up for no longer than it has patience.
func TestLeavesInTimeAllTheSame(t *testing.T) {
	l := stream.NewLeases(open(t, stream.Options{URL: clustertest.Start(t, 1).URL()}), quick)
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx, quick.Lease) }()
	for held, changed := l.Owned(); len(held) < 4; held, changed = l.Owned() {
		<-changed
	}
	defer l.Write(3)()
	for p := range 4 {
		l.Released(p)
	}
	leave()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStoreWasAway: when nobody could reach the store for longer than a lease, everybody keeps what they had.
func TestStoreWasAway(t *testing.T) {
	cluster := clustertest.Start(t, 1)
	a, b := join(t, cluster.URL(), 0, quick), join(t, cluster.URL(), 0, quick)
	shared(t, []int{2, 2}, a, b)
	before := [][]int{owned(a), owned(b)}
	cluster.Nodes[0].Stop()
	for p := 0; p < 4; time.Sleep(20 * time.Millisecond) {
		if !a.leases.MayStart(p) && !b.leases.MayStart(p) {
			p++
		}
	}
	time.Sleep(quick.Lease)
	cluster.Nodes[0].Start()
	for p := 0; p < 4; time.Sleep(20 * time.Millisecond) {
		if a.leases.MayStart(p) || b.leases.MayStart(p) {
			p++
		}
	}
	if after := [][]int{owned(a), owned(b)}; !slices.Equal(before[0], after[0]) || !slices.Equal(before[1], after[1]) {
		t.Errorf("before %v, after %v", before, after)
	}
	for _, m := range []*member{a, b} {
		for _, p := range owned(m) {
			if err := put(t, m, p, "1"); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestFencedLedger: a ledger under leases does what one without does.
func TestFencedLedger(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Store {
		m := join(t, clustertest.Start(t, 1).URL(), 0, quick)
		shared(t, []int{4}, m)
		return m.store
	})
}
