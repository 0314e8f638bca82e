package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"carehub/events"
)

// Outcomes are written by the sheet: those of sheetSize neighbouring events in one ledger record, the whole truth each
// time. A write is synced, and what comes while it runs shares the next one, so under load many events share a sync; and
// a store of ten million events has few records to remember.
const sheetSize = 16

// An event with more recipients than this keeps its outcomes in parts of that size, records of their own.
const partSize = 128

// sheet is one such record in memory. While anything of its events is in memory so is the sheet, and only one copy.
type sheet struct {
	number  uint64
	out     map[uint64][]events.Outcome // by sequence; an event in memory shares its slice
	users   int
	dirty   map[uint64]bool // sequences with outcomes that the ledger does not hold yet
	version int             // raised with each outcome
	since   time.Time       // of the oldest unwritten outcome
	due     bool            // to be written at once: an event is complete, or a park page is about to rely on it

	loaded chan struct{} // closed once read from the ledger
	err    error         // of reading it
}

// outcomes is the ledger's record of a sheet; that of a part has one entry. The shape is a promise.
type outcomes struct {
	V   int                         `json:"v"`
	Out map[uint64][]events.Outcome `json:"out"`
}

// sheet returns the sheet of an event, reading it from the ledger if the ledger may hold it. The caller gives it back.
func (s *shard) sheet(ctx context.Context, seq uint64, recipients int) (*sheet, error) {
	number := seq / sheetSize
	s.e.mu.Lock()
	sh := s.sheets[number]
	mine := sh == nil
	if mine {
		sh = &sheet{number: number, out: map[uint64][]events.Outcome{}, dirty: map[uint64]bool{}, loaded: make(chan struct{})}
		s.sheets[number] = sh
	}
	sh.users++
	fresh := number*sheetSize > max(s.boot, s.newest)
	s.newest = max(s.newest, seq)
	s.e.mu.Unlock()
	if mine {
		s.fill(ctx, sh, fresh)
	}
	select {
	case <-sh.loaded:
	case <-ctx.Done():
		s.giveBack(sh)
		return nil, ctx.Err()
	}
	err := sh.err
	if err == nil {
		err = s.fillParts(ctx, sh, seq, recipients)
	}
	if err != nil {
		s.giveBack(sh)
		return nil, err
	}
	return sh, nil
}

// fill reads a sheet, unless it is fresh: of events that nobody has seen yet.
func (s *shard) fill(ctx context.Context, sh *sheet, fresh bool) {
	defer close(sh.loaded)
	if fresh {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerDeadline) // others wait for it too
	defer cancel()
	known, err := s.readOutcomes(ctx, events.LedSubject(s.p, sh.number))
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if sh.err = err; err != nil {
		delete(s.sheets, sh.number) // the next who asks starts anew
		return
	}
	for seq, out := range known {
		sh.out[seq] = out
	}
}

// fillParts makes sure that the sheet has a place for each recipient of an event, and what the ledger knows of those of
// an event with many.
func (s *shard) fillParts(ctx context.Context, sh *sheet, seq uint64, recipients int) error {
	s.e.mu.Lock()
	have := len(sh.out[seq])
	s.e.mu.Unlock()
	if have >= recipients {
		return nil
	}
	all := make([]events.Outcome, recipients)
	for part := 0; recipients > partSize && part*partSize < recipients; part++ {
		known, err := s.readOutcomes(ctx, events.LedPartSubject(s.p, sh.number, seq, part))
		if err != nil {
			return err
		}
		copy(all[part*partSize:], known[seq])
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if len(sh.out[seq]) < recipients { // nobody was quicker
		copy(all, sh.out[seq])
		sh.out[seq] = all
	}
	return nil
}

func (s *shard) readOutcomes(ctx context.Context, key string) (map[uint64][]events.Outcome, error) {
	return readOutcomes(ctx, s.e.opt.Ledger, s.p, key)
}

func readOutcomes(ctx context.Context, ledger Ledger, p int, key string) (map[uint64][]events.Outcome, error) {
	b, ok, err := ledger.Get(ctx, p, key)
	if err != nil || !ok {
		return nil, err
	}
	var o outcomes
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("ledger record %s: %w", key, err)
	}
	if o.V != 1 {
		return nil, fmt.Errorf("ledger record %s is of version %d; this build reads version 1", key, o.V)
	}
	return o.Out, nil
}

func (s *shard) giveBack(sh *sheet) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.dropSheet(sh)
}

// dropSheet gives the sheet back with the lock held, and forgets it when nobody else has it and all of it is written.
func (s *shard) dropSheet(sh *sheet) {
	sh.users--
	s.evictSheet(sh)
}

func (s *shard) evictSheet(sh *sheet) {
	if sh.users == 0 && len(sh.dirty) == 0 && s.sheets[sh.number] == sh {
		delete(s.sheets, sh.number)
	}
}

// encode writes the sheet, and the parts of those of its events that have many recipients and something new.
func (sh *sheet) encode(p int) []events.Entry {
	var entries []events.Entry
	small := map[uint64][]events.Outcome{}
	for seq, out := range sh.out {
		if len(out) <= partSize {
			small[seq] = out
			continue
		}
		for part := 0; sh.dirty[seq] && part*partSize < len(out); part++ {
			some := out[part*partSize : min((part+1)*partSize, len(out))]
			entries = append(entries, events.Entry{Key: events.LedPartSubject(p, sh.number, seq, part),
				Value: encodeOutcomes(map[uint64][]events.Outcome{seq: some})})
		}
	}
	if len(small) > 0 {
		entries = append(entries, events.Entry{Key: events.LedSubject(p, sh.number), Value: encodeOutcomes(small)})
	}
	return entries
}

func encodeOutcomes(out map[uint64][]events.Outcome) []byte {
	b, err := json.Marshal(outcomes{V: 1, Out: out})
	if err != nil {
		panic(err) // words, numbers and times only
	}
	return b
}
