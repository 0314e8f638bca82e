package stream_test

import (
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"carehub/events"
	"carehub/events/stream"
	"carehub/events/stream/clustertest"
	"carehub/events/stream/streamtest"
)

// TestThreeStartAtOnce: hubs that find an empty cluster make its streams together, and what one stores the others have.
func TestThreeStartAtOnce(t *testing.T) {
	cluster := clustertest.Start(t, 3)
	stores := make([]*stream.Store, 3)
	var starting sync.WaitGroup
	for i := range stores {
		starting.Go(func() {
			var err error
			if stores[i], err = stream.Open(t.Context(), stream.Options{URL: cluster.Nodes[i].URL(), Replicas: 3}); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, s := range stores {
		if s == nil {
			t.FailNow()
		}
		defer s.Close(t.Context())
	}
	rec := streamtest.Record("p-7f3k", "key", events.Fall, 2)
	var created int
	for _, s := range stores {
		_, isNew, err := s.Publish(t.Context(), rec, []byte("fell"))
		if err != nil {
			t.Fatal(err)
		}
		if isNew {
			created++
		}
		if found, err := s.Find(t.Context(), rec.Event.ID); err != nil || string(found.Message) != "fell" { // by the leader, at once
			t.Errorf("found %q, %v", found.Message, err)
		}
	}
	if created != 1 {
		t.Errorf("one event was created %d times", created)
	}
	for _, name := range []string{"HUB", "EVENTS-0", "LEDGER-3"} {
		s, err := client(t, cluster.Nodes[0].URL()).Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c := s.CachedInfo().Config; c.Replicas != 3 || c.AllowDirect {
			t.Errorf("%s has %d replicas, direct reads %v", name, c.Replicas, c.AllowDirect)
		}
	}
}

// TestSmallServerIsRefused: with nats-server's own limit the largest message would be refused one day.
func TestSmallServerIsRefused(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stopServer(s) })
	_, err = stream.Open(t.Context(), stream.Options{URL: s.ClientURL()})
	if err == nil {
		t.Fatal("opened")
	}
	wantWords(t, err, "max_payload")
}

// TestOlderLedgerIsMended: a ledger that was made before there were leases takes fenced writes from then on.
func TestOlderLedgerIsMended(t *testing.T) {
	url := clustertest.Start(t, 1).URL()
	if err := open(t, stream.Options{URL: url}).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	js := client(t, url)
	ledger, err := js.Stream(t.Context(), "LEDGER-2")
	if err != nil {
		t.Fatal(err)
	}
	older := ledger.CachedInfo().Config
	older.AllowAtomicPublish = false
	if _, err := js.UpdateStream(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	m := join(t, url, 0, quick)
	shared(t, []int{4}, m)
	if err := put(t, m, 2, "7"); err != nil {
		t.Error(err)
	}
}
