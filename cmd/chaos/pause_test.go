package main

import (
	"testing"
	"time"
)

// TestPauses: one recipient's pause does not hide behind another who is told, and one in trouble is not counted.
func TestPauses(t *testing.T) {
	second := func(n float64) time.Time { return time.Unix(1000, int64(n*1e9)) }
	r := &record{first: map[string]arrival{}, took: map[string][]arrival{}, order: map[string][]string{}}
	for _, a := range []struct {
		at                float64
		to, patient, what string
	}{
		{0, "r0", "p-1", "ev-1"}, {0, "r1", "p-1", "ev-1"}, {0, "r0", "p-2", "ev-9"},
		{1, "r0", "p-1", "ev-2"}, {2, "r0", "p-1", "ev-3"}, // r1 waits meanwhile
		{3, "r1", "p-1", "ev-1"}, // a repeat
		{4.5, "r1", "p-1", "ev-2"}, {5, "r1", "p-1", "ev-3"},
		{8, "r0", "p-1", "ev-4"}, {8, "r0", "p-2", "ev-10"}, // six seconds, and eight
	} {
		r.add(arrival{At: second(a.at).UnixNano(), To: a.to, Patient: a.patient, Event: a.what, Did: takes})
	}
	mood := trouble{"r0", second(2.5), second(6)}
	for name, c := range map[string]struct {
		troubles []trouble
		bound    time.Duration
		pause    time.Duration
		stood    int
	}{
		"no bound":        {nil, 0, 8 * time.Second, 0},
		"a bound":         {nil, 4 * time.Second, 8 * time.Second, 3},
		"in a mood":       {[]trouble{mood}, 4 * time.Second, 4500 * time.Millisecond, 1},
		"bound kept":      {[]trouble{mood}, 4500 * time.Millisecond, 4500 * time.Millisecond, 0},
		"receivers dead":  {[]trouble{{"", second(3), second(3)}}, 4 * time.Second, time.Second, 0},
		"another in one":  {[]trouble{{"r1", second(3), second(3)}}, 4 * time.Second, 8 * time.Second, 2},
		"in one too late": {[]trouble{{"r0", second(9), second(10)}}, 7 * time.Second, 8 * time.Second, 1},
	} {
		f := &findings{Events: 1}
		f.pauses(r, c.troubles, nil, c.bound)
		if f.Pause != c.pause || f.Stood != c.stood || (f.broken() == nil) != (c.stood == 0) {
			t.Errorf("%s: a pause of %s, %d above the bound, want %s and %d", name, f.Pause, f.Stood, c.pause, c.stood)
		}
	}
}

// TestPausesOfOneFault: where a second fault strikes before the first is mended the pause is that of both, and said to be.
func TestPausesOfOneFault(t *testing.T) {
	r := &record{first: map[string]arrival{}, took: map[string][]arrival{}, order: map[string][]string{}}
	for i, at := range []int64{0, 5, 14, 20} {
		r.add(arrival{At: time.Unix(at, 0).UnixNano(), To: "r0", Patient: "p-1", Event: string(rune('a' + i)), Did: takes})
	}
	struck := []time.Time{time.Unix(5, 0).Add(-underWay / 2), time.Unix(10, 0), time.Unix(15, 0), time.Unix(21, 0)}
	f := &findings{}
	f.pauses(r, nil, struck, 0)
	if f.Pause != 9*time.Second || f.Within != 2 || f.Single != 6*time.Second {
		t.Errorf("%v with %d faults, %v with one", f.Pause, f.Within, f.Single)
	}
}
