package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carehub/events"
	"carehub/events/receipts"
)

// TestMain also is the receivers' process, as main is, and a run that is waiting for its end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		exit(wait())
	}
	if len(os.Args) > 3 && os.Args[1] == "receive" {
		exit(receive(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// short is a run that a test suite has the time for.
func short(t *testing.T, command string, args ...string) settings {
	t.Helper()
	t.Cleanup(func() {
		goleak.VerifyNone(t, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
	})
	var s settings
	if err := s.flags(command).Parse(append([]string{"-patients", "16", "-rate", "100", "-dir", t.TempDir()}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKills judges no milliseconds: how old a delivery may be and still be repeated is ten seconds here, where other tests load the
// machine. The long run (go run ./cmd/bench kills) has the bound of one ledger interval.
func TestKills(t *testing.T) {
	kept(t, short(t, "", "-kills", "4", "-gap", "700ms", "-interval", "10s"))
}

func TestEverythingBreaks(t *testing.T) {
	kept(t, short(t, "", "-kills", "3", "-gap", "300ms", "-faults", "all"))
}

// kept runs faults and wants every promise kept.
func kept(t *testing.T, s settings) {
	t.Helper()
	found, err := batter(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.broken(); err != nil {
		t.Error(err)
	}
	if found.Events < 50 || found.Deliveries < 4*found.Events-found.Refused {
		t.Errorf("%d events and %d deliveries prove little", found.Events, found.Deliveries)
	}
	t.Logf("%d kills, %d events, %d repeats", found.Kills, found.Events, found.Repeats)
}

func TestBacklog(t *testing.T) {
	found, err := park(t.Context(), short(t, "parked", "-n", "1000", "-rest", "100ms"))
	if err != nil {
		t.Fatal(err)
	}
	if found.Lost+found.OutOfOrder > 0 {
		t.Errorf("%d lost, %d out of order", found.Lost, found.OutOfOrder)
	}
}

func TestCopies(t *testing.T) {
	if err := runCopies(t.Context(), short(t, "copy", "-n", "2", "-gap", "1s")); err != nil {
		t.Error(err)
	}
}

func TestAnswerFollowsSync(t *testing.T) {
	if err := runStrace(t.Context(), short(t, "strace", "-n", "50")); err != nil {
		t.Error(err)
	}
}

// TestJudge: whoever judges must be able to say no.
func TestJudge(t *testing.T) {
	at := func(ms int) int64 { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond).UnixNano() }
	r := &record{first: map[string]arrival{}, took: map[string][]arrival{}, order: map[string][]string{}}
	for _, a := range []arrival{
		{At: at(0), To: "r0", Event: "ev-2", Patient: "p-1", Did: takes},
		{At: at(10), To: "r0", Event: "ev-1", Patient: "p-1", Did: takes},
		{At: at(20), To: "r0", Event: "ev-3", Patient: "p-1", Did: fails},
		{At: at(990), To: "r0", Event: "ev-4", Patient: "p-1", Did: takes},
		{At: at(2000), To: "r0", Event: "ev-1", Patient: "p-1", Did: takes},
		{At: at(2010), To: "r0", Event: "ev-4", Patient: "p-1", Did: takes},
	} {
		r.add(a)
	}
	f := &findings{}
	f.arrivals(r, "r0", "p-1", []ack{{Event: "ev-1"}, {Event: "ev-2"}, {Event: "ev-3"}, {Event: "ev-4"}, {Event: "ev-5"}})
	killed := time.Unix(1001, 0)
	f.repeated(r, []kill{{killed, killed.Add(time.Millisecond)}}, []time.Duration{100 * time.Millisecond}, true)
	f.Events = 5
	if f.Lost != 2 || f.OutOfOrder != 1 || f.Excess != 1 || f.Worst != (repeats{2, 1}) || f.broken() == nil {
		t.Errorf("found %+v", f)
	}
}

// TestOutcomes: the hub must name everybody, and say of each what the receiver says.
func TestOutcomes(t *testing.T) {
	r := &record{took: map[string][]arrival{key("r0", "ev-1"): {{}}, key("r1", "ev-1"): {{}}}}
	said := func(all ...receipts.Recipient) receipts.View { return receipts.View{ID: "ev-1", Recipients: all} }
	r0, r1 := receipts.Recipient{ID: "r0", State: events.Received}, receipts.Recipient{ID: "r1", State: events.Received}
	for name, c := range map[string]struct {
		hub  receipts.View
		want int
	}{
		"as it was":        {said(r0, r1), 0},
		"one is missing":   {said(r0), 1},
		"nobody is named":  {said(), 2},
		"told differently": {said(r0, receipts.Recipient{ID: "r1", State: events.Refused}), 1},
		"one too many":     {said(r0, r1, receipts.Recipient{ID: "r2", State: events.Received}), 1},
	} {
		f := &findings{}
		if f.compare(c.hub, r, []string{"r0", "r1"}); f.Unequal != c.want {
			t.Errorf("%s: %d unequal, want %d: %v", name, f.Unequal, c.want, f.details)
		}
	}
}

// TestNothingProvesNothing: runs that would break nothing, or never end, do not begin; one in which nothing was saved fails.
func TestNothingProvesNothing(t *testing.T) {
	for _, c := range []struct{ command, flag, value string }{
		{"", "-kills", "0"}, {"copy", "-n", "0"}, {"parked", "-n", "0"}, {"strace", "-n", "-1"},
		{"", "-gap", "0"}, {"", "-gap", "-1s"}, {"", "-apart", "-1s"}, {"", "-apart", "5s"}, {"", "-rate", "0"}, {"", "-rate", "2000000000"}, {"", "-pause", "-1s"},
	} {
		var s settings
		if err := s.flags(c.command).Parse([]string{c.flag, c.value}); err != nil {
			t.Fatal(err)
		}
		if err := s.check(); err == nil || !strings.Contains(err.Error(), c.flag) {
			t.Errorf("%s %s %s: %v", c.command, c.flag, c.value, err)
		}
	}
	if (&findings{Kills: 1}).broken() == nil {
		t.Error("a run without any event passes")
	}
	if err := (&findings{Kills: 1, Events: 1}).broken(); err != nil {
		t.Error(err)
	}
}

// TestTrace: an answer before its fsync is found out.
func TestTrace(t *testing.T) {
	const id = "ev-0001-abcdefghijklmnopqrstuvwxyz"
	write := `7 1.0 pwrite64(9</d/EVENTS-0/msgs/1.blk>, "care.0.p-0001.` + id + `.fall", 99, 0) = 99`
	begun := `7 1.1 fsync(9</d/EVENTS-0/msgs/1.blk> <unfinished ...>`
	ended := `7 1.3 <... fsync resumed>)         = 0`
	answer := `8 1.2 write(5<socket:[1]>, "HTTP/1.1 201 Created\r\n\r\n{\"id\":\"` + id + `\"", 99) = 99`
	for name, c := range map[string]struct {
		lines []string
		ok    bool
	}{
		"in order":          {[]string{write, begun, ended, answer}, true},
		"before its end":    {[]string{write, begun, answer, ended}, false},
		"of the one before": {[]string{begun, write, ended, answer}, false},
		"never written":     {[]string{begun, ended, answer}, false},
	} {
		tr := &trace{written: map[string]written{}, synced: map[string][]call{}, begun: map[string]call{}}
		if err := tr.read(strings.NewReader(strings.Join(c.lines, "\n"))); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIntervals: a disk that hung lets what is older be repeated.
func TestIntervals(t *testing.T) {
	at := time.Unix(1000, 0)
	l := &loggers{acked: [][]ack{nil, nil}}
	for n := range 300 { // until the kill, every 10 ms but for half a second
		if n < 150 || n >= 200 {
			l.acked[n%2] = append(l.acked[n%2], ack{At: at.Add(time.Duration(n-300) * 10 * time.Millisecond).UnixNano()})
		}
	}
	l.acked[0] = append(l.acked[0], ack{At: at.Add(time.Minute).UnixNano()}, ack{At: at.Add(time.Minute + time.Second/10).UnixNano()})
	got := l.intervals([]kill{{at: at, again: at.Add(time.Second)}, // it hangs until it is killed again, three seconds after the last
		{at: at.Add(time.Minute + 3100*time.Millisecond), again: at.Add(time.Hour)}, {at: at.Add(2 * time.Hour)}}, 500*time.Millisecond)
	if got[0] < time.Second || got[0] > 1200*time.Millisecond || got[1] != 6100*time.Millisecond || got[2] != 500*time.Millisecond {
		t.Errorf("%v", got)
	}
}
