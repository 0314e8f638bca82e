package deliver

import (
	"context"
	"errors"
	"slices"
	"time"

	"carehub/events"
)

// What a channel took may turn out not to have arrived: a mail that was sent comes back. Such a reversal strikes the channel
// out, tells a person, and has the recipient told by the next channel, or else ends refused.
//
// It is safe over crashes because of whoever asks for it: they keep it on disk, and ask again until Reverse has returned nil.
// The alarm comes first, then the outcome, then the page in which the delivery waits; between any two of them the reversal
// still applies, and repeating it does what is missing.

// Reversal is a no that comes after a channel has taken a message.
type Reversal struct {
	events.Leg
	Reason events.Reason
}

// Errors of Reverse.
var (
	// ErrNotYet: how the delivery ended is not known yet, or an attempt is in flight. Ask again in a while.
	ErrNotYet = errors.New("not settled yet")
	// ErrElsewhere: this process does not deliver the partition.
	ErrElsewhere = errors.New("delivered by another process")
	// ErrDrained: everybody has been told of the events of this partition, which moves, or has moved, to the archive. Nothing
	// was done.
	ErrDrained = errors.New("everybody has been told; the partition is for the archive")
)

// Reverse takes r in, and returns nil once that is durable: the alarm is stored, and the recipient is in the lane of their
// patient again with the channels that are left, or refused. Where the delivery has meanwhile been made by another channel,
// or has ended otherwise, nothing changes. Repeating it does no harm.
func (e *Engine) Reverse(ctx context.Context, r Reversal) error {
	s, err := e.delivering(r.Partition)
	if err != nil {
		return err
	}
	ev, err := s.recall(ctx, r.Seq)
	if errors.Is(err, errGone) {
		return nil // what it said is lost, and nobody can be told it
	}
	if err != nil {
		return err
	}
	defer s.forgo(ev)
	if !r.within(&ev.stored.Record.Plan) {
		return nil // made for another event
	}
	e.mu.Lock()
	applies, err := s.reversible(ev, r)
	e.mu.Unlock()
	if err == nil && applies {
		if err = s.alarmReversal(ctx, ev, r); err == nil {
			err = s.reverse(ev, r)
		}
	}
	if err != nil {
		return err
	}
	return s.awaitWritten(ctx, ev)
}

// within reports whether a plan has such a recipient and channel.
func (r Reversal) within(plan *events.Plan) bool {
	return r.Index >= 0 && r.Index < len(plan.Recipients) && r.Channel >= 0 && r.Channel < len(plan.Recipients[r.Index].Channels)
}

// delivering is the shard of a partition, where it can be asked for what its deliveries have come to.
func (e *Engine) delivering(p int) (*shard, error) {
	live, _ := e.opt.Log.Layout()
	if !slices.ContainsFunc(live, func(l events.Partition) bool { return l.Number == p }) {
		return nil, ErrDrained
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.shards[p]
	if s == nil || s.stage != running {
		return nil, ErrElsewhere
	}
	if s.drained() {
		return nil, ErrDrained
	}
	return s, nil
}

// drained reports whether the archive may be taking the partition, with the outcomes as they are.
func (s *shard) drained() bool { return s.atEnd && len(s.order) == 0 && s.parked == 0 }

// recall returns an event, from memory or from the store. The caller forgoes it.
func (s *shard) recall(ctx context.Context, seq uint64) (*event, error) {
	return s.body(ctx, &delivery{seq: seq})
}

func (s *shard) forgo(ev *event) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	ev.users--
	s.evict(ev)
}

// reversible reports whether r changes anything. Called with the lock held.
func (s *shard) reversible(ev *event, r Reversal) (bool, error) {
	to := ev.stored.Record.Plan.Recipients
	switch {
	case s.stage != running:
		return false, ErrElsewhere
	case s.drained():
		return false, ErrDrained
	case r.Seq > s.taken: // it is being read again, and its recipients have yet to be looked at
		return false, ErrNotYet
	}
	out, key := ev.out[r.Index], to[r.Index].Channels[r.Channel].Key
	switch d := s.waiting(ev, r.Index); {
	case out.State.Final():
		return out.State == events.Sent && out.Channel == key, nil
	case d == nil: // a crash came between the outcome and the page
		return true, nil
	case slices.Contains(d.struck(), key): // not out.Struck: a crash came before the page
		return false, nil
	case d.lane.busyWith(d):
		return false, ErrNotYet
	}
	return true, nil
}

// waiting returns the delivery of an event to a recipient of its plan that stands in a lane, nil if none does.
func (s *shard) waiting(ev *event, index int) *delivery {
	r := s.e.recipients[ev.stored.Record.Plan.Recipients[index].ID]
	if r == nil {
		return nil
	}
	l := r.lanes[ev.lane()]
	if l == nil {
		return nil
	}
	if i, found := l.find(s.p, ev.stored.Seq, small(index)); found {
		return l.queue[i]
	}
	return nil
}

// alarmReversal has a person told, durably.
func (s *shard) alarmReversal(ctx context.Context, ev *event, r Reversal) error {
	rec := &ev.stored.Record
	if rec.Event.Kind == events.Alarm { // an alarm raises none
		return nil
	}
	return s.e.opt.Alarm(ctx, r.about(rec), ev.stored)
}

// about is what the alarm says.
func (r Reversal) about(rec *events.Record) events.About {
	to := &rec.Plan.Recipients[r.Index]
	return events.About{Event: rec.Event.ID, Recipient: to.ID, Channel: to.Channels[r.Channel].Key, Reason: r.Reason}
}

// reverse makes the change, of which an alarm is stored, in memory.
func (s *shard) reverse(ev *event, r Reversal) error {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if applies, err := s.reversible(ev, r); err != nil || !applies { // it may have changed meanwhile
		return err
	}
	to := &ev.stored.Record.Plan.Recipients[r.Index]
	out := ev.out[r.Index]
	out.State, out.Channel, out.Reason, out.Alarmed = events.Retrying, to.Channels[r.Channel].Key, r.Reason, true
	if rec := &ev.stored.Record; rec.Event.Kind != events.Alarm {
		out.Alarm = events.AlarmID(r.about(rec).OfProvider(&rec.Plan))
	}
	out.At, out.Next = time.Now().UTC().Truncate(time.Millisecond), time.Time{}
	if !slices.Contains(out.Struck, out.Channel) {
		out.Struck = append(slices.Clone(out.Struck), out.Channel)
	}
	d := s.waiting(ev, r.Index)
	if d == nil {
		d = s.revived(ev, to, r.Index)
	}
	d.strike(out.Struck)
	d.alarm = alarmed
	switch {
	case !d.hopeless():
		s.goOn(d, ev, r.Index, out)
	case d.lane == nil:
		s.finishReversed(ev, r, out)
	default:
		s.finishReversed(ev, r, out)
		d.done = true
		s.hold(d, ev)
		s.e.pop(d)
		s.settle(d)
		s.e.advance(d.lane)
	}
	s.press(ev)
	return nil
}

// revived is a delivery that had ended. Its times count from now: the next channel gets as long as the first one had.
func (s *shard) revived(ev *event, to *events.Recipient, index int) *delivery {
	plan := &ev.stored.Record.Plan
	channels := make([]string, 0, 8)
	for _, c := range to.Channels {
		channels = append(channels, c.Key)
	}
	due := dues{Fallback: plan.FallbackAfter, Alarm: plan.AlarmAfter, GiveUp: plan.GiveUpAfter}
	return s.terms(s.e.recipient(to.ID), channels, due, s.e.quietHours(to.Quiet)).delivery(ev.stored.Seq, index, time.Since(s.e.began), true)
}

// goOn has d tried by the channels that are left. It waits in a page, so that the cursor means what it says.
func (s *shard) goOn(d *delivery, ev *event, index int, out events.Outcome) {
	s.note(ev, index, out)
	if d.lane != nil {
		s.hold(d, ev)
		s.e.openTo(d, int(d.open))
		s.park(d)
		return
	}
	recipient := ev.stored.Record.Plan.Recipients[index].ID
	d.parked = true
	s.page(recipient, d.seq).add(d)
	s.onDisk(recipient, 1)
	s.change(recipient, d.seq)
	s.e.insert(d, recipient, ev.lane())
	s.e.remind(d)
}

// finishReversed ends a delivery for which no channel is left.
func (s *shard) finishReversed(ev *event, r Reversal, out events.Outcome) {
	out.State = events.Refused
	s.note(ev, r.Index, out)
	rec := &ev.stored.Record
	if rec.Event.Kind == events.Alarm {
		s.e.unheard++
		s.e.opt.Slog.Error("an alarm did not reach its recipient", "event", ev.id(), "recipient", rec.Plan.Recipients[r.Index].ID, "reason", string(r.Reason))
	}
	s.e.opt.Ended(ev.channelType(small(r.Index), out.Channel), out.State, time.Since(rec.Event.Recorded))
}

// strike takes note of channels that have said no after all, and opens the first of the others.
func (d *delivery) strike(keys []string) {
	for _, key := range keys {
		if i := slices.Index(d.channels, key); i >= 0 {
			t := d.try(i)
			t.refused, t.struck = true, true
		}
	}
	for len(keys) > 0 && int(d.open) < len(d.channels) && d.try(int(d.open)-1).refused {
		d.open++
	}
}

// struck are the channels that strike was told of.
func (d *delivery) struck() (keys []string) {
	for i, t := range d.tries() {
		if t.struck {
			keys = append(keys, d.channels[i])
		}
	}
	return keys
}

// insert puts d into its lane where it would have stood: before whatever is not in flight and came later.
func (e *Engine) insert(d *delivery, recipient, patient string) {
	l := e.recipient(recipient).lane(patient)
	d.lane = l
	i, _ := l.find(d.shard.p, d.seq, d.index)
	if l.busy && len(l.queue) > 0 {
		i = max(i, 1)
	}
	l.queue = slices.Insert(l.queue, i, d)
	d.shard.queued(recipient, d)
	e.advance(l)
}

// astray reports whether the head is not the first of the lane: something was inserted while it was in flight.
func (l *lane) astray() bool { return len(l.queue) > 1 && byLane(l.queue[0], l.queue[1]) > 0 }

// straighten puts a head that is astray in its place.
func (l *lane) straighten() {
	if !l.astray() {
		return
	}
	head, rest := l.queue[0], l.queue[1:]
	i, _ := slices.BinarySearchFunc(rest, head, byLane)
	copy(l.queue, rest[:i])
	l.queue[i] = head
}

// marks are who waits until what is in memory now has been written.
type marks struct {
	gathered int // how often what is to be written has been gathered
	waiters  []waiter
}

type waiter struct {
	after   int // gathered by then
	written chan struct{}
}

// reached tells those whose changes are among what was gathered last, and is written now.
func (m *marks) reached() {
	m.waiters = slices.DeleteFunc(m.waiters, func(w waiter) bool {
		if w.after > m.gathered {
			return false
		}
		close(w.written)
		return true
	})
}

// awaitWritten returns when all that is known of an event's deliveries is on disk.
func (s *shard) awaitWritten(ctx context.Context, ev *event) error {
	s.e.mu.Lock()
	w := waiter{s.gathered + 1, make(chan struct{})}
	ev.sheet.due = true
	s.waiters = append(s.waiters, w)
	s.e.mu.Unlock()
	signal(s.kick)
	select {
	case <-w.written:
		return nil
	case <-s.life.Done():
		return ErrElsewhere
	case <-ctx.Done():
		return ctx.Err()
	}
}
