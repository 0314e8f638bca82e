package receipts

import (
	"context"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"carehub/events"
)

// Limits of GET /events.
const (
	usualEvents = 20
	mostEvents  = 100
	mostLooks   = 10 // into the store for one request, where the asker may see few of a patient's events
	viewsAtOnce = 4
)

// Timeline is the answer of GET /events: what the asker may see of a patient's events, newest first.
type Timeline struct {
	Events []View `json:"events"`
	// Before is what to ask with for the events before these; absent where there are none.
	Before string `json:"before,omitempty"`
}

// List answers GET /events?patient=…&limit=…&before=… with the newest events of a patient, named by id or by the asker's
// own alias. before is the id of an event: only what was saved before it is listed.
func (h *Handler) List(w http.ResponseWriter, r *http.Request) {
	by, err := h.authenticate(r)
	var timeline Timeline
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
		defer cancel()
		timeline, err = h.timeline(ctx, by, r)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, timeline)
}

func (h *Handler) timeline(ctx context.Context, by events.Actor, r *http.Request) (Timeline, error) {
	query := r.URL.Query()
	patient, limit, err := h.asked(by, query.Get("patient"), query.Get("limit"))
	if err != nil {
		return Timeline{}, err
	}
	var before events.Place
	if id := query.Get("before"); id != "" {
		if before, err = h.placeOf(ctx, by, patient, id); err != nil {
			return Timeline{}, err
		}
	}
	t := Timeline{Events: []View{}}
	for range mostLooks {
		some, err := h.Source.Timeline(ctx, patient, before, limit)
		if err != nil {
			return t, unreadable(err)
		}
		var seen []events.Stored
		for _, stored := range some {
			before = stored.Place()
			if h.MaySee(by, stored.Record) {
				seen = append(seen, stored)
			}
		}
		views, err := h.views(ctx, seen[:min(len(seen), limit-len(t.Events))])
		if err != nil {
			return t, err
		}
		if t.Events = append(t.Events, views...); len(t.Events) == limit {
			t.Before = t.Events[limit-1].ID
			return t, nil
		}
		if len(some) < limit {
			return t, nil
		}
	}
	return t, nil
}

// views has who was told of each event, some of them looked up side by side: each may have to be read from the store.
func (h *Handler) views(ctx context.Context, all []events.Stored) ([]View, error) {
	views := make([]View, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(viewsAtOnce)
	for i, stored := range all {
		group.Go(func() (err error) {
			views[i], err = h.view(ctx, stored)
			return err
		})
	}
	return views, group.Wait()
}

// asked reads whom the asker means, and how much they want.
func (h *Handler) asked(by events.Actor, who, limit string) (patient string, n int, err error) {
	n = usualEvents
	if limit != "" {
		if n, err = strconv.Atoi(limit); err != nil || n < 1 || n > mostEvents {
			return "", 0, &events.Error{Kind: events.Invalid, Message: "limit is a number from 1 to " + strconv.Itoa(mostEvents) + "."}
		}
	}
	patient, err = h.Resolve(by, who)
	switch {
	case err == nil:
		return patient, n, nil
	case events.ValidPatient(who):
		return who, n, nil // who is cared for here is nobody else's business: an empty list
	}
	return "", 0, &events.Error{Kind: events.Invalid, Message: `"patient" is neither an id nor a name that you use for somebody here.`}
}

func (h *Handler) placeOf(ctx context.Context, by events.Actor, patient, id string) (events.Place, error) {
	if !events.ValidID(id) || events.PatientOf(id) != patient {
		return events.Place{}, missing()
	}
	stored, err := h.Source.Find(ctx, id)
	switch {
	case err != nil && events.KindOf(err) != events.NotFound:
		return events.Place{}, unreadable(err)
	case err != nil, !h.MaySee(by, stored.Record):
		return events.Place{}, missing()
	}
	return stored.Place(), nil
}
