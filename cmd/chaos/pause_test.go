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
		f.pauses(r, c.troubles, c.bound)
		if f.Pause != c.pause || f.Stood != c.stood || (f.broken() == nil) != (c.stood == 0) {
			t.Errorf("%s: a pause of %s, %d above the bound, want %s and %d", name, f.Pause, f.Stood, c.pause, c.stood)
		}
	}
}
