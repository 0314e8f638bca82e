package console

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"carehub/events"
)

// mostLooks is how many entries of each partition of the log one page looks at: among the events there are alarms, which are another page's.
const mostLooks = 400

// cursor is how far back somebody has read: of each partition the sequence before which they go on.
type cursor map[int]uint64

// String is a cursor as an address has it: 0.120-1.98.
func (c cursor) String() string {
	var parts []string
	for p, seq := range c {
		parts = append(parts, fmt.Sprintf("%d.%d", p, seq))
	}
	slices.Sort(parts)
	return strings.Join(parts, "-")
}

// parseCursor reads what String has written.
func parseCursor(text string) (cursor, bool) {
	c := cursor{}
	for part := range strings.SplitSeq(text, "-") {
		number, seq, _ := strings.Cut(part, ".")
		p, err := strconv.Atoi(number)
		if err != nil || p < 0 {
			return nil, false
		}
		if c[p], err = strconv.ParseUint(seq, 10, 63); err != nil {
			return nil, false
		}
	}
	return c, true
}

// head is the newest event of a partition that is not taken yet.
type head struct {
	stored events.Stored
	ok     bool
}

// newest returns the newest events of all patients before a cursor, nil for the end of the log, newest first; and where to go on, nil
// where there is no more. What has left the store for the archive is not among them.
func (p *Pages) newest(ctx context.Context, before cursor, most int) (found []events.Stored, next cursor, err error) {
	at, heads, looks := cursor{}, map[int]head{}, map[int]int{}
	for _, live := range p.Partitions() {
		seq, read := before[live.Number]
		if before != nil && !read { // begun since
			continue
		}
		if before == nil {
			if seq, err = p.Last(ctx, live.Number); err != nil {
				return nil, nil, err
			}
			seq++
		}
		at[live.Number] = seq
	}
	for len(found) < most {
		for n := range at {
			if _, known := heads[n]; !known {
				if heads[n], err = p.head(ctx, at, n, looks); err != nil {
					return nil, nil, err
				}
			}
		}
		first, any := latest(heads)
		if !any {
			break
		}
		found = append(found, heads[first].stored)
		at[first] = heads[first].stored.Seq
		delete(heads, first)
	}
	for n, h := range heads { // looked at, and not shown
		if h.ok {
			at[n] = h.stored.Seq + 1
		}
	}
	for _, seq := range at {
		if seq > 1 {
			return found, at, nil
		}
	}
	return found, nil, nil
}

// head is the newest event of a partition before where it has been read to, which moves on past what is none.
func (p *Pages) head(ctx context.Context, at cursor, n int, looks map[int]int) (head, error) {
	for at[n] > 1 && looks[n] < mostLooks {
		looks[n]++
		at[n]--
		st, ok, err := p.At(ctx, events.Place{Partition: n, Seq: at[n]})
		if err != nil {
			return head{}, err
		}
		if ok && st.Record.Event.Kind != events.Alarm {
			return head{st, true}, nil
		}
	}
	return head{}, nil
}

// latest is the partition with the newest of the heads.
func latest(heads map[int]head) (first int, any bool) {
	for n, h := range heads {
		if !h.ok {
			continue
		}
		one, other := h.stored.Record.Event.Recorded, heads[first].stored.Record.Event.Recorded
		if !any || one.After(other) || one.Equal(other) && n < first {
			first, any = n, true
		}
	}
	return first, any
}
