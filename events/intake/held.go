package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carehub/events"
)

// What is held waits for a named person, who says whom it is about, or that it is about nobody here.
const (
	heldPrefix  = "hub.held."
	heldVersion = 1

	maxHeld     = 100                 // of one sender that wait
	heldFor     = 30 * 24 * time.Hour // then it is deleted, with an alarm
	warnHeld    = 7 * 24 * time.Hour  // before that there is an alarm too
	keepTrace   = 30 * 24 * time.Hour // what became of it is kept for as long
	abandoned   = time.Minute         // after which an unfinished release is somebody else's to finish
	maxDecider  = 64                  // runes of the name of who decides
	maxDeciding = 500                 // runes of why
)

// Held is a message that waits for a person. It identifies a patient until it is resolved.
type Held struct {
	V      int          `json:"v"`
	ID     string       `json:"id"`
	By     events.Actor `json:"by"` // the system that sent it
	At     time.Time    `json:"at"`
	Report *Report      `json:"report,omitempty"` // gone once it is resolved

	Alarmed   bool      `json:"alarmed,omitempty"`
	Warned    time.Time `json:"warned,omitzero"`     // when the alarm was raised that it will be deleted
	Releasing *Decision `json:"releasing,omitempty"` // begun and not known to be done
	Resolved  *Decision `json:"resolved,omitempty"`
}

// Decision is what became of what was held.
type Decision struct {
	How     string    `json:"how"` // released, dismissed, expired
	By      string    `json:"by,omitempty"`
	At      time.Time `json:"at"`
	Patient string    `json:"patient,omitempty"`
	Event   string    `json:"event,omitempty"`
	Why     string    `json:"why,omitempty"`
}

// How something held ends.
const (
	Released  = "released"
	Dismissed = "dismissed"
	Expired   = "expired"
)

// heldID is derived from the message: held once, however often it is sent.
func heldID(by events.Actor, message string) string {
	return "held-" + events.Hash(fmt.Appendf(nil, "held %d %s %s", len(by.ID), by.ID, message))[:16]
}

// ValidHeld reports whether id has the form of something held.
func ValidHeld(id string) bool {
	rest, ok := strings.CutPrefix(id, "held-")
	return ok && len(rest) == 16 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// hold keeps a message for a person, and raises the alarm. Both are durable when it returns.
func (r *Receiver) hold(ctx context.Context, m Message, now time.Time) (string, error) {
	h := Held{V: heldVersion, ID: heldID(m.By, m.Report.From.Message), By: m.By, At: now, Report: &m.Report}
	if err := r.room(ctx, h, now); err != nil {
		return "", err
	}
	stored := Held{}
	revision, err := r.once(ctx, heldPrefix+h.ID, h, &stored)
	if err != nil || stored.Alarmed || stored.Resolved != nil {
		return h.ID, err
	}
	return h.ID, r.raise(ctx, stored, revision)
}

// room refuses what would be one too many of its sender's, with an alarm, once a day.
func (r *Receiver) room(ctx context.Context, h Held, now time.Time) error {
	all, err := r.List(ctx)
	if err != nil {
		return err
	}
	waiting := 0
	for _, other := range all {
		if other.ID == h.ID {
			return nil // it is held already
		}
		if other.By == h.By && other.Resolved == nil {
			waiting++
		}
	}
	if waiting < maxHeld {
		return nil
	}
	today := events.About{Event: heldID(h.By, now.Format(time.DateOnly)), Recipient: h.By.ID, Reason: events.ReasonHeldFull}
	if err := r.alarm(ctx, today, h.Report.Test); err != nil {
		return err
	}
	return &events.Error{Kind: events.Busy, Message: "Too many of your messages wait for a person already. Nothing was saved. Please phone."}
}

// raise tells the people named for alarms that something is held.
func (r *Receiver) raise(ctx context.Context, h Held, revision uint64) error {
	h.Alarmed = true
	err := r.alarmThen(ctx, h, events.ReasonHeld, h, revision)
	if events.KindOf(err) == events.Conflict {
		return nil // somebody else has raised the same, or decided
	}
	return err
}

func (r *Receiver) put(ctx context.Context, h Held, revision uint64) (uint64, error) {
	value, err := json.Marshal(h)
	if err != nil {
		return 0, err
	}
	return r.records.HubPut(ctx, heldPrefix+h.ID, value, revision)
}

// List is all that is held, and for a month what became of it, oldest first.
func (r *Receiver) List(ctx context.Context) (all []Held, err error) {
	err = r.each(ctx, func(h Held, _ uint64) { all = append(all, h) })
	slices.SortFunc(all, func(a, b Held) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return all, err
}

func (r *Receiver) each(ctx context.Context, fn func(Held, uint64)) error {
	var broken error
	err := r.records.HubList(ctx, heldPrefix, func(key string, value []byte, revision uint64) {
		h, err := readHeld(value)
		if err != nil {
			broken = fmt.Errorf("%s: %w", key, err)
			return
		}
		fn(h, revision)
	})
	return errors.Join(err, broken)
}

func readHeld(value []byte) (h Held, err error) {
	if json.Unmarshal(value, &h) != nil {
		return h, errors.New("what is held cannot be read") // its error would quote it
	}
	if h.V > heldVersion {
		return h, fmt.Errorf("what is held is of a newer version, %d", h.V)
	}
	return h, nil
}

// Get is one held message. Errors: NotFound, Unavailable.
func (r *Receiver) Get(ctx context.Context, id string) (Held, error) {
	h, _, err := r.get(ctx, id)
	return h, err
}

func (r *Receiver) get(ctx context.Context, id string) (Held, uint64, error) {
	missing := &events.Error{Kind: events.NotFound, Message: "Nothing of this id is held here."}
	if !ValidHeld(id) {
		return Held{}, 0, missing
	}
	value, revision, ok, err := r.records.HubGet(ctx, heldPrefix+id)
	if err != nil {
		return Held{}, 0, err
	}
	if !ok {
		return Held{}, 0, missing
	}
	h, err := readHeld(value)
	return h, revision, err
}

// undecided gets what can still be decided by somebody of that name.
func (r *Receiver) undecided(ctx context.Context, id, by string) (Held, uint64, error) {
	if by == "" || len([]rune(by)) > maxDecider {
		return Held{}, 0, invalid("Say who decides: a name of at most 64 characters.")
	}
	h, revision, err := r.get(ctx, id)
	if err == nil {
		h, revision, err = r.finish(ctx, h, revision)
	}
	if err == nil && h.Resolved != nil {
		err = &events.Error{Kind: events.Conflict, Event: h.Resolved.Event,
			Message: "It was " + h.Resolved.How + " already, on " + h.Resolved.At.Format(time.RFC3339) + "."}
	}
	return h, revision, err
}

// finish finds out how a release ended that a crash has cut off: its event is there, or it never will be.
func (r *Receiver) finish(ctx context.Context, h Held, revision uint64) (Held, uint64, error) {
	begun := h.Releasing
	if begun == nil || h.Resolved != nil || r.intake.clock().Sub(begun.At).Abs() < abandoned {
		return h, revision, nil
	}
	stored, err := r.intake.store.Find(ctx, events.NewID(h.By, begun.Patient, h.Report.key()))
	switch {
	case err == nil:
		done := *begun
		done.Event = stored.Record.Event.ID
		h = h.resolved(done)
	case events.KindOf(err) == events.NotFound:
		h.Releasing = nil
	default:
		return h, revision, err
	}
	revision, err = r.put(ctx, h, revision)
	return h, revision, err
}

// Release logs what is held as an event of a patient, as it was received, once: by is the person who says so. What it held
// of the patient's details is deleted.
func (r *Receiver) Release(ctx context.Context, id, patient, by string) (events.Stored, error) {
	h, revision, err := r.undecided(ctx, id, by)
	if err != nil {
		return events.Stored{}, err
	}
	if h.Releasing != nil && h.Releasing.Patient != patient {
		return events.Stored{}, &events.Error{Kind: events.Conflict, Message: "It is just being released to another patient. Look again in a minute."}
	}
	h.Releasing = &Decision{How: Released, By: by, At: r.intake.clock().UTC().Truncate(time.Second), Patient: patient}
	if revision, err = r.put(ctx, h, revision); err != nil {
		return events.Stored{}, err
	}
	result, err := r.intake.report(ctx, r.intake.desk(), h.By, patient, *h.Report, true)
	if err != nil {
		return events.Stored{}, err
	}
	done := *h.Releasing
	done.Event = result.Stored.Record.Event.ID
	_, _ = r.put(ctx, h.resolved(done), revision) // the event is there: what is not noted now, Sweep notes
	return result.Stored, nil
}

// Dismiss says that nobody is to be told of what is held. What it held of a patient's details is deleted.
func (r *Receiver) Dismiss(ctx context.Context, id, by, why string) error {
	if why == "" || len([]rune(why)) > maxDeciding {
		return invalid("Say why, without names: at most 500 characters.")
	}
	h, revision, err := r.undecided(ctx, id, by)
	if err != nil {
		return err
	}
	if h.Releasing != nil {
		return &events.Error{Kind: events.Conflict, Message: "It is just being released. Look again in a minute."}
	}
	_, err = r.put(ctx, h.resolved(Decision{How: Dismissed, By: by, At: r.intake.clock().UTC().Truncate(time.Second), Why: why}), revision)
	return err
}

// resolved leaves of what was held only what became of it.
func (h Held) resolved(d Decision) Held {
	return Held{V: heldVersion, ID: h.ID, By: h.By, At: h.At, Alarmed: h.Alarmed, Resolved: &d}
}

// Sweep raises the alarms that a crash has kept from being raised, warns of what will be deleted unread, deletes it after
// that, and forgets what no sender repeats any more.
func (r *Receiver) Sweep(ctx context.Context) error {
	now := r.intake.clock().UTC().Truncate(time.Second)
	type one struct {
		Held
		revision uint64
	}
	var all []one
	err := r.each(ctx, func(h Held, revision uint64) { all = append(all, one{h, revision}) })
	for _, o := range all {
		if failed := r.sweep(ctx, o.Held, o.revision, now); events.KindOf(failed) != events.Conflict { // else another hub was quicker
			err = errors.Join(err, failed)
		}
	}
	return errors.Join(err, r.forgetSeen(ctx, now))
}

func (r *Receiver) sweep(ctx context.Context, h Held, revision uint64, now time.Time) error {
	h, revision, err := r.finish(ctx, h, revision)
	if err != nil {
		return err
	}
	age := now.Sub(h.At)
	switch {
	case h.Resolved != nil && now.Sub(h.Resolved.At) > keepTrace:
		return r.records.HubErase(ctx, heldPrefix+h.ID, revision)
	case h.Resolved != nil || h.Releasing != nil:
		return nil
	case !h.Alarmed:
		return r.raise(ctx, h, revision)
	case age > heldFor-warnHeld && h.Warned.IsZero():
		h.Warned = now
		return r.alarmThen(ctx, h, events.ReasonHeldEnding, h, revision)
	case age > heldFor && now.Sub(h.Warned) >= warnHeld: // a clock that jumped does not delete what nobody was warned of
		return r.alarmThen(ctx, h, events.ReasonHeldEnded, h.resolved(Decision{How: Expired, At: now}), revision)
	}
	return nil
}

// alarmThen raises an alarm, and once that is durable stores what follows from it.
func (r *Receiver) alarmThen(ctx context.Context, h Held, reason events.Reason, then Held, revision uint64) error {
	err := r.alarm(ctx, events.About{Event: h.ID, Recipient: h.By.ID, Reason: reason}, h.Report.Test)
	if err == nil {
		_, err = r.put(ctx, then, revision)
	}
	return err
}
