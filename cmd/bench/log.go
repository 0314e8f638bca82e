package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// logJob is what the loggers are asked for.
type logJob struct {
	Pace     pace
	Hub      string // its address
	Token    string
	Patients []string // to log for in turn
	First    int      // number of the first event: no two are the same
	Tell     bool     // nothing but what was logged the last time
}

// logEvents is the loggers' process: it posts events to a hub, each under a key of its own.
func logEvents(ctx context.Context, _ []string) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var d diary
	return answer(func(job logJob) (any, error) {
		if job.Tell {
			return d.all, nil
		}
		d.all = nil
		err := job.Pace.each(ctx, func(ctx context.Context, n int, due time.Time) error {
			id, err := job.log(ctx, client, n)
			if err == nil {
				d.add(id, due)
			}
			return err
		})
		return len(d.all), err
	})
}

// log has one event accepted, and returns its id.
func (j logJob) log(ctx context.Context, client *http.Client, n int) (string, error) {
	body := fmt.Sprintf(`{"patient":%q,"kind":"admission","place":"Riverside Hospital","words":"He fell at home and was taken in."}`,
		j.Patients[n%len(j.Patients)])
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+j.Hub+"/events", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+j.Token)
	req.Header.Set("Idempotency-Key", "bench-"+strconv.Itoa(j.First+n))
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("hub answered %d: %s", resp.StatusCode, answer)
	}
	var saved struct{ ID string }
	if err == nil {
		err = json.Unmarshal(answer, &saved)
	}
	return saved.ID, err
}
