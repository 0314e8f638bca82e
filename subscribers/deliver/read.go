package deliver

import (
	"context"
	"fmt"
	"time"

	"carehub/events"
)

// load takes up what the ledger says is waiting. Called before anything else of the shard runs.
func (s *shard) load(ctx context.Context) error {
	cursor, err := s.readCursor(ctx)
	if err != nil {
		return err
	}
	waits, err := s.readPages(ctx)
	if err != nil {
		return err
	}
	if s.boot, err = s.e.opt.Log.Last(ctx, s.p); err != nil {
		return err
	}
	if cursor > s.boot {
		return fmt.Errorf("the ledger knows of event %d, but the newest stored is %d: events are missing from the store", cursor, s.boot)
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if s.stage != starting {
		return nil
	}
	s.stage = running
	s.cursor, s.settled, s.taken = cursor, cursor, cursor
	for _, w := range waits {
		if w.Seq > cursor {
			s.ahead[w.Seq] = append(s.ahead[w.Seq], w)
			continue
		}
		s.resume(w)
	}
	return nil
}

// resume puts a parked delivery back into its lane.
func (s *shard) resume(w wait) {
	d := s.terms(s.e.recipient(w.recipient), w.Channels, w.Due, s.e.quietHours(w.Quiet)).delivery(w.Seq, w.Index, s.e.acceptedAt(time.Unix(w.Recorded, 0)), w.Alarmed && events.PatientOf(w.Patient) != events.HubPatient)
	d.parked = true
	d.strike(w.Struck)
	s.page(w.recipient, d.seq).add(d)
	s.onDisk(w.recipient, 1)
	s.e.enqueue(d, w.recipient, w.Patient)
	s.e.remind(d)
}

// read takes in every accepted event after the cursor, then each new one.
func (s *shard) read(ctx context.Context) error {
	err := s.e.opt.Log.Read(ctx, s.p, s.cursor, func(st events.Stored) error {
		if err := s.makeRoom(ctx); err != nil {
			return err
		}
		var sh *sheet
		err := s.e.persist(ctx, "ledger not readable", func(ctx context.Context) (err error) {
			sh, err = s.sheet(ctx, st.Seq, len(st.Record.Plan.Recipients))
			return err
		})
		if err != nil {
			return err
		}
		s.take(st, sh)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// makeRoom waits until there are few enough events in memory. The sweep parks what holds the others up.
func (s *shard) makeRoom(ctx context.Context) error {
	for {
		s.e.mu.Lock()
		full := len(s.order) >= s.e.opt.Hot
		if now := time.Now(); full && now.Sub(s.swept) >= sweepFull {
			s.sweep(now)
		}
		s.noteRoom(full)
		s.e.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-s.room:
		case <-time.After(sweepFull):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take puts an event's recipients into their lanes.
func (s *shard) take(st events.Stored, sh *sheet) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if s.stage >= stopping {
		s.dropSheet(sh)
		return
	}
	ev := s.remember(st, sh)
	s.order = append(s.order, ev)
	s.taken = st.Seq
	signal(s.work)
	rec := &st.Record
	ev.users++ // it stays until all of its recipients are seen to
	defer func() { ev.users--; s.evict(ev) }()
	ev.unsettled = len(rec.Plan.Recipients)
	if ev.unsettled == 0 {
		s.nobody(ev)
		return
	}
	s.announce(ev)
	parked := map[int]wait{}
	for _, w := range s.ahead[st.Seq] {
		parked[w.Index] = w
	}
	delete(s.ahead, st.Seq)
	for i := range rec.Plan.Recipients {
		if w, ok := parked[i]; ok {
			ev.unsettled--
			s.resume(w)
			s.change(w.recipient, st.Seq) // it may have been written since without this one
			continue
		}
		s.takeOne(ev, i)
	}
	if ev.unsettled == 0 {
		signal(s.kick)
	}
}

// takeOne starts on one recipient, unless the ledger knows that it is done.
func (s *shard) takeOne(ev *event, i int) {
	rec, to := &ev.stored.Record, &ev.stored.Record.Plan.Recipients[i]
	channels := make([]string, 0, 8)
	for _, c := range to.Channels {
		channels = append(channels, c.Key)
	}
	due := dues{Fallback: rec.Plan.FallbackAfter, Alarm: rec.Plan.AlarmAfter, GiveUp: rec.Plan.GiveUpAfter}
	d := s.terms(s.e.recipient(to.ID), channels, due, s.e.quietHours(to.Quiet)).
		delivery(ev.stored.Seq, i, s.e.acceptedAt(rec.Event.Recorded), ev.out[i].Alarmed && rec.Event.Kind != events.Alarm)
	s.hold(d, ev)
	known := ev.out[i]
	d.strike(known.Struck)
	switch {
	case to.Step && (known.State == "" || known.State == events.Spared):
		s.spare(d, ev)
	case atRest(known):
		d.done = true
		ev.unsettled--
		s.letGo(d)
	case known.State.Final(), len(d.channels) == 0:
		d.lane = &lane{recipient: s.e.recipient(to.ID), patient: ev.lane()}
		if !known.State.Final() {
			s.e.abandon(d, events.Refused, events.ReasonNoChannel, time.Now())
			return
		}
		d.done = true
		s.e.raise(d, known.Reason)
	default:
		s.e.enqueue(d, to.ID, ev.lane())
		s.e.muted(d)
		now := time.Now()
		if s.e.hushed(d, now) > 0 {
			s.shelve(d, now)
		}
		if d.lane.dammed(d, now) {
			s.park(d) // at once: nobody's memory is needed for whoever waits for the broken to mend
		}
	}
}

// nobody has the alarm recipients told of an event that no rule sends to anyone.
func (s *shard) nobody(ev *event) {
	ev.unsettled = 1
	ev.users++
	s.attempts.Go(func() {
		rec := &ev.stored.Record
		err := s.e.persist(s.ctx, "alarm not stored yet", func(ctx context.Context) error {
			if rec.Event.Kind == events.Alarm || rec.Event.Corrects != "" { // which nobody had to be told of
				return nil
			}
			reason := events.ReasonNoRecipient
			if rec.V == 0 { // it cannot be read any more
				reason = events.ReasonInternal
			}
			return s.e.opt.Alarm(ctx, events.About{Event: rec.Event.ID, Reason: reason}, ev.stored)
		})
		if err != nil {
			return // stopping: the next start reads it again
		}
		s.e.mu.Lock()
		defer s.e.mu.Unlock()
		ev.unsettled = 0
		ev.users--
		s.evict(ev)
		signal(s.kick)
	})
}

// Straggling: whoever is still untold after this long because they are in trouble is parked, sooner when memory is full.
// Merely having much to do is no trouble: parking would only add to it.
const (
	sweepEvery     = 250 * time.Millisecond
	sweepFull      = 100 * time.Millisecond // while memory is full
	parkAfter      = time.Second
	parkWhenFull   = 250 * time.Millisecond
	ledgerEvery    = 100 * time.Millisecond // between writes to the ledger
	partialAfter   = 100 * time.Millisecond // outcomes of an event with others still untold
	cursorEvery    = time.Second
	ledgerDeadline = 30 * time.Second
)

// sweepLoop parks stragglers while there is anything in memory.
func (s *shard) sweepLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.work:
		}
		for more := true; more; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(sweepEvery):
			}
			s.e.mu.Lock()
			s.sweep(time.Now())
			more = len(s.order) > 0
			s.e.mu.Unlock()
		}
	}
}

// sweep parks the stragglers of old events. Called with the lock held.
func (s *shard) sweep(now time.Time) {
	s.swept = now
	patience := parkAfter
	var slow map[string]bool
	if len(s.order) >= s.e.opt.Hot {
		patience, slow = parkWhenFull, s.laggards()
	}
	for _, ev := range s.order {
		if now.Sub(ev.read) < patience {
			return
		}
		if ev.unsettled > 0 {
			s.parkStragglers(ev, now, patience, slow)
		}
	}
}

// laggards returns the recipients who are far behind the others while memory is full: not in trouble, but slow, and not
// to hold up the reading of events for those who are quicker. Where all are as far behind, none is.
func (s *shard) laggards() map[string]bool {
	waiting := map[string]int{}
	for _, ev := range s.order {
		to := ev.stored.Record.Plan.Recipients
		for i := range to[:min(len(to), partSize)] {
			n := waiting[to[i].ID]
			if !ev.out[i].State.Final() {
				n++
			}
			waiting[to[i].ID] = n
		}
	}
	least := len(s.order)
	for _, n := range waiting {
		least = min(least, n)
	}
	slow := map[string]bool{}
	for id, n := range waiting {
		slow[id] = n > 2*least+s.e.opt.Hot/8
	}
	return slow
}

func (s *shard) parkStragglers(ev *event, now time.Time, patience time.Duration, slow map[string]bool) {
	for i := range ev.stored.Record.Plan.Recipients {
		r := s.e.recipients[ev.stored.Record.Plan.Recipients[i].ID]
		if r == nil {
			continue
		}
		if l := r.lanes[ev.lane()]; l != nil && (slow[r.id] || l.stuck(now, patience)) {
			if at, found := l.find(s.p, ev.stored.Seq, small(i)); found && l.queue[at].event == ev {
				s.park(l.queue[at])
			}
		}
	}
}
