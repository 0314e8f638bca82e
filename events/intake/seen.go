package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"carehub/events"
)

// Records are the hub's own records, newest value per key, changed by compare-and-set.
type Records interface {
	// HubPut stores a value if the newest revision is the one given, 0 for none; else an *events.Error of kind Conflict.
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
	HubErase(ctx context.Context, key string, revision uint64) error
}

// Messages that were received are remembered by both their ids for as long as a sender may repeat them. After that the ids
// of events and of what is held still keep a repeat from being a second event.
const (
	seenPrefix = "hub.seen."

	// Cache is how long an answer can be repeated byte for byte (FHIR R4, 2.4.1.2; CapabilityStatement.messaging.reliableCache).
	Cache = 7 * 24 * time.Hour
)

// envelope is the record of a Bundle.id: which message it held.
type envelope struct {
	V       int       `json:"v"`
	At      time.Time `json:"at"`
	Message string    `json:"message"` // hash
}

// seen is the record of a message's own id: what it said, and how it was answered.
type seen struct {
	V      int       `json:"v"`
	At     time.Time `json:"at"`
	Asked  string    `json:"asked"` // hash of all that it said
	Status int       `json:"status,omitempty"`
	Media  string    `json:"media,omitempty"`
	Body   string    `json:"body,omitempty"`
}

const seenVersion = 1

func (s seen) answer() (Answer, bool) {
	return Answer{Status: s.Status, Media: s.Media, Body: []byte(s.Body)}, s.Status != 0
}

func seenKey(what string, by events.Actor, id string) string {
	return seenPrefix + what + "." + events.Hash(fmt.Appendf(nil, "%d %s %s", len(by.ID), by.ID, id))
}

// errEnvelope and errReused are the errors of ids that stand for something else already (FHIR R4, 2.4.1.2).
var (
	errEnvelope = &events.Error{Kind: events.Conflict, Message: "This Bundle.id was used already, for another message. Nothing new was saved. Give every message a Bundle.id of its own."}
	errReused   = &events.Error{Kind: events.Conflict, Message: "This message id was used already, for something else. Nothing new was saved. Give every message an id of its own."}
)

// claim notes both ids before anything is done, each once for all, and returns how the message stands. A message in a new
// envelope is the same message.
func (r *Receiver) claim(ctx context.Context, m Message, now time.Time) (s seen, revision uint64, err error) {
	key := seenKey("message", m.By, m.Report.From.Message)
	if m.Envelope != "" {
		var e envelope
		mine := envelope{V: seenVersion, At: now, Message: strings.TrimPrefix(key, seenPrefix+"message.")}
		if _, err := r.once(ctx, seenKey("envelope", m.By, m.Envelope), mine, &e); err != nil {
			return seen{}, 0, err
		}
		if e.Message != mine.Message {
			return seen{}, 0, errEnvelope
		}
	}
	mine := seen{V: seenVersion, At: now, Asked: m.asked()}
	if revision, err = r.once(ctx, key, mine, &s); err != nil {
		return seen{}, 0, err
	}
	if s.Asked != mine.Asked {
		return seen{}, 0, errReused
	}
	return s, revision, nil
}

// once stores a record unless there is one, and reads the one that there is then.
func (r *Receiver) once(ctx context.Context, key string, mine, stored any) (uint64, error) {
	value, err := json.Marshal(mine)
	if err != nil {
		return 0, err
	}
	revision, err := r.records.HubPut(ctx, key, value, 0)
	if events.KindOf(err) == events.Conflict && err != nil {
		if value, revision, _, err = r.records.HubGet(ctx, key); err == nil && revision == 0 {
			err = &events.Error{Kind: events.Unavailable, Message: "Nothing is known to be saved; repeat with the same ids."}
		}
	}
	if err != nil {
		return 0, err
	}
	return revision, json.Unmarshal(value, stored)
}

// keep stores an answer before it is given. Of two that work on one message the first answer is everybody's.
func (r *Receiver) keep(ctx context.Context, m Message, s seen, revision uint64, a Answer) (Answer, error) {
	s.Status, s.Media, s.Body = a.Status, a.Media, string(a.Body)
	value, err := json.Marshal(s)
	if err != nil {
		return Answer{}, err
	}
	key := seenKey("message", m.By, m.Report.From.Message)
	_, err = r.records.HubPut(ctx, key, value, revision)
	if err == nil || events.KindOf(err) != events.Conflict {
		return a, err
	}
	if _, err := r.once(ctx, key, s, &s); err != nil {
		return Answer{}, err
	}
	if first, ok := s.answer(); ok {
		return first, nil
	}
	return Answer{}, &events.Error{Kind: events.Unavailable, Message: "Nothing is known to be saved; repeat with the same ids."}
}

// forgetSeen erases what no sender repeats any more.
func (r *Receiver) forgetSeen(ctx context.Context, now time.Time) error {
	type old struct {
		key      string
		revision uint64
	}
	var gone []old
	err := r.records.HubList(ctx, seenPrefix, func(key string, value []byte, revision uint64) {
		var s envelope // both begin alike
		if json.Unmarshal(value, &s) != nil || now.Sub(s.At) > Cache {
			gone = append(gone, old{key, revision})
		}
	})
	for _, o := range gone {
		if err == nil {
			err = r.records.HubErase(ctx, o.key, o.revision)
		}
	}
	return err
}
