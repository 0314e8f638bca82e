package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loggers log for all patients at a rate, each patient's events one after another. What is acknowledged is written down.
type loggers struct {
	w      *world
	client *http.Client
	most   int           // events in all; 0: until finish
	turns  chan struct{} // one for each event that is due
	slots  chan struct{} // requests at a time, when there is no rate
	mu     sync.Mutex
	acked  [][]ack // by patient, in order
	total  atomic.Int64
	done   sync.WaitGroup
	stop   context.CancelFunc
	failed chan error // of capacity one
	file   *os.File
}

// ack is an event that the hub has said is saved.
type ack struct {
	Event string `json:"event"`
	At    int64  `json:"at"` // Unix nanoseconds
}

// startLoggers logs at the world's rate until finish, or as fast as it is answered until there are most events.
func startLoggers(ctx context.Context, w *world, most int) (*loggers, error) {
	file, err := os.Create(filepath.Join(w.dir, "acknowledged.jsonl"))
	if err != nil {
		return nil, err
	}
	// Turns that nobody could take while the hub was down are made up for, a few seconds' worth.
	l := &loggers{w: w, most: most, slots: make(chan struct{}, 64), turns: make(chan struct{}, 5*w.rate), acked: make([][]ack, w.patients), failed: make(chan error, 1), file: file,
		client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: w.patients}}}
	ctx, l.stop = context.WithCancel(ctx)
	l.done.Go(func() { l.pace(ctx) })
	for n := range w.patients {
		l.done.Go(func() { l.follow(ctx, n) })
	}
	return l, nil
}

func (l *loggers) pace(ctx context.Context) {
	if l.most > 0 {
		l.hurry(ctx)
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(l.w.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case l.turns <- struct{}{}:
		default:
		}
	}
}

// hurry hands out all turns as there are slots.
func (l *loggers) hurry(ctx context.Context) {
	defer close(l.turns)
	for range l.most {
		select {
		case <-ctx.Done():
			return
		case l.slots <- struct{}{}:
			l.turns <- struct{}{}
		}
	}
}

// follow logs what happens to one patient.
func (l *loggers) follow(ctx context.Context, n int) {
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case _, more := <-l.turns:
			if !more {
				return
			}
		}
		// An event once begun is logged to its end: whether it was saved must be known.
		id, err := l.log(context.WithoutCancel(ctx), n, turn)
		if l.most > 0 {
			<-l.slots
		}
		if err != nil {
			select {
			case l.failed <- err:
			default:
			}
			return
		}
		l.note(n, id)
	}
}

func (l *loggers) note(n int, id string) {
	a := ack{Event: id, At: time.Now().UnixNano()}
	l.mu.Lock()
	l.acked[n] = append(l.acked[n], a)
	l.mu.Unlock()
	l.total.Add(1)
	line, _ := json.Marshal(a) // a string and a number
	_, _ = l.file.Write(append(line, '\n'))
}

// counts is how many events of each patient have been acknowledged so far.
func (l *loggers) counts() (all []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, acks := range l.acked {
		all = append(all, len(acks))
	}
	return all
}

// patience is how long a logger repeats itself. Longer than any fault and its recovery: who gives up proves nothing.
const patience = 2 * time.Minute

// log repeats one request with its key, at one hub after the other, until it is acknowledged.
func (l *loggers) log(ctx context.Context, n, turn int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	kind := []string{"admission", "discharge"}[turn%2]
	body := fmt.Sprintf(`{"patient": %q, "kind": %q, "place": "Riverside Hospital", "words": "event %d"}`, patient(n), kind, turn)
	for try := 0; ; try++ {
		h := l.w.hubs[(n+try)%len(l.w.hubs)]
		id, status, answer := l.post(ctx, h, fmt.Sprintf("key-%d-%d", n, turn), body)
		if id != "" {
			return id, nil
		}
		if status != 0 && status != http.StatusServiceUnavailable {
			return "", fmt.Errorf("an event was refused: %d %s", status, answer)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return "", fmt.Errorf("an event was not taken for %s: status %d %s", patience, status, answer)
		}
	}
}

// post returns the event's id if the hub has saved it; status 0 says that there was no answer.
func (l *loggers) post(ctx context.Context, h *hub, key, body string) (id string, status int, answer string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/events", strings.NewReader(body))
	if err != nil {
		return "", 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return "", 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", 0, err.Error()
	}
	var view struct {
		ID string `json:"id"`
	}
	if resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, &view); err != nil {
			return "", 0, err.Error()
		}
	}
	return view.ID, resp.StatusCode, string(b)
}

// await waits until the last of most events is acknowledged.
func (l *loggers) await() error {
	l.done.Wait()
	return l.finish()
}

// finish ends the logging and waits for the events that have begun.
func (l *loggers) finish() error {
	l.stop()
	l.done.Wait()
	l.client.CloseIdleConnections()
	err := l.file.Close()
	select {
	case err = <-l.failed:
	default:
	}
	return err
}
