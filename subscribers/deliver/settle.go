package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"carehub/events"
)

// flushLoop writes outcomes, park pages and the cursor until quit, then once more. It ends early, with an error, when the
// partition is found to be another's.
func (s *shard) flushLoop() error {
	var written time.Time // when the cursor was
	for last := false; !last; {
		select {
		case <-s.kick:
			last = s.gather()
		case <-s.quit:
			last = true
		}
		err := s.flush(last)
		if wait := cursorEvery - time.Since(written); err == nil && s.cursor != s.settled {
			if wait > 0 && !last {
				time.AfterFunc(wait, func() { signal(s.kick) })
				continue
			}
			written, err = time.Now(), s.writeCursor()
		}
		switch {
		case s.life.Err() != nil:
			return nil
		case errors.Is(err, events.ErrFenced):
			return err
		case err != nil:
			s.flushFailed(err)
		}
	}
	return nil
}

// gather lets more outcomes come in, so that they share a write; it reports whether it is time to quit.
func (s *shard) gather() bool {
	select {
	case <-time.After(ledgerEvery):
		return false
	case <-s.quit:
		return true
	}
}

func (s *shard) flushFailed(err error) {
	s.e.mu.Lock()
	s.failure = err
	s.e.mu.Unlock()
	s.e.opt.Slog.Error("ledger not written; trying again", "partition", s.p, "error", err.Error())
	time.AfterFunc(time.Second, func() { signal(s.kick) })
}

// batch is what one flush writes.
type batch struct {
	led, pages []events.Entry
	sheets     map[*sheet]int // of led, with their versions
	keys       []pageKey      // of pages
	ready      int            // of s.order, how many at its head are settled once this is written
}

// flush writes what is due. Outcomes go first: a park page may only forget a delivery whose outcome is durable.
func (s *shard) flush(everything bool) error {
	s.e.mu.Lock()
	b := s.collect(everything)
	s.e.mu.Unlock()
	err := s.put(b.led)
	if err == nil {
		err = s.put(b.pages)
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if err != nil {
		s.spoil(b)
		return err
	}
	s.written(b)
	return nil
}

// put writes entries in handfuls, each with a deadline of its own, so that a slow disk gets through any number.
func (s *shard) put(entries []events.Entry) error {
	for some := range slices.Chunk(entries, 512) {
		ctx, cancel := context.WithTimeout(s.life, ledgerDeadline)
		err := s.e.opt.Ledger.Put(ctx, s.p, some)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// collect gathers what to write and how far the cursor may then go. Called with the lock held.
func (s *shard) collect(everything bool) batch {
	b := batch{sheets: map[*sheet]int{}}
	for b.ready < len(s.order) && s.order[b.ready].unsettled == 0 {
		s.order[b.ready].sheet.due = true // the cursor may pass only what is written
		b.ready++
	}
	old := time.Now().Add(-partialAfter)
	for _, sh := range s.sheets {
		if len(sh.dirty) > 0 && (everything || sh.due || !sh.since.After(old)) {
			b.sheets[sh] = sh.version
			b.led = append(b.led, sh.encode(s.p)...)
		}
	}
	b.pages, b.keys = s.dirtyPages()
	s.gathered++
	return b
}

// written takes note that b is durable.
func (s *shard) written(b batch) {
	s.failure = nil
	s.reached()
	for sh, version := range b.sheets {
		if sh.version == version {
			clear(sh.dirty)
			sh.due = false
			s.evictSheet(sh)
		}
	}
	if b.ready > 0 {
		s.settled = s.order[b.ready-1].stored.Seq
		clear(s.order[:b.ready])
		s.order = s.order[b.ready:]
		signal(s.room)
	}
	if s.atEnd && len(s.order) == 0 {
		s.settled = s.end // past what is no event
	}
}

// spoil has b written again: a failed write may have done any part of its work.
func (s *shard) spoil(b batch) {
	for _, key := range b.keys {
		s.changed[key] = true
	}
}

func (s *shard) writeCursor() error {
	s.e.mu.Lock()
	to := s.settled
	s.e.mu.Unlock()
	err := s.put([]events.Entry{{Key: events.CursorSubject(s.p), Value: strconv.AppendUint(nil, to, 10)}})
	if err == nil {
		s.e.mu.Lock()
		s.cursor = to
		s.e.mu.Unlock()
	}
	return err
}

// readCursor returns the sequence up to which every event is settled or parked.
func (s *shard) readCursor(ctx context.Context) (uint64, error) {
	b, ok, err := s.e.opt.Ledger.Get(ctx, s.p, events.CursorSubject(s.p))
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cursor of partition %d cannot be read: %w", s.p, err)
	}
	return n, nil
}
