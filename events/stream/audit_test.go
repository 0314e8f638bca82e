package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/stream"
)

// TestAuditTrail: links are appended behind the newest only, and are there after a restart.
func TestAuditTrail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, stream.Options{Dir: dir})
	if n, link, err := s.AuditLast(t.Context()); n != 0 || link != nil || err != nil {
		t.Fatalf("a new trail has %d: %s: %v", n, link, err)
	}
	for n := range uint64(3) {
		if got, err := s.AuditAppend(t.Context(), n, fmt.Append(nil, n)); got != n+1 || err != nil {
			t.Fatalf("link %d: %v", got, err)
		}
	}
	for _, after := range []uint64{0, 2, 4} {
		if _, err := s.AuditAppend(t.Context(), after, []byte("x")); events.KindOf(err) != events.Conflict {
			t.Errorf("behind %d: %v", after, err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = open(t, stream.Options{Dir: dir})
	if n, link, err := s.AuditLast(t.Context()); n != 3 || string(link) != "2" || err != nil {
		t.Errorf("newest is %d: %s: %v", n, link, err)
	}
	var all []string
	err := s.AuditRead(t.Context(), 1, func(n uint64, link []byte) error { all = append(all, fmt.Sprintf("%d %s", n, link)); return nil })
	if want := []string{"2 1", "3 2"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("got %v: %v", all, err)
	}
}

// TestAuditTrailOfTwoHubs: on one server, of two that append behind the same link one gets it.
func TestAuditTrailOfTwoHubs(t *testing.T) {
	at := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	hubs := []*stream.Store{open(t, stream.Options{URL: at}), open(t, stream.Options{URL: at})}
	trails := []*audit.Trail{audit.NewTrail(hubs[0]), audit.NewTrail(hubs[1])}
	ctx, cancel := context.WithCancel(context.Background())
	var running, appending sync.WaitGroup
	for hub, trail := range trails {
		running.Go(func() { _ = trail.Run(ctx) })
		for n := range 100 {
			appending.Go(func() {
				if err := trail.Append(t.Context(), fmt.Appendf(nil, `"%d-%d"`, hub, n)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	appending.Wait()
	cancel()
	running.Wait()
	seen := map[string]bool{}
	head, err := audit.Verify(t.Context(), hubs[0], func(e json.RawMessage) error { seen[string(e)] = true; return nil })
	if err != nil || len(seen) != 200 {
		t.Errorf("%d accesses in %d links: %v", len(seen), head.N, err)
	}
}

// TestAuditTrailLost: a store whose audit trail has been deleted is not opened as if it never had one.
func TestAuditTrailLost(t *testing.T) {
	at := serverURL(startServer(t, t.TempDir(), server.RANDOM_PORT))
	if err := open(t, stream.Options{URL: at}).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "AUDIT"); err != nil {
		t.Fatal(err)
	}
	s, err := stream.Open(t.Context(), stream.Options{URL: at})
	if err == nil {
		_ = s.Close(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "AUDIT is missing from the store") {
		t.Errorf("opened: %v", err)
	}
}
