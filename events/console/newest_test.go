package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// logOf is a log of two partitions: of each the events by sequence, an alarm for a capital letter, a hole for a dot.
func logOf(partitions ...string) *Pages {
	at := func(_ context.Context, p events.Place) (events.Stored, bool, error) {
		name := partitions[p.Partition][p.Seq-1 : p.Seq]
		e := events.Event{ID: name, Kind: events.Fall, Recorded: time.Unix(int64(strings.ToLower(name)[0]), 0)}
		if name != strings.ToLower(name) {
			e.Kind = events.Alarm
		}
		return events.Stored{Partition: p.Partition, Seq: p.Seq, Record: events.Record{Event: e}}, name != ".", nil
	}
	return New(Options{At: at, Last: func(_ context.Context, p int) (uint64, error) { return uint64(len(partitions[p])), nil },
		Partitions: func() (all []events.Partition) {
			for n := range partitions {
				all = append(all, events.Partition{Number: n})
			}
			return all
		}})
}

// TestNewestOfAllPartitions: page by page, each event once, the newest first, whatever lies between.
func TestNewestOfAllPartitions(t *testing.T) {
	for _, partitions := range [][]string{{"acfX", "bde"}, {"", "abc"}, {"..a.", "B.C"}, {"AAA", ""}, {"ab", "cd", "efgh"}} {
		want := strings.Split(strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r
			}
			return -1
		}, strings.Join(partitions, "")), "")
		slices.Sort(want)
		slices.Reverse(want)
		for most := 1; most < 4; most++ {
			p, got := logOf(partitions...), []string{}
			var before cursor
			for pages := 0; ; pages++ {
				found, next, err := p.newest(t.Context(), before, most)
				if err != nil || len(found) > most || pages > 20 {
					t.Fatalf("%d of %v: %v", len(found), partitions, err)
				}
				for _, st := range found {
					got = append(got, st.Record.Event.ID)
				}
				if next == nil {
					break
				}
				var ok bool
				if before, ok = parseCursor(next.String()); !ok {
					t.Fatalf("%q is no cursor", next)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, %d at once: %v", partitions, most, got)
			}
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, text := range []string{"0.1-1.20", "", "1", "1.1-1.2", "-1.4", "0.99999999999999999999", "0.1-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCursor(text)
		if !ok {
			return
		}
		again, ok := parseCursor(c.String())
		if !ok || again.String() != c.String() {
			t.Errorf("%q becomes %q", text, c)
		}
	})
}

// TestNewestInAStorm: alarms of one partition, more than one page looks at, hide neither what the others have nor that there is more.
func TestNewestInAStorm(t *testing.T) {
	p := logOf("a"+strings.Repeat("X", 2*mostLooks), strings.Repeat("Y", mostLooks-1)+"b")
	found, next, err := p.newest(t.Context(), nil, 3)
	if err != nil || len(found) != 1 || found[0].Record.Event.ID != "b" || next == nil {
		t.Errorf("%d found, on at %v, %v", len(found), next, err)
	}
}
