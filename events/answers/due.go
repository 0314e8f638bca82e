package answers

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"carehub/events"
)

const (
	lookEvery = 15 * time.Second // at events that wait: somebody may have been refused
	soon      = time.Second
)

// due is an event that waits for answers.
type due struct {
	event string
	rec   dueRecord
	next  time.Time // when to look again, by this process's clock
	stamp map[time.Time]time.Duration
	began time.Time // of stamp
	steps map[int]time.Time
	late  bool // see outcome.late
}

// dueRecord is what is stored of it. The shape is a promise.
type dueRecord struct {
	V     int               `json:"v"`
	Asked map[int]time.Time `json:"asked,omitempty"` // when a step was told, by the index of its row
}

// question is an event whose record is to be made.
type question struct {
	event string
	done  chan struct{}
}

// takeDue takes in a record. Called with the lock held.
func (a *Answers) takeDue(event string, value []byte) {
	var rec dueRecord
	if len(value) == 0 || json.Unmarshal(value, &rec) != nil {
		delete(a.due, event)
		return
	}
	d := a.due[event]
	if d == nil {
		d = &due{event: event, stamp: map[time.Time]time.Duration{}, began: time.Now(), steps: map[int]time.Time{}}
		a.due[event] = d
	}
	d.rec = rec
	d.next = time.Time{}
}

// Announce is for the engine: it has the record made of an event for which a rule asks for answers. done is closed once that is
// durable, and nil if there is nothing to wait for.
func (a *Answers) Announce(rec *events.Record) (done <-chan struct{}) {
	if !slices.ContainsFunc(rec.Plan.Recipients, func(r events.Recipient) bool { return r.Acknowledge != nil }) {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := question{rec.Event.ID, make(chan struct{})}
	a.asked = append(a.asked, q)
	a.wake()
	return q.done
}

// note makes the records that were asked for. What fails is asked again.
func (a *Answers) note(ctx context.Context) {
	a.mu.Lock()
	asked := a.asked
	a.asked = nil
	a.mu.Unlock()
	value, _ := json.Marshal(dueRecord{V: recordNow}) // a number always marshals
	for i, q := range asked {
		ctx, cancel := context.WithTimeout(ctx, workFor)
		_, err := a.Store.HubPut(ctx, dueKey+q.event, value, 0)
		cancel()
		if err != nil && events.KindOf(err) != events.Conflict {
			a.Log.Error("that an event waits for answers is not stored yet", "event", q.event, "error", err.Error())
			a.mu.Lock()
			a.asked = append(asked[i:len(asked):len(asked)], a.asked...)
			a.mu.Unlock()
			return
		}
		a.mu.Lock()
		if a.due[q.event] == nil {
			a.takeDue(q.event, value)
		}
		a.mu.Unlock()
		close(q.done)
	}
}

// nextDue is how long there is nothing to do, if nobody answers. Called with the lock held.
func (a *Answers) nextDue() time.Duration {
	wait, now := lookEvery, time.Now()
	if len(a.asked) > 0 {
		wait = soon
	}
	for _, g := range a.given {
		if !g.Kept {
			wait = min(wait, soon)
		}
	}
	for _, d := range a.due {
		wait = min(wait, max(d.next.Sub(now), 0))
	}
	return wait
}

// check has an event looked at next.
func (a *Answers) check(event string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.due[event]; d != nil {
		d.next = time.Time{}
	}
	a.wake()
}

// escalate does what is due.
func (a *Answers) escalate(ctx context.Context) {
	a.mu.Lock()
	now := time.Now()
	var some []*due
	for _, d := range a.due {
		if !d.next.After(now) {
			some = append(some, d)
			d.next = now.Add(lookEvery)
		}
	}
	a.mu.Unlock()
	for _, d := range some {
		if ctx.Err() != nil {
			return
		}
		err := a.look(ctx, d)
		if err != nil && ctx.Err() == nil {
			a.mu.Lock()
			d.next = time.Now().Add(soon)
			a.mu.Unlock()
			if !a.Later(err) {
				a.Log.Error("what happens when nobody answers is not done yet; trying again", "event", d.event, "error", err.Error())
			}
		}
	}
}

// look does what is due for one event.
func (a *Answers) look(ctx context.Context, d *due) error {
	ctx, cancel := context.WithTimeout(ctx, workFor)
	defer cancel()
	st, err := a.Find(ctx, d.event)
	if events.KindOf(err) == events.NotFound {
		return a.close(ctx, d)
	}
	if err != nil {
		return err
	}
	mine := a.Mine(st.Partition)
	if st.Outcomes == nil && !mine {
		a.overdue(d, false)
		return nil
	}
	if a.Over(st.Record.Event.Patient) {
		a.Log.Info("the patient has died: nobody has to answer any more, and no further step is told", "event", d.event)
		return a.close(ctx, d)
	}
	receipts, err := a.Receipts(ctx, st)
	if err != nil {
		return err
	}
	a.Correct(d.event, receipts)
	plan := outlook(&st.Record, receipts, func(index int) (time.Time, bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		at, ok := d.rec.Asked[index]
		return at, ok
	}, func(at time.Time) time.Duration { return a.age(d, at) })
	a.mu.Lock()
	d.next = time.Now().Add(min(lookEvery, plan.wait))
	d.steps = map[int]time.Time{}
	for index, in := range plan.steps {
		d.steps[index] = a.Clock().Add(in)
	}
	a.mu.Unlock()
	a.overdue(d, mine && plan.late())
	if err := a.do(ctx, d, st, plan); err != nil {
		return err
	}
	if !plan.open {
		return a.close(ctx, d)
	}
	return nil
}

func (a *Answers) overdue(d *due, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d.late = is
}

// Tally is how many steps this hub has told since its start, and how many events in the partitions that it delivers somebody has
// not answered in time, or will not, and nobody else yet.
func (a *Answers) Tally() (told, overdue int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.due {
		if d.late {
			overdue++
		}
	}
	return a.told, overdue
}

// do carries a plan out, in the order that a crash can come between any two steps of.
func (a *Answers) do(ctx context.Context, d *due, st events.Stored, plan outcome) error {
	for _, index := range plan.unanswered {
		if err := a.engine(a.Engine().Unanswered(ctx, st.Place(), index)); err != nil {
			return err
		}
	}
	for _, index := range plan.tell {
		if err := a.ask(ctx, d, index); err != nil {
			return err
		}
		err := a.Engine().TellStep(ctx, st.Place(), index)
		if a.engine(err) != nil {
			return err
		}
		if err != nil {
			continue
		}
		a.mu.Lock()
		a.told++
		a.mu.Unlock()
		a.Log.Info("nobody has answered in time: the next step is told", "event", d.event, "recipient", st.Record.Plan.Recipients[index].ID)
	}
	for _, index := range plan.alarm {
		about := events.About{Event: d.event, Recipient: st.Record.Plan.Recipients[index].ID, Reason: events.ReasonUnanswered}
		if err := a.Alarm(ctx, about, st); err != nil {
			return err
		}
	}
	if len(plan.tell) > 0 {
		a.check(d.event)
	}
	return nil
}

// engine is an error of the engine, unless it says that the event is in the archive, where nothing changes: the alarm remains.
func (a *Answers) engine(err error) error {
	if err != nil && a.Never(err) {
		return nil
	}
	return err
}

// ask stores when a step was told, before it is.
func (a *Answers) ask(ctx context.Context, d *due, index int) error {
	value, revision, ok, err := a.Store.HubGet(ctx, dueKey+d.event)
	if err != nil {
		return err
	}
	if !ok {
		return errGone
	}
	var rec dueRecord
	if err := json.Unmarshal(value, &rec); err != nil {
		return err
	}
	if _, told := rec.Asked[index]; told {
		return nil
	}
	if rec.Asked == nil {
		rec.Asked = map[int]time.Time{}
	}
	rec.Asked[index] = a.Clock().UTC().Truncate(time.Millisecond)
	if value, err = json.Marshal(rec); err != nil {
		return err
	}
	if _, err = a.Store.HubPut(ctx, dueKey+d.event, value, revision); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeDue(d.event, value)
	return nil
}

// Cancel ends the waiting for answers to an event: it was taken back.
func (a *Answers) Cancel(ctx context.Context, event string) error {
	a.mu.Lock()
	d := a.due[event]
	a.mu.Unlock()
	if d == nil {
		return nil
	}
	return a.close(ctx, d)
}

// close ends the waiting.
func (a *Answers) close(ctx context.Context, d *due) error {
	if err := a.Store.HubDelete(ctx, dueKey+d.event); err != nil && !errors.Is(err, errGone) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.due, d.event)
	return nil
}

// age is how long ago something was, by this process's own clock from when it first hears of it: no change of the wall clock
// moves it then. What is in the future, for the clock has been set back since, is taken for now.
func (a *Answers) age(d *due, at time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	running := time.Since(d.began)
	was, known := d.stamp[at]
	if !known {
		was = running - max(0, a.Clock().Sub(at))
		d.stamp[at] = was
	}
	return running - was
}

// announce makes receipts say when the next step is. Called with the lock held.
func (d *due) announce(receipts []events.Receipt) {
	for index, at := range d.steps {
		if index < len(receipts) && receipts[index].State == events.Unacknowledged {
			receipts[index].Outcome.Next = at
		}
	}
}
