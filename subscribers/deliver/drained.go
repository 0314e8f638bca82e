package deliver

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"carehub/events"
)

// Drained reports whether everybody who is to be told of a sealed partition's events has been, as far as they can be:
// the cursor stands at the last event, and nobody is parked. last is the sequence of that event.
func Drained(ctx context.Context, ledger Ledger, p int, last uint64) (bool, error) {
	b, ok, err := ledger.Get(ctx, p, events.CursorSubject(p))
	if err != nil || !ok {
		return last == 0, err
	}
	cursor, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return false, fmt.Errorf("cursor of partition %d cannot be read: %w", p, err)
	}
	if cursor < last {
		return false, nil
	}
	parked, err := ledger.Has(ctx, p, fmt.Sprintf("park.%d.", p))
	return !parked && err == nil, err
}

// Outcomes reads how telling people of settled events ended, without an engine. Neighbours share a record of the ledger,
// so it keeps the one it read last.
type Outcomes struct {
	Ledger Ledger

	mu    sync.Mutex
	p     int
	sheet uint64
	known map[uint64][]events.Outcome // of that sheet; nil before the first
}

// Of returns the outcomes of an event, one for each recipient of its plan.
func (o *Outcomes) Of(ctx context.Context, st events.Stored) ([]events.Outcome, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	recipients, sheet := len(st.Record.Plan.Recipients), st.Seq/sheetSize
	if recipients > partSize {
		return o.parts(ctx, st)
	}
	if o.known == nil || o.p != st.Partition || o.sheet != sheet {
		known, err := readOutcomes(ctx, o.Ledger, st.Partition, events.LedSubject(st.Partition, sheet))
		if err != nil {
			return nil, err
		}
		if known == nil {
			known = map[uint64][]events.Outcome{}
		}
		o.p, o.sheet, o.known = st.Partition, sheet, known
	}
	all := make([]events.Outcome, recipients)
	copy(all, o.known[st.Seq])
	return all, nil
}

// parts are the outcomes of an event with many recipients.
func (o *Outcomes) parts(ctx context.Context, st events.Stored) ([]events.Outcome, error) {
	all := make([]events.Outcome, len(st.Record.Plan.Recipients))
	for part := 0; part*partSize < len(all); part++ {
		known, err := readOutcomes(ctx, o.Ledger, st.Partition, events.LedPartSubject(st.Partition, st.Seq/sheetSize, st.Seq, part))
		if err != nil {
			return nil, err
		}
		copy(all[part*partSize:], known[st.Seq])
	}
	return all, nil
}
