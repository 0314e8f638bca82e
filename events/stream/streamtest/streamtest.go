// Package streamtest is what every event store must do, as tests. The engine is tested on the in-memory store and runs on
// JetStream; that both pass this suite is why the first says something about the second.
package streamtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"carehub/events"
)

// Store is what is tested.
type Store interface {
	Partitions() int
	Layout() (live []events.Partition, changed <-chan struct{})
	Grow(ctx context.Context, partitions int) error
	Retire(ctx context.Context, p int) error
	Retired() []int
	Clear(ctx context.Context, retired []int) error
	Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
	Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error)
	Find(ctx context.Context, id string) (events.Stored, error)
	Latest(ctx context.Context, patient string, kind events.Kind) (events.Stored, bool, error)
	At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error)
	Several(ctx context.Context, places []events.Place) ([]events.Stored, error)
	Last(ctx context.Context, p int) (uint64, error)
	Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error
	Put(ctx context.Context, p int, entries []events.Entry) error
	Get(ctx context.Context, p int, key string) ([]byte, bool, error)
	List(ctx context.Context, p int, prefix string) ([]events.Entry, error)
	Has(ctx context.Context, p int, prefix string) (bool, error)
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) ([]byte, uint64, bool, error)
	HubDelete(ctx context.Context, key string) error
	HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
	HubErase(ctx context.Context, key string, revision uint64) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
	Note(ctx context.Context, value []byte, after uint64) (uint64, error)
	Notices(ctx context.Context, after uint64, ready func(last uint64), fn func(seq uint64, value []byte) error) error
	TrimNotice(ctx context.Context, seq uint64) error
	Close(ctx context.Context) error
}

// Run tests the stores that open returns, each of them empty, with 4 partitions, and closed by the test or by open's
// cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"create only", createOnly},
		{"all of a record comes back", everythingComesBack},
		{"find", find},
		{"latest", latest},
		{"at and last", atAndLast},
		{"several", several},
		{"large plan", largePlan},
		{"too large", tooLarge},
		{"what does not fit together is refused", misfits},
		{"many publishers", manyPublishers},
		{"one key from many at once", oneKeyManyTimes},
		{"read in order and live", readLive},
		{"read again after a sequence", readAfter},
		{"read ends with its context, its function, its store", readEnds},
		{"ledger keeps the newest", ledgerNewest},
		{"ledger list", ledgerList},
		{"ledger keys of elsewhere", ledgerKeys},
		{"ledger by many", ledgerByMany},
		{"hub compares and sets", hubCompareAndSet},
		{"hub list and erase", hubListAndErase},
		{"hub watch", hubWatch},
		{"notices", notices},
		{"notices live", noticesLive},
		{"grow", grow},
		{"grow while events come in", growMeanwhile},
		{"retire", retire},
		{"timeline", timeline},
		{"an ended context", endedContext},
		{"closed", closedStore},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Record makes the record of an event of a patient under a key, told to n recipients.
func Record(patient, key string, kind events.Kind, n int) events.Record {
	by := events.Actor{Kind: events.Carer, ID: "ruth"}
	rec := events.Record{V: events.RecordVersion, Event: events.Event{
		ID: events.NewID(by, patient, key), Patient: patient, Kind: kind, By: by,
		Occurred: time.Date(2026, 11, 3, 14, 2, 0, 0, time.UTC), Recorded: time.Date(2026, 11, 3, 14, 3, 0, 0, time.UTC),
	}}
	for i := range n {
		rec.Plan.Recipients = append(rec.Plan.Recipients, events.Recipient{
			ID: fmt.Sprintf("team-%05d", i), Name: fmt.Sprintf("Team number %d", i), Rule: "routing/p-7f3k.yaml:4",
			Channels: []events.Channel{{Key: "webhook", Type: "webhook"}, {Key: "email", Type: "email", Content: events.ContentLink}},
		})
	}
	return rec
}

// Patients returns n patients whose events are in partition p of 4.
func Patients(p, n int) []string {
	var out []string
	for i := 0; len(out) < n; i++ {
		if patient := fmt.Sprintf("p-t%d", i); events.PartitionOf(patient, 4) == p {
			out = append(out, patient)
		}
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind events.ErrorKind) {
	t.Helper()
	if err == nil || events.KindOf(err) != kind {
		t.Errorf("error is %v (%s), want %s", err, events.KindOf(err), kind)
	}
}

// publish stores an event that must be new.
func publish(t *testing.T, s Store, rec events.Record, message string) events.Stored {
	t.Helper()
	stored, created, err := s.Publish(t.Context(), rec, []byte(message))
	must(t, err)
	if !created {
		t.Fatalf("event %s was there already", rec.Event.ID)
	}
	return stored
}

// collect reads a partition until it has seen n events, and returns their messages.
func collect(t *testing.T, s Store, p int, after uint64, n int) []string {
	t.Helper()
	var out []string
	ctx, enough := context.WithTimeout(t.Context(), time.Minute)
	defer enough()
	err := s.Read(ctx, p, after, func(e events.Stored) error {
		if out = append(out, string(e.Message)); len(out) == n {
			enough()
		}
		return nil
	})
	if len(out) < n {
		t.Fatalf("read %d events of %d: %v", len(out), n, err)
	}
	return out
}

func words(n int) string { return strings.Repeat("x", n) }
