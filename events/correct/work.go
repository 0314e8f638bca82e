package correct

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/fhir"
)

const (
	again   = time.Second      // between two looks at what is not done
	workFor = 30 * time.Second // on one event
)

// Run does what was asked, until ctx ends.
func (c *Corrections) Run(ctx context.Context) error {
	for {
		c.mu.Lock()
		todo := slices.Collect(maps.Values(c.asked))
		c.mu.Unlock()
		for _, r := range todo {
			if err := c.work(ctx, r); err != nil && ctx.Err() == nil {
				c.Log.Error("a correction is not made yet; trying again", "event", r.Event, "error", err.Error())
			}
		}
		wait := time.Hour
		c.mu.Lock()
		if len(c.asked) > 0 {
			wait = again
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
		case <-time.After(wait):
		}
	}
}

// work does one request as far as it can be done now. Only the hub that delivers the event may.
func (c *Corrections) work(ctx context.Context, r *Request) error {
	ctx, cancel := context.WithTimeout(ctx, workFor)
	defer cancel()
	st, err := c.Events.Find(ctx, r.Event)
	if events.KindOf(err) == events.NotFound { // its time is over
		return c.close(ctx, r)
	}
	if err != nil {
		return err
	}
	rows, mine, err := c.rows(ctx, r, st)
	if err != nil || !mine {
		return err
	}
	if r.Correction.Retracts() {
		if err := c.Corrected(ctx, st); err != nil {
			return err
		}
	}
	if err := c.publish(ctx, r, st, rows); err != nil {
		return err
	}
	if slices.Contains(rows, UnderWay) {
		return nil
	}
	return c.close(ctx, r)
}

// rows says who is to hear of the correction. Of a wrong time it is everybody: whoever has yet to be told is told of both, in
// that order.
func (c *Corrections) rows(ctx context.Context, r *Request, st events.Stored) (rows []Row, mine bool, err error) {
	if r.Correction.Retracts() {
		return c.Withdraw(ctx, st)
	}
	receipts, err := c.Receipts(ctx, st)
	if err != nil {
		return nil, false, err
	}
	for _, receipt := range receipts {
		row := Told
		switch receipt.State {
		case events.Spared, events.Withdrawn:
			row = Untold
		}
		rows = append(rows, row)
	}
	return rows, true, nil
}

// publish stores the correction, once.
func (c *Corrections) publish(ctx context.Context, r *Request, st events.Stored, rows []Row) error {
	if _, err := c.Events.Find(ctx, events.CorrectionID(r.Event)); events.KindOf(err) != events.NotFound || err == nil {
		return err
	}
	rec := r.record(st, rows, c.Rules())
	patient, by, hub := c.People(rec.Event)
	patient.Summary = nil // a correction tells nothing new
	message, err := fhir.Encode(fhir.Message{Event: rec.Event, Patient: patient, By: by, Hub: hub, Urgency: rec.Plan.Urgency})
	if err != nil {
		return fmt.Errorf("write the correction: %w", err)
	}
	if _, _, err = c.Events.Publish(ctx, rec, message); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.said)
	c.said = make(chan struct{})
	c.Log.Info("a correction goes to those who were told", "event", rec.Event.ID, "corrects", r.Event, "recipients", len(rec.Plan.Recipients))
	return nil
}

// record is the correction: the first event once more, for those who know of it, as urgent as it was.
func (r *Request) record(st events.Stored, rows []Row, rules string) events.Record {
	e, plan := st.Record.Event, st.Record.Plan
	e.ID, e.Corrects, e.Correction = events.CorrectionID(r.Event), r.Event, r.Correction
	e.By, e.Recorded, e.Said, e.From, e.Flags = r.By, r.Recorded, nil, nil, nil
	if r.Correction == events.WrongTime {
		e.Occurred = r.Occurred
		if r.Recorded.Sub(r.Occurred) >= events.Late {
			e.Flags = []events.Flag{events.FlagLate}
		}
	}
	asked, _ := json.Marshal(r) // texts and times always marshal
	plan.Rules, plan.Request, plan.Renderer, plan.Recipients = rules, events.Hash(asked), events.Renderer, nil
	for i, to := range st.Record.Plan.Recipients {
		if i < len(rows) && rows[i] != Untold {
			to.Acknowledge, to.Step, to.Attach = nil, false, nil // what was attached is not sent again
			plan.Recipients = append(plan.Recipients, to)
		}
	}
	return events.Record{V: events.RecordVersion, Event: e, Plan: plan}
}

// close ends a request.
func (c *Corrections) close(ctx context.Context, r *Request) error {
	if err := c.Store.HubDelete(ctx, prefix+r.Event); err != nil {
		return err
	}
	c.take(r.Event, nil)
	return nil
}
