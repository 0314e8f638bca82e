package receipts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"carehub/events"
)

// years is a source with many events of a patient.
type years struct {
	*source
	all []events.Stored // oldest first
}

func (y years) Find(_ context.Context, id string) (events.Stored, error) {
	for _, st := range y.all {
		if st.Record.Event.ID == id {
			return st, nil
		}
	}
	return events.Stored{}, &events.Error{Kind: events.NotFound}
}

func (y years) Receipts(_ context.Context, st events.Stored) ([]events.Receipt, error) {
	return []events.Receipt{{Recipient: events.Recipient{ID: "gp", Name: "GP"}, Outcome: events.Outcome{State: events.Received, At: st.Record.Event.Recorded}}}, nil
}

func (y years) Timeline(_ context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	var found []events.Stored
	for _, st := range slices.Backward(y.all) {
		if st.Record.Event.Patient == patient && (before.IsZero() || st.Place().Before(before)) && len(found) < limit {
			found = append(found, st)
		}
	}
	return found, nil
}

func TestTimeline(t *testing.T) {
	y := years{source: admission()}
	var want []string
	for i := range 50 {
		id := events.NewID(ruth, "p-7f3k", fmt.Sprint(i))
		by := ruth
		if i%5 == 0 {
			by = eve // whose events ruth may not see in this test
		} else {
			want = append([]string{id}, want...)
		}
		y.all = append(y.all, events.Stored{Seq: uint64(i + 1), Record: events.Record{Event: events.Event{ID: id, Patient: "p-7f3k", Kind: events.Fall, By: by, Recorded: friday}}})
	}
	h := &Handler{Viewer: viewer(y), Authenticate: bearer, Log: slog.New(slog.DiscardHandler),
		MaySee: func(by events.Actor, rec events.Record) bool { return rec.Event.By == by && by == ruth },
		Resolve: func(by events.Actor, who string) (string, error) {
			if who == "dad" && by == ruth {
				return "p-7f3k", nil
			}
			return "", errors.New("nobody")
		}}
	server := httptest.NewServer(http.HandlerFunc(h.List))
	defer server.Close()
	ask := func(query, token string, status int) (page Timeline) {
		t.Helper()
		response := mustGet(t, server.URL+"?"+query, token)
		if response.StatusCode != status {
			t.Fatalf("%s gave %d", query, response.StatusCode)
		}
		_ = json.NewDecoder(response.Body).Decode(&page)
		return page
	}
	var got []string
	for before := ""; ; {
		page := ask("patient=dad&limit=7&before="+before, "ruth", http.StatusOK)
		for _, v := range page.Events {
			got = append(got, v.ID)
			if v.Recipients[0].State != events.Received {
				t.Errorf("%s has no states", v.ID)
			}
		}
		if before = page.Before; before == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d: %v", len(got), len(want), got)
	}
	if page := ask("patient=p-7f3k", "eve", http.StatusOK); len(page.Events) != 0 || page.Events == nil {
		t.Errorf("somebody else sees %v", page.Events)
	}
	if page := ask("patient=p-nobody", "ruth", http.StatusOK); len(page.Events) != 0 {
		t.Errorf("of nobody %v", page.Events)
	}
	ask("patient=dad", "eve", http.StatusBadRequest)
	ask("patient=dad&limit=0", "ruth", http.StatusBadRequest)
	ask("patient=dad&limit=101", "ruth", http.StatusBadRequest)
	ask("patient=dad&before="+y.all[0].Record.Event.ID, "ruth", http.StatusNotFound) // may not be seen
	ask("patient=dad&before="+events.NewID(ruth, "p-other", "x"), "ruth", http.StatusNotFound)
	ask("patient=dad", "nobody", http.StatusUnauthorized)
}
