package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/audit"
	"carehub/events/forget"
	"carehub/events/stream"
	"carehub/subscribers/deliver"
	"carehub/subscribers/signup"
)

// newForgetting is who sees to it that patients are erased.
func (h *hub) newForgetting(ctx context.Context) error {
	key, err := secretKey(ctx, h.store, "gone")
	if err != nil {
		return fmt.Errorf("key of the marks of who was forgotten: %w", err)
	}
	h.forgotten = forget.New(forget.Options{Store: h.store, Key: key, Waiting: outstanding{h.store}.of, Notice: signup.Erased,
		Documents: func(ctx context.Context, patient string) error {
			_, err := h.documents.Forget(ctx, patient)
			return err
		},
		Archive: func(ctx context.Context, patient string) (bool, error) { return h.archive.Erase(ctx, patient) },
		Audit:   h.auditErasure, Mine: h.keepsArchive, Clock: time.Now, Log: h.log})
	return nil
}

func (h *hub) auditErasure(ctx context.Context, e forget.Erasure) error {
	event, err := audit.Erasure(h.current().sender(), e.ID, e.By, e.At, e.Done)
	if err != nil {
		return err
	}
	return h.trail.Append(ctx, event)
}

// openForgetting is the part of a hub that a command needs to forget somebody while no hub runs.
func (h *hub) openForgetting(ctx context.Context) error {
	if err := h.openArchive(ctx); err != nil {
		return err
	}
	h.trail = h.newTrail()
	h.documents = h.newDocuments()
	return h.forgotten.Load(ctx)
}

// forgetAlone forgets a patient beside no hub, or, with the store on a server, beside those that may run there: they do the
// work if there are any.
func forgetAlone(ctx context.Context, f *folder, s *stream.Store, patient, by string, within time.Duration) (mark forget.Erasure, err error) {
	h := newHub(f, slog.New(slog.DiscardHandler))
	h.store = s
	if err := h.openForgetting(ctx); err != nil {
		return mark, err
	}
	if mark, err = h.forgotten.Begin(ctx, patient, by); err != nil {
		return mark, err
	}
	if f.hub.NATS != nil {
		return mark, await410(ctx, within, &mark, func(ctx context.Context) error {
			err := h.forgotten.Load(ctx)
			mark, _ = h.forgotten.Of(patient)
			return err
		})
	}
	defer h.runTrail(ctx)()
	err = await410(ctx, within, &mark, func(ctx context.Context) error {
		_, err := h.forgotten.Work(ctx)
		if err == nil {
			err = h.forgotten.Load(ctx)
		}
		mark, _ = h.forgotten.Of(patient)
		return err
	})
	return mark, err
}

func (h *hub) survey(ctx context.Context, patient string) (found forgetSurvey, err error) {
	if mark, gone := h.forgotten.Of(patient); gone {
		found.Erasure = &mark
		return found, nil
	}
	found.Named = h.current().mentions(patient)
	for before, more := (events.Place{}), true; more; {
		some, err := h.archive.Timeline(ctx, patient, before, surveyed)
		if err != nil {
			return found, err
		}
		found.Events += len(some)
		if more = len(some) == surveyed; more {
			before = some[len(some)-1].Place()
		}
	}
	if found.Waiting, err = (outstanding{h.store}).of(ctx, patient); err != nil {
		return found, err
	}
	return found, h.store.HubList(ctx, "hub.subscription.", func(key string, value []byte, _ uint64) {
		if strings.Contains(string(value), `"`+patient+`"`) {
			found.Subs = append(found.Subs, strings.TrimPrefix(key, "hub.subscription."))
		}
	})
}

// mentions reports whether the configuration has a patient.
func (f *folder) mentions(patient string) bool {
	_, registered := f.patients[patient]
	return registered || slices.Contains(f.rules.Patients(), patient)
}

// onDisk reports whether a broken folder has a patient somewhere, be it in what cannot be read.
func onDisk(dir, patient string) bool {
	for _, data := range strict.Take(dir, ourFolders...).Files() {
		if bytes.Contains(data, []byte(patient)) {
			return true
		}
	}
	return false
}

// surveyed is how many events are read at once.
const surveyed = 256

// forgetRoutes is what the admin socket answers about forgetting.
func (h *hub) forgetRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /forget/{patient}", func(w http.ResponseWriter, r *http.Request) {
		found, err := h.survey(r.Context(), r.PathValue("patient"))
		adminAnswer(w, found, err)
	})
	mux.HandleFunc("POST /forget/{patient}", func(w http.ResponseWriter, r *http.Request) {
		var by string
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&by)
		var mark forget.Erasure
		if err == nil {
			mark, err = h.forgotten.Begin(r.Context(), r.PathValue("patient"), by)
		}
		adminAnswer(w, mark, err)
	})
}

// outstanding looks for what still has to happen to a patient's events, as the store knows it.
type outstanding struct{ store *stream.Store }

// of says in words for what it has to be waited.
func (o outstanding) of(ctx context.Context, patient string) (waiting []string, err error) {
	for _, list := range []struct {
		of    string
		about func(events.Record) bool
	}{
		{patient, func(events.Record) bool { return true }},
		{events.HubPatient, func(r events.Record) bool {
			return r.Plan.About != nil && events.PatientOf(r.Plan.About.Event) == patient
		}},
	} {
		some, err := o.deliveries(ctx, list.of, list.about)
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, some...)
	}
	records, err := o.records(ctx, patient)
	return append(waiting, records...), err
}

// deliveries are the events in the streams that somebody is still to be told of.
func (o outstanding) deliveries(ctx context.Context, of string, about func(events.Record) bool) (waiting []string, err error) {
	outcomes := &deliver.Outcomes{Ledger: o.store}
	for before, more := (events.Place{}), true; more; {
		some, err := o.store.Timeline(ctx, of, before, surveyed)
		if err != nil {
			return nil, err
		}
		for _, st := range some {
			if !about(st.Record) {
				continue
			}
			open, err := o.open(ctx, outcomes, st)
			if err != nil {
				return nil, err
			}
			if open != "" {
				waiting = append(waiting, st.Record.Event.ID+": "+open)
			}
		}
		if more = len(some) == surveyed; more {
			before = some[len(some)-1].Place()
		}
	}
	return waiting, nil
}

// open says who is still to be told of an event; empty if nobody is.
func (o outstanding) open(ctx context.Context, outcomes *deliver.Outcomes, st events.Stored) (string, error) {
	known, err := outcomes.Of(ctx, st)
	if err != nil {
		if events.KindOf(err) == events.NotFound { // its partition has just gone to the archive
			return "", nil
		}
		return "", err
	}
	for i, out := range known {
		row := st.Record.Plan.Recipients[i]
		if !out.State.Final() && out.State != events.Spared && (out.State != "" || !row.Step) {
			return row.ID + " is still to be told", nil
		}
	}
	value, _, err := o.store.Get(ctx, st.Partition, events.CursorSubject(st.Partition))
	if events.KindOf(err) == events.NotFound && err != nil {
		return "", nil
	}
	if cursor, _ := strconv.ParseUint(string(value), 10, 64); err == nil && cursor < st.Seq {
		return "it is not known yet who was told", nil
	}
	return "", err
}

// records are those of the hub's that somebody is about to act on.
func (o outstanding) records(ctx context.Context, patient string) (waiting []string, err error) {
	for prefix, what := range map[string]string{"hub.hold.": "it can still be undone", "hub.correct.": "it is about to be corrected",
		"hub.answer.due.": "an answer is still asked for", "hub.bounce.": "a mail of it came back"} {
		failed := o.store.HubList(ctx, prefix, func(key string, value []byte, _ uint64) {
			var record struct {
				Event, State string
				Kept         bool
			}
			_ = json.Unmarshal(value, &record) // what cannot be read is nobody's
			id := record.Event
			if id == "" {
				id = strings.TrimPrefix(key, prefix)
			}
			if events.PatientOf(id) == patient && !record.Kept && record.State != "undone" {
				waiting = append(waiting, id+": "+what)
			}
		})
		if failed != nil {
			return nil, failed
		}
	}
	slices.Sort(waiting)
	return waiting, nil
}
