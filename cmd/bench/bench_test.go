package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var d diary
		err := pace{Rate: 10, Time: time.Second}.each(t.Context(), func(_ context.Context, n int, due time.Time) error {
			if want := start.Add(time.Duration(n) * 100 * time.Millisecond); !due.Equal(want) || !time.Now().Equal(want) {
				t.Errorf("event %d was due after %s and started after %s", n, due.Sub(start), time.Since(start))
			}
			time.Sleep(5 * time.Second) // who is slow holds up nobody
			d.add("", due)
			return nil
		})
		if err != nil || len(d.all) != 10 {
			t.Errorf("%d events, %v; want 10", len(d.all), err)
		}
		if d.all[0].Took != 5*time.Second {
			t.Errorf("the first took %s", d.all[0].Took)
		}
	})
}

func TestAsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{}, 3) // more at a time would be stuck
		var d diary
		err := pace{Loggers: 3, Events: 10}.each(t.Context(), func(_ context.Context, _ int, due time.Time) error {
			busy <- struct{}{}
			time.Sleep(time.Second)
			<-busy
			d.add("", due)
			return nil
		})
		if err != nil || len(d.all) != 10 {
			t.Errorf("%d events, %v; want 10", len(d.all), err)
		}
		for _, e := range d.all {
			if e.Took != time.Second {
				t.Errorf("an event took %s", e.Took)
			}
		}
	})
}

func TestPaceEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for _, p := range []pace{{Loggers: 2, Time: time.Hour}, {Rate: 1000, Time: time.Hour}} {
		err := p.each(t.Context(), func(_ context.Context, n int, _ time.Time) error {
			if n == 3 {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) {
			t.Errorf("%+v ended with %v", p, err)
		}
	}
}

func TestGoals(t *testing.T) {
	for _, test := range []struct {
		f    figure
		goal string
		met  string
	}{
		{figure{Value: 4, Unit: "ms"}.to(2, 2).atMost(2), "≤ 2×", "yes"},
		{figure{Value: 5, Unit: "ms"}.to(2, 2.5).atMost(2), "≤ 2×", "no"},
		{figure{Value: 40}.to(100, 0.4).atLeast(0.5), "≥ 0.5×", "no"},
		{figure{Value: 4.9, Unit: "s"}.atMost(5), "≤ 5 s", "yes"},
		{figure{Value: 0}.atMost(0), "≤ 0", "yes"},
		{figure{Value: 1}.atMost(0), "≤ 0", "no"},
		{figure{Value: 1}, "", ""},
	} {
		if test.f.Goal != test.goal || test.f.met() != test.met {
			t.Errorf("%+v: goal %q met %q, want %q %q", test.f, test.f.Goal, test.f.met(), test.goal, test.met)
		}
	}
}

func TestArrivals(t *testing.T) {
	at := map[string]int64{"ar0": 15, "ar1": 30, "br0": 28, "br1": 21}
	id := func(event, recipient string) string { return event + recipient }
	got, err := arrivals([]logged{{ID: "a", Due: 10}, {ID: "b", Due: 20}}, at, trial{of: []int{0, 1}}, id)
	if err != nil || len(got) != 2 || got[0] != 20 || got[1] != 8 {
		t.Errorf("got %v, %v, want each event's last arrival since it was due: 20 and 8", got, err)
	}
	if got, err := arrivals([]logged{{ID: "c"}}, at, trial{of: []int{0}}, id); err == nil {
		t.Errorf("an event that did not arrive took %v", got)
	}
}

func TestRenew(t *testing.T) {
	page := filepath.Join(t.TempDir(), "figures.md")
	for _, r := range []result{
		{Measurement: "idle", Figures: []figure{{Name: "memory", Value: 31.4, Unit: "MB"}}},
		{Measurement: "throughput", Figures: []figure{figure{Name: "events", Value: 1}.to(4, 0.25).atLeast(0.5)}},
		{Measurement: "throughput", Figures: []figure{figure{Name: "events", Value: 3}.to(4, 0.75).atLeast(0.5)}},
		{Measurement: "latency", Figures: []figure{figure{Name: "p50", Value: 9, Unit: "ms"}.to(3, 3).atMost(2).noting("as it is")}},
	} {
		if err := renew(page, r); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	after := string(written)
	for _, want := range []string{
		"| events | 3 |  | 4 | 0.75 | ≥ 0.5× | yes |", "| p50 | 9 | ms | 3 | 3.00 | ≤ 2× | **no** |", "- p50: as it is", "| memory | 31.4 | MB |  |  |  |  |",
	} {
		var found bool
		if _, after, found = strings.Cut(after, want); !found {
			t.Errorf("after what came before it, the page has no %q:\n%s", want, written)
		}
	}
	if strings.Contains(string(written), "0.25") {
		t.Error("the page still has what was measured again")
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for n := range 100 {
		times = append(times, time.Duration(100-n))
	}
	if p50, p99 := percentile(times, 50), percentile(times, 99); p50 != 51 || p99 != 100 {
		t.Errorf("p50 %d, p99 %d of 1 to 100", p50, p99)
	}
}

// TestPauseOfACluster: what chaos says of the longest pause, in nanoseconds, meets the goal or not.
func TestPauseOfACluster(t *testing.T) {
	for said, met := range map[string]string{`{"pause": 9900000000}`: "yes", `{"pause": 11900000000}`: "no"} {
		var f findings
		if err := json.Unmarshal([]byte(said), &f); err != nil {
			t.Fatal(err)
		}
		if got := f.longest(); got.met() != met || got.Unit != "s" {
			t.Errorf("%s: %+v, met: %s; want %s", said, got, got.met(), met)
		}
	}
}
