package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"carehub/events"
	"carehub/events/receipts"
)

// outcomes asks the hub what became of every event, and compares that with what the receivers did.
func (f *findings) outcomes(ctx context.Context, w *world, r *record, l *loggers) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	ids := make(chan string)
	told := w.allRecipients()
	for n := range 8 {
		all.Go(func() {
			for id := range ids {
				v, err := w.view(ctx, client, w.hubs[n%len(w.hubs)], id)
				mu.Lock()
				if failed = errors.Join(failed, err); err == nil {
					f.compare(v, r, told)
				}
				mu.Unlock()
			}
		})
	}
	for _, acks := range l.acked {
		for _, a := range acks {
			ids <- a.Event
		}
	}
	close(ids)
	all.Wait()
	return failed
}

// compare judges what the hub says of an event; everybody who was to be told must be in it.
func (f *findings) compare(v receipts.View, r *record, told []string) {
	for _, id := range told {
		if !slices.ContainsFunc(v.Recipients, func(row receipts.Recipient) bool { return row.ID == id }) {
			f.note(&f.Unequal, "%s: the hub does not name %s", v.ID, id)
		}
	}
	for _, row := range v.Recipients {
		want := events.Received
		if len(r.took[key(row.ID, v.ID)]) == 0 {
			want = events.Refused
			f.Refused++
		}
		if row.State != want {
			f.note(&f.Unequal, "%s of %s: the hub says %s, the receiver %s", v.ID, row.ID, row.State, want)
		}
	}
}

func (w *world) view(ctx context.Context, client *http.Client, h *hub, id string) (v receipts.View, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/events/"+id, nil)
	if err != nil {
		return v, err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := client.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("the hub answers %d about %s", resp.StatusCode, id)
	}
	return v, json.NewDecoder(resp.Body).Decode(&v)
}
