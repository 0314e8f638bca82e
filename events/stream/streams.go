package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
)

const (
	maxMessage = 1 << 20  // bytes of an event's message
	maxHeaders = 64 << 10 // bytes; a limit of JetStream
	maxStored  = maxMessage + maxHeaders
	maxPayload = 2 * maxMessage // of the embedded server; an external one needs max_payload above maxStored
)

// prepare finds or creates the streams. In a store that has a format nothing is created: a stream missing there is lost.
func (s *Store) prepare(ctx context.Context, o Options) (err error) {
	s.replicas = o.Replicas
	if s.js, err = jetstream.New(s.reads); err != nil {
		return err
	}
	if s.hub, err = s.stand(ctx, hubConfig(o.Replicas), true); err != nil {
		return err
	}
	if s.audit, err = s.standOnce(ctx, auditConfig(o.Replicas), auditKey); err != nil {
		return err
	}
	if s.notices, err = s.standOnce(ctx, noticesConfig(o.Replicas), noticesKey); err != nil {
		return err
	}
	if s.documents, err = s.standOnce(ctx, documentsConfig(o.Replicas), documentsKey); err != nil {
		return err
	}
	if s.attempts, err = s.standAttempts(ctx, o.Replicas); err != nil {
		return err
	}
	f, revision, err := s.readFormat(ctx, o.Partitions)
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, f, revision, revision == 0); err != nil {
		return err
	}
	if revision > 0 {
		return s.finishGrowth(ctx)
	}
	return s.record(ctx, s.layout.Load(), f)
}

// finishGrowth begins the new generation that a crash has kept from taking the place of a sealed one.
func (s *Store) finishGrowth(ctx context.Context) error {
	l := s.layout.Load()
	g := l.format.newest()
	for p := g.First; p < g.First+g.Partitions; p++ {
		if l.events[p].CachedInfo().Config.Sealed {
			err := s.Grow(ctx, 0)
			if events.KindOf(err) == events.Conflict { // another process was quicker
				s.refresh(ctx)
				return nil
			}
			return err
		}
	}
	return nil
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// stand returns the stream with this configuration.
func (s *Store) stand(ctx context.Context, want jetstream.StreamConfig, create bool) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	have, err := s.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && create:
		if have, err = s.js.CreateStream(ctx, want); err != nil {
			return nil, unmade(ctx, want.Name, err)
		}
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %s is missing from the store: %w", want.Name, err)
	case err != nil:
		return nil, away(err)
	}
	if have, err = mend(ctx, s.js, have, want); err != nil {
		return nil, err
	}
	if broken := differences(have.CachedInfo().Config, want); len(broken) > 0 {
		return nil, fmt.Errorf("stream %s is not set up as carehub needs it: %s", want.Name, strings.Join(broken, ", "))
	}
	return have, nil
}

// unmade is the error of a stream that was not made; without an answer it may be another time.
func unmade(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return away(err)
	}
	return fmt.Errorf("stream %s: %w", name, err)
}

// mend changes what an older version of carehub, or an admin who gave a stream more replicas, has set up otherwise and
// that can be changed without harm: batches, and reads that followers answer.
func mend(ctx context.Context, js jetstream.JetStream, have jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	c := have.CachedInfo().Config
	batches, direct := want.AllowAtomicPublish && !c.AllowAtomicPublish, c.AllowDirect && c.Replicas > 1
	if !batches && !direct {
		return have, nil
	}
	c.AllowAtomicPublish = c.AllowAtomicPublish || batches
	c.AllowDirect = c.AllowDirect && !direct
	mended, err := js.UpdateStream(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	return mended, nil
}

// differences names the settings on which a promise rests and that are not as wanted.
func differences(have, want jetstream.StreamConfig) []string {
	var list []string
	check := func(setting string, have, want any) {
		if h, w := fmt.Sprint(have), fmt.Sprint(want); h != w {
			list = append(list, fmt.Sprintf("%s is %s, not %s", setting, h, w))
		}
	}
	check("subjects", have.Subjects, want.Subjects)
	check("storage", have.Storage, want.Storage)
	check("retention", have.Retention, want.Retention)
	check("discard", have.Discard, want.Discard)
	check("max_age", have.MaxAge, want.MaxAge)
	check("max_msgs", have.MaxMsgs, want.MaxMsgs)
	check("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	check("persist_mode", have.PersistMode, want.PersistMode)
	check("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	if want.Replicas > 0 {
		check("num_replicas", have.Replicas, want.Replicas)
	}
	return list
}

// settings are what all streams share. When a limit is met the new is refused: nothing stored is ever dropped for it.
// A stream with one replica answers reads directly; with more, a follower might answer with what is no longer true.
func settings(name string, replicas int, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects, Replicas: replicas,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: maxStored,
		Duplicates:  100 * time.Millisecond, // ids are in the subjects; a longer window only costs memory and start-up time
		DenyPurge:   true,                   // single messages can be deleted: an event logged about the wrong person
		AllowDirect: replicas <= 1,
	}
}

func hubConfig(replicas int) jetstream.StreamConfig {
	c := settings("HUB", replicas, "hub.>")
	c.MaxMsgsPerSubject = 1
	return c
}

func eventsConfig(p, replicas int) jetstream.StreamConfig {
	c := settings("EVENTS-"+strconv.Itoa(p), replicas, fmt.Sprintf("care.%d.*.*.*", p), fmt.Sprintf("plan.%d.*.*.*", p))
	c.AllowAtomicPublish = true
	return c
}

// ledgerKinds are the first words of the ledger's keys: with more words after the partition, and without.
var ledgerKinds = map[string]bool{
	"led": true, "park": true, "hold": true, "due": true, "ack": true, "told": true,
	"cur": false, "own": false, "beat": false,
}

func ledgerConfig(p, replicas int, embedded bool) jetstream.StreamConfig {
	var subjects []string
	for _, kind := range []string{"led", "park", "hold", "due", "ack", "told", "cur", "own", "beat"} {
		subject := fmt.Sprintf("%s.%d", kind, p)
		if ledgerKinds[kind] {
			subject += ".>"
		}
		subjects = append(subjects, subject)
	}
	c := settings("LEDGER-"+strconv.Itoa(p), replicas, subjects...)
	c.MaxMsgsPerSubject = 1
	c.AllowAtomicPublish = !embedded // for fenced writes
	return c
}

// checkKey refuses a key that is not of partition p's ledger.
func checkKey(p int, key string) error {
	kind, rest, _ := strings.Cut(key, ".")
	partition, rest, longer := strings.Cut(rest, ".")
	wantLonger, known := ledgerKinds[kind]
	if !known || partition != strconv.Itoa(p) || longer != wantLonger || longer && rest == "" {
		return &events.Error{Kind: events.Invalid, Message: "That is not a key of this partition's ledger."}
	}
	return nil
}
