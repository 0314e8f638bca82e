package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"carehub/events"
	"carehub/events/stream"
	"carehub/subscribers/deliver"
)

// pastEvent is an event as the admin's commands read it: with its frozen plan and what became of it, and without what a carer
// wrote.
type pastEvent struct {
	Record   events.Record    `json:"record"`
	Outcomes []events.Outcome `json:"outcomes,omitempty"` // of the recipients, in the order of the plan
	Heard    []bool           `json:"heard,omitempty"`    // of the same: somebody of alarms.notify has been told that they were not
}

func withoutWords(rec events.Record) events.Record {
	rec.Event.Words = ""
	return rec
}

// past is where past events are read: a running hub, or its store.
type past struct {
	find func(ctx context.Context, id string) (pastEvent, error)
	// each calls fn with every event since a time, without outcomes.
	each func(ctx context.Context, since time.Time, fn func(events.Record) error) error
}

// withPast reads past events from the store or, if the hub is running and holds it, from the hub.
func withPast(ctx context.Context, f *folder, do func(context.Context, past) error) error {
	return withStore(ctx, f,
		func(ctx context.Context, s *stream.Store) error {
			h := newHub(f, slog.New(slog.DiscardHandler))
			h.store = s
			if err := h.openArchive(ctx); err != nil {
				return err
			}
			outcomes := &deliver.Outcomes{Ledger: s}
			return do(ctx, h.past(h.archive.Find, func(ctx context.Context, st events.Stored) ([]events.Outcome, error) {
				if st.Outcomes != nil {
					return st.Outcomes, nil
				}
				return outcomes.Of(ctx, st)
			}))
		},
		func(ctx context.Context, store string) error { return do(ctx, pastOf(store)) })
}

// past reads from the archive of a hub.
func (h *hub) past(find func(context.Context, string) (events.Stored, error), outcomes func(context.Context, events.Stored) ([]events.Outcome, error)) past {
	return past{
		find: func(ctx context.Context, id string) (pastEvent, error) {
			st, err := find(ctx, id)
			if err != nil {
				return pastEvent{}, err
			}
			all, err := outcomes(ctx, st)
			e := pastEvent{withoutWords(st.Record), all, make([]bool, len(all))}
			for i, o := range all {
				if err == nil && o.Alarm != "" {
					e.Heard[i], err = heard(ctx, o.Alarm, find, outcomes)
				}
			}
			return e, err
		},
		each: func(ctx context.Context, since time.Time, fn func(events.Record) error) error {
			return h.archive.Each(ctx, since, func(st events.Stored) error { return fn(withoutWords(st.Record)) })
		},
	}
}

// heard reports whether anybody of alarms.notify has been told of an alarm. Nothing is known of one that is here no more.
func heard(ctx context.Context, alarm string, find func(context.Context, string) (events.Stored, error),
	outcomes func(context.Context, events.Stored) ([]events.Outcome, error),
) (bool, error) {
	st, err := find(ctx, alarm)
	if err != nil && events.KindOf(err) == events.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	all, err := outcomes(ctx, st)
	return st.Record.Plan.Heard(all), err
}

// runningPast reads past events of a running hub.
func (h *hub) runningPast() past {
	src := source{heldToo{h.archive, h.held, h.store.Full}, h.engine, h.returns, h.answers, h.held}
	return h.past(src.Find, src.outcomes)
}

// endOfPast is the last line of a list of events that is whole.
const endOfPast = "end"

// pastRoutes is what the admin socket answers about past events: one, or all since a time, a record on each line.
func pastRoutes(mux *http.ServeMux, p past) {
	mux.HandleFunc("GET /events/{id}", func(w http.ResponseWriter, r *http.Request) {
		e, err := p.find(r.Context(), r.PathValue("id"))
		if events.KindOf(err) == events.NotFound {
			e, err = pastEvent{}, nil
		}
		adminAnswer(w, e, err)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		since, err := time.Parse(time.RFC3339, r.URL.Query().Get("since"))
		if err != nil {
			http.Error(w, "since must be a time (RFC 3339)", http.StatusBadRequest)
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
		out := bufio.NewWriter(w)
		lines := json.NewEncoder(out)
		if err = p.each(r.Context(), since, func(rec events.Record) error { return lines.Encode(rec) }); err == nil {
			_, err = fmt.Fprintln(out, endOfPast)
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			panic(http.ErrAbortHandler) // who asked will miss the end
		}
	})
}

// pastOf asks the hub that holds a store.
func pastOf(store string) past {
	return past{
		find: func(ctx context.Context, id string) (e pastEvent, err error) {
			err = askAdmin(ctx, store, http.MethodGet, "/events/"+url.PathEscape(id), nil, &e)
			if err == nil && e.Record.Event.ID == "" {
				err = &events.Error{Kind: events.NotFound, Message: "There is no such event."}
			}
			return e, err
		},
		each: func(ctx context.Context, since time.Time, fn func(events.Record) error) error {
			path := "/events?since=" + url.QueryEscape(since.UTC().Format(time.RFC3339))
			return doAdmin(ctx, store, http.MethodGet, path, nil, func(answer io.Reader) error { return eachLine(answer, fn) })
		},
	}
}

// eachLine reads the records that a hub lists.
func eachLine(from io.Reader, fn func(events.Record) error) error {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		if string(bytes.TrimSpace(line)) == endOfPast {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the hub did not finish its answer: %w", err)
		}
		var rec events.Record
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("the hub's answer cannot be read: %w", err)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
}
