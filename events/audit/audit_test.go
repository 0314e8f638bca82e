package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carehub/events"
	"carehub/events/audit"
	"carehub/events/fhir/validate"
)

// chain is a store in memory that a test can tamper with.
type chain struct {
	mu    sync.Mutex
	links [][]byte
	fail  func() error // of the next writes, which are stored all the same
}

func (c *chain) AuditAppend(_ context.Context, after uint64, link []byte) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if after != uint64(len(c.links)) {
		return 0, &events.Error{Kind: events.Conflict, Message: "another link was quicker"}
	}
	c.links = append(c.links, link)
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return 0, err
		}
	}
	return after + 1, nil
}

func (c *chain) AuditLast(context.Context) (uint64, []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.links) == 0 {
		return 0, nil, nil
	}
	return uint64(len(c.links)), c.links[len(c.links)-1], nil
}

func (c *chain) AuditRead(_ context.Context, after uint64, fn func(uint64, []byte) error) error {
	for n, link := range c.links {
		if uint64(n) < after || link == nil { // deleted
			continue
		}
		if err := fn(uint64(n)+1, link); err != nil {
			return err
		}
	}
	return nil
}

// trail runs a trail on the store until the test ends.
func trail(t *testing.T, store audit.Store) *audit.Trail {
	t.Helper()
	trail, ended := audit.NewTrail(store), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- trail.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return trail
}

// TestHubsShareOneChain: many accesses at several hubs are one chain, in which each stands once.
func TestHubsShareOneChain(t *testing.T) {
	store := &chain{}
	var group sync.WaitGroup
	for hub := range 3 {
		trail := trail(t, store)
		for n := range 200 {
			group.Go(func() {
				if err := trail.Append(t.Context(), fmt.Appendf(nil, `"%d-%d"`, hub, n)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	seen := map[string]int{}
	head, err := audit.Verify(t.Context(), store, func(e json.RawMessage) error { seen[string(e)]++; return nil })
	if err != nil || head.N != uint64(len(store.links)) || len(seen) != 600 {
		t.Fatalf("%d accesses in %d links: %v", len(seen), head.N, err)
	}
	for e, n := range seen {
		if n != 1 {
			t.Errorf("%s stands there %d times", e, n)
		}
	}
}

// TestTamperingIsFound does to a chain what somebody with the store could.
func TestTamperingIsFound(t *testing.T) {
	written := func() *chain {
		store := &chain{}
		trail := trail(t, store)
		for n := range 6 {
			if err := trail.Append(t.Context(), fmt.Appendf(nil, `{"who":"team-%d"}`, n)); err != nil {
				t.Fatal(err)
			}
		}
		return store
	}
	rebuilt := func(c *chain, from int) { // with hashes that fit again
		other := &chain{links: slices.Clone(c.links[:from])}
		trail := trail(t, other)
		for range c.links[from:] {
			if err := trail.Append(t.Context(), []byte(`{"who":"nobody"}`)); err != nil {
				t.Fatal(err)
			}
		}
		c.links = other.links
	}
	for name, c := range map[string]struct {
		tamper func(*chain)
		at     uint64 // the first link that is wrong
	}{
		"an access changed": {func(c *chain) { c.links[2] = bytes.Replace(c.links[2], []byte("team-2"), []byte("team-9"), 1) }, 4},
		"the last changed":  {func(c *chain) { c.links[5] = bytes.Replace(c.links[5], []byte("team-5"), []byte("team-9"), 1) }, 6},
		"a link removed":    {func(c *chain) { c.links[3] = nil }, 4},
		"two links swapped": {func(c *chain) { c.links[1], c.links[2] = c.links[2], c.links[1] }, 2},
		"the first removed": {func(c *chain) { c.links[0] = nil }, 1},
		"a link put in":     {func(c *chain) { c.links = slices.Insert(c.links, 2, c.links[1]) }, 3},
		"the end cut off":   {func(c *chain) { c.links = c.links[:4] }, 5},
		"written anew":      {func(c *chain) { rebuilt(c, 2) }, 6},
		"not JSON":          {func(c *chain) { c.links[4] = []byte("{") }, 5},
	} {
		store := written()
		head, err := audit.Verify(t.Context(), store, nil)
		if err != nil || head.N != 6 {
			t.Fatalf("%d links: %v", head.N, err)
		}
		c.tamper(store)
		_, err = audit.Verify(t.Context(), store, nil, head)
		if broken, ok := errors.AsType[*audit.Broken](err); !ok || broken.N != c.at {
			t.Errorf("%s: got %v, want it to be found at %d", name, err, c.at)
		}
	}
}

// TestAnswerThatDidNotCome: what was stored without an answer is not stored twice, and what was not stored is an error.
func TestAnswerThatDidNotCome(t *testing.T) {
	store := &chain{}
	trail := trail(t, store)
	store.fail = func() error { store.fail = nil; return &events.Error{Kind: events.Unavailable, Message: "no answer"} }
	for _, e := range []string{`"first"`, `"second"`} {
		if err := trail.Append(t.Context(), []byte(e)); err != nil {
			t.Errorf("%s: %v", e, err)
		}
	}
	lost := func() error {
		store.links = store.links[:len(store.links)-1]
		return &events.Error{Kind: events.Unavailable, Message: "down"}
	}
	store.mu.Lock()
	store.fail = lost
	store.mu.Unlock()
	if err := trail.Append(t.Context(), []byte(`"third"`)); events.KindOf(err) != events.Unavailable {
		t.Errorf("lost, and the answer is %v", err)
	}
	if head, err := audit.Verify(t.Context(), store, nil); err != nil || head.N != 2 {
		t.Errorf("%d links: %v", head.N, err)
	}
}

func TestEnded(t *testing.T) {
	trail := audit.NewTrail(&chain{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := trail.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := trail.Append(t.Context(), []byte(`{}`)); events.KindOf(err) != events.Unavailable {
		t.Errorf("got %v", err)
	}
}

// TestEvents has the validators judge an AuditEvent of each shape.
func TestEvents(t *testing.T) {
	hub := events.Sender{Name: "Riverside carers' network", URL: "https://hub.example"}
	access := audit.Access{By: events.Actor{Kind: events.System, ID: "frailty-team"}, Interaction: "read", Type: "Encounter",
		ID: "ev-7f3k-k2bv56gyavoeb4ppkj7hoxxz55", Patient: "p-7f3k", From: "192.0.2.7", Request: "r-1",
		At: time.Date(2026, 7, 12, 2, 14, 7, 5, time.UTC)}
	dir := t.TempDir()
	for name, edit := range map[string]func(*audit.Access){
		"read": func(*audit.Access) {}, "vread": func(a *audit.Access) { a.Interaction = "vread" },
		"organization": func(a *audit.Access) { a.Type, a.ID, a.Patient = "Organization", "hub", "" },
		"search": func(a *audit.Access) {
			a.Interaction, a.ID, a.Query, a.Request = "search-type", "", "_count=20&patient=Patient%2Fp-7f3k", ""
		},
		"refused": func(a *audit.Access) { a.Refused, a.From = events.NotFound, "" },
		"no id":   func(a *audit.Access) { a.Refused, a.ID, a.Patient = events.Forbidden, "", "" },
		"failed":  func(a *audit.Access) { a.Refused = events.Unavailable },
		"create":  func(a *audit.Access) { a.Interaction, a.Type, a.From, a.Request = "create", "Communication", "", "" },
	} {
		a := access
		edit(&a)
		event, err := audit.Event(hub, a)
		if profiled := bytes.Contains(event, []byte("IHE.BasicAudit.")); profiled != (a.Refused == "") {
			t.Errorf("%s: %s", name, event)
		}
		keep(t, dir, name, event, err)
	}
	answer := access
	answer.Interaction, answer.Type, answer.Query, answer.From = "operation", "Communication", "acknowledge: acting, by page", ""
	event, err := audit.Event(hub, answer)
	keep(t, dir, "answer", event, err)
	for name, s := range map[string]audit.Session{
		"invitation": {By: events.Actor{Kind: events.Carer, ID: "ruth"}, How: "invitation", From: "192.0.2.7", At: access.At},
		"staff":      {By: access.By, Name: "Jo Nurse", How: "oidc", At: access.At},
		"signed out": {By: events.Actor{Kind: events.Carer, ID: "ruth"}, Out: true, From: "2001:db8::1", At: access.At},
	} {
		event, err := s.Event(hub)
		keep(t, dir, name, event, err)
	}
	event, err = audit.Revocation(hub, "ruth", "root", access.At)
	keep(t, dir, "revoked", event, err)
	event, err = audit.Configuration(hub, "0123456789abcdef", "89abcdef", "store", access.At)
	keep(t, dir, "configuration", event, err)
	event, err = audit.Erasure(hub, "4f6c", "root", access.At, access.At)
	keep(t, dir, "erasure", event, err)
	out, err := validate.Run(t.Context(), dir)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// keep writes an AuditEvent where the validators look.
func keep(t *testing.T, dir, name string, event []byte, err error) {
	t.Helper()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".json"), event, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
