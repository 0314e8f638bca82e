package deliver

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"carehub/events"
)

// Receipts returns how telling each recipient of an event stands, in the order of the plan. Of an event that another
// process delivers it is what the ledger knows: all that has ended, not when the next attempt is.
func (e *Engine) Receipts(ctx context.Context, st events.Stored) ([]events.Receipt, error) {
	s := e.reader(st.Partition)
	sh, err := s.sheet(ctx, st.Seq, len(st.Record.Plan.Recipients))
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	out := slices.Clone(sh.out[st.Seq])
	s.dropSheet(sh)
	e.mu.Unlock()
	receipts := make([]events.Receipt, len(st.Record.Plan.Recipients))
	for i := range receipts {
		receipts[i] = events.Receipt{Recipient: st.Record.Plan.Recipients[i], Outcome: out[i]}
		e.live(s, st, i, &receipts[i])
	}
	return receipts, nil
}

// reader returns the shard to read outcomes with: the one that delivers, or else one that only knows the ledger.
func (e *Engine) reader(p int) *shard {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.shards[p]; s != nil && s.stage != starting {
		return s
	}
	s := newShard(e, p)
	s.boot = math.MaxUint64
	return s
}

// live adds what only the engine knows: that nothing has been tried yet, or when the next attempt is.
func (e *Engine) live(s *shard, st events.Stored, i int, r *events.Receipt) {
	if r.State == "" && r.Step {
		r.State = events.Spared
	}
	if r.State == "" {
		r.State, r.At = events.Trying, st.Record.Event.Recorded
	}
	if r.Outcome.Channel == "" && len(r.Channels) > 0 {
		r.Outcome.Channel = r.Channels[0].Key
	}
	if r.State == events.Waiting && !r.Next.After(time.Now()) { // by the clock of whoever wrote that
		r.State, r.Next = events.Trying, time.Time{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p := s.pages[pageKey{r.ID, st.Seq / pageSize}]
	if p == nil {
		return
	}
	d := p.find(st.Seq, i)
	if d == nil {
		return
	}
	if e.waits(d, r) {
		return
	}
	// A first attempt in flight is still "telling", however slow; whoever waits their turn behind trouble is not.
	first := d.lane.busyWith(d) && r.State == events.Trying
	if ep := d.lane.recipient.endpoints[r.Outcome.Channel]; ep != nil && !r.State.Final() && !first {
		r.State = events.Retrying
		r.Next = later(r.Next, ep.until).UTC()
		if ep.paused {
			r.Reason = cmp.Or(r.Reason, events.ReasonPaused)
		}
	}
	if r.Next.Before(time.Now()) {
		r.Next = time.Time{}
	}
}

// watcher is told of each change of one event.
type watcher struct{ changed chan struct{} }

// Watch returns a channel that ticks after changes of the event's outcomes; changes close together tick once. stop ends it.
func (e *Engine) Watch(event string) (changed <-chan struct{}, stop func()) {
	w := &watcher{changed: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers[event] = append(e.watchers[event], w)
	return w.changed, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		rest := slices.DeleteFunc(e.watchers[event], func(o *watcher) bool { return o == w })
		if len(rest) == 0 {
			delete(e.watchers, event)
			return
		}
		e.watchers[event] = rest
	}
}

// pollEvery is how often watchers look again at events that may be delivered by another process.
const pollEvery = time.Second

// pollWatchers wakes all watchers now and then for as long as others deliver too: their changes are seen in the ledger.
func (e *Engine) pollWatchers(ctx context.Context) {
	if e.opt.Owner == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollEvery):
		}
		e.mu.Lock()
		for _, watchers := range e.watchers {
			for _, w := range watchers {
				if e.elsewhere {
					signal(w.changed)
				}
			}
		}
		e.mu.Unlock()
	}
}

// notify wakes whoever watches ev. Called with the lock held.
func (e *Engine) notify(ev *event) {
	if len(e.watchers) == 0 {
		return
	}
	for _, w := range e.watchers[ev.id()] {
		signal(w.changed)
	}
	if about := ev.stored.Record.Plan.About; about != nil { // whose page says whether the admins know
		for _, w := range e.watchers[about.Event] {
			signal(w.changed)
		}
	}
}
