// Package attempts is the delivery log: each attempt at each HTTP endpoint with what was answered, for the endpoint's owner
// and the admin. It is bounded in number, age and size, is written about once a second and never waited for: a crash, or a
// store that is away, costs the newest entries. What was delivered is written in the ledger, not here.
package attempts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// Bounds of what is kept in memory until it is written, and of one message.
const (
	writeEvery = time.Second
	maxHeld    = 16384    // entries; what comes beyond is counted and dropped
	maxMessage = 48 << 10 // bytes
	maxHeader  = 2 << 10  // bytes of a reply's header that are kept
)

// Store is where the log is kept; see stream.Store.
type Store interface {
	AppendAttempts(ctx context.Context, messages []events.Entry) error
	ReadAttempts(ctx context.Context, subject string, fn func(message []byte) error) error
}

// Log is the delivery log. It is safe for concurrent use.
type Log struct {
	store Store
	slog  *slog.Logger

	mu      sync.Mutex
	held    []events.Attempt // in the order they ended
	writing []events.Attempt // being written
	dropped int
}

// New returns a log that writes nothing until Run.
func New(store Store, log *slog.Logger) *Log { return &Log{store: store, slog: log} }

// message is what one message of the stream holds. The shape is a promise.
type message struct {
	V        int              `json:"v"`
	Attempts []events.Attempt `json:"attempts"`
}

// Add takes an attempt down. It returns at once.
func (l *Log) Add(a events.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) >= maxHeld {
		l.dropped++
		return
	}
	l.held = append(l.held, a)
}

// Run writes what is added until ctx ends, and then the rest.
func (l *Log) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(writeEvery):
		}
		l.Flush(context.WithoutCancel(ctx))
	}
	return nil
}

// Flush writes what was added. What cannot be written is dropped.
func (l *Log) Flush(ctx context.Context) {
	l.mu.Lock()
	l.writing, l.held = l.held, make([]events.Attempt, 0, len(l.held)) // as many will come in the next second
	some, dropped := l.writing, l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if len(some) > 0 {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := l.store.AppendAttempts(ctx, pack(some)); err != nil {
			dropped += len(some)
			l.slog.Warn("entries of the delivery log are lost", "entries", dropped, "error", err.Error())
		} else if dropped > 0 {
			l.slog.Warn("entries of the delivery log are lost: too many came at once", "entries", dropped)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = nil
}

// pack makes messages of attempts: those of one endpoint together, as many as fit.
func pack(some []events.Attempt) []events.Entry {
	byEndpoint := map[string][]events.Attempt{}
	var order []string
	for _, a := range some {
		subject := events.AttemptSubject(a.Recipient, a.Channel)
		if byEndpoint[subject] == nil {
			order = append(order, subject)
		}
		byEndpoint[subject] = append(byEndpoint[subject], a)
	}
	var messages []events.Entry
	for _, subject := range order {
		messages = append(messages, packOne(subject, byEndpoint[subject])...)
	}
	return messages
}

const head = `{"v":1,"attempts":[`

func packOne(subject string, some []events.Attempt) (messages []events.Entry) {
	body := []byte(head)
	end := func() { messages = append(messages, events.Entry{Key: subject, Value: append(body, "]}"...)}) }
	for _, a := range some {
		a.Reply = trim(a.Reply)
		entry, err := json.Marshal(a)
		if err != nil {
			panic(err) // words, numbers and times only
		}
		if len(body)+len(entry) > maxMessage && len(body) > len(head) {
			end()
			body = []byte(head)
		}
		if len(body) > len(head) {
			body = append(body, ',')
		}
		body = append(body, entry...)
	}
	end()
	return messages
}

// trim bounds a reply.
func trim(r *events.Reply) *events.Reply {
	if r == nil {
		return nil
	}
	size := 0
	for name, values := range r.Header {
		size += len(name)
		for _, v := range values {
			size += len(v)
		}
	}
	short := *r
	short.Body = r.Body[:min(len(r.Body), events.MaxReplyKept)]
	if size > maxHeader {
		short.Header = shorten(r.Header)
	}
	return &short
}

// shorten keeps as many values as there is room for, in the order of their names.
func shorten(header map[string][]string) map[string][]string {
	var names []string
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	kept, size := map[string][]string{}, 0
	for _, name := range names {
		for _, v := range header[name] {
			if size += len(name) + len(v); size > maxHeader {
				return kept
			}
			kept[name] = append(kept[name], v)
		}
	}
	return kept
}

// List returns the newest attempts at an endpoint, limit at the most, the oldest of them first, and those before since left
// out.
func (l *Log) List(ctx context.Context, recipient, channel string, since time.Time, limit int) ([]events.Attempt, error) {
	l.mu.Lock() // first: what is written meanwhile is found twice rather than never
	recent := slices.Concat(l.writing, l.held)
	l.mu.Unlock()
	var all []events.Attempt
	keep := func(a events.Attempt) {
		if a.At.Before(since) {
			return
		}
		if all = append(all, a); len(all) >= 2*limit {
			all = slices.Delete(all, 0, len(all)-limit)
		}
	}
	err := l.store.ReadAttempts(ctx, events.AttemptSubject(recipient, channel), func(value []byte) error {
		var m message
		if err := json.Unmarshal(value, &m); err != nil {
			return fmt.Errorf("the delivery log cannot be read: %w", err)
		}
		if m.V != 1 {
			return fmt.Errorf("the delivery log is of version %d; this build reads version 1", m.V)
		}
		for _, a := range m.Attempts {
			keep(a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	written := slices.Clone(all)
	for _, a := range recent {
		again := slices.ContainsFunc(written, func(w events.Attempt) bool { return w.Delivery == a.Delivery && w.At.Equal(a.At) })
		if a.Recipient == recipient && a.Channel == channel && !again {
			keep(a)
		}
	}
	return all[max(0, len(all)-limit):], nil
}
