// Package audit keeps the record of who has read, logged, corrected and answered what, who signed in, and which configuration
// was in force: FHIR AuditEvents, in the shapes of IHE's Basic Audit Log Patterns where one fits, in a chain in which each link
// holds the hash of the one before. What is changed, left out or put in afterwards breaks it.
//
// All hubs on one store write one chain: a link is appended only behind the newest, by compare-and-set, and whoever comes
// second takes the other's as its own predecessor. Accesses that come while a link is being written are gathered into the
// next, so that a busy hub waits for the disk as rarely as a quiet one. Whoever reads waits for their record (Append). What
// is done waits for none (Note): what a carer logs must not fail, or be slower, for the sake of its record, and the event, the
// answer or the session is itself durable by then.
//
// The chain proves that nothing between its two ends was touched. That its end was not cut off, or all of it written anew
// by somebody who has the store, shows against a head (number and hash) that was kept elsewhere: see Verify.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"carehub/events"
)

// Store is where the chain is kept.
type Store interface {
	AuditAppend(ctx context.Context, after uint64, link []byte) (uint64, error)
	AuditLast(ctx context.Context) (n uint64, link []byte, err error)
	Reader
}

// Reader reads the links behind a number, in order, until there are no more.
type Reader interface {
	AuditRead(ctx context.Context, after uint64, fn func(n uint64, link []byte) error) error
}

// Limits of one link.
const (
	mostEntries = 256       // AuditEvents, some 2 KB each
	mostBytes   = 768 << 10 // of AuditEvents; a link is below what the store takes
	writeFor    = 10 * time.Second
)

// What nobody waits for.
const (
	mostNoted  = 4096                   // AuditEvents that wait at once, some 8 MB
	notedAfter = 250 * time.Millisecond // in which more is gathered, so that it costs few writes
	notedAgain = 5 * time.Second        // after a write that failed
)

// link is one record of the chain. The shape is a promise.
type link struct {
	V       int               `json:"v"`
	N       uint64            `json:"n"`    // number, from 1
	Prev    string            `json:"prev"` // SHA-256 of the link before, in hex; "" in the first
	Entries []json.RawMessage `json:"entries"`
}

const linkVersion = 1

// Trail appends to the chain. It is safe for concurrent use while Run runs.
type Trail struct {
	store Store
	in    chan entry
	done  chan struct{} // closed when Run has ended

	// Failing, if not nil, hears of each failure to write what was noted, and of how many AuditEvents wait.
	Failing func(waiting int, err error)

	mu    sync.Mutex
	noted []json.RawMessage
	kick  chan struct{}

	known bool   // whether newest and hash are those of the store
	n     uint64 // of the newest link
	hash  string
}

type entry struct {
	event  json.RawMessage
	stored chan<- error // buffered
}

// NewTrail returns a trail that takes entries once Run runs.
func NewTrail(store Store) *Trail {
	return &Trail{store: store, in: make(chan entry), done: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// Append returns when an AuditEvent is on disk, as part of the chain. Errors are Unavailable: it may be in the chain then.
func (t *Trail) Append(ctx context.Context, event []byte) error {
	stored := make(chan error, 1)
	select {
	case t.in <- entry{event, stored}:
	case <-ctx.Done():
		return away(ctx.Err())
	case <-t.done:
		return away(errors.New("the audit trail has ended"))
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return away(ctx.Err())
	}
}

// Run writes what is appended and noted until ctx ends. What was taken by then is written; an error says that what was noted
// could not be, and is lost.
func (t *Trail) Run(ctx context.Context) error {
	defer close(t.done)
	work := context.WithoutCancel(ctx)
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return t.writeNoted(work)
		case first := <-t.in:
			t.write(work, t.gather(first))
		case <-t.kick:
			if due == nil {
				due = time.After(notedAfter)
			}
		case <-due:
			due = nil
			if t.writeNoted(work) != nil {
				due = time.After(notedAgain)
			}
		}
	}
}

// gather takes what else is waiting.
func (t *Trail) gather(first entry) []entry {
	all, size := []entry{first}, len(first.event)
	for len(all) < mostEntries && size < mostBytes {
		select {
		case e := <-t.in:
			all, size = append(all, e), size+len(e.event)
		default:
			return all
		}
	}
	return all
}

// write makes a link of entries, and tells whoever waits for them how that went.
func (t *Trail) write(ctx context.Context, all []entry) {
	var some []json.RawMessage
	for _, e := range all {
		some = append(some, e.event)
	}
	err := t.link(ctx, some)
	for _, e := range all {
		e.stored <- err
	}
}

// link appends a link. Behind another hub's it is made anew; after an answer that did not come the store is asked what became of it.
func (t *Trail) link(ctx context.Context, some []json.RawMessage) error {
	ctx, cancel := context.WithTimeout(ctx, writeFor)
	defer cancel()
	l := link{V: linkVersion, Entries: some}
	err := t.append(ctx, l)
	for events.KindOf(err) == events.Conflict && ctx.Err() == nil {
		err = t.append(ctx, l)
	}
	return err
}

func (t *Trail) append(ctx context.Context, l link) error {
	if !t.known {
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	l.N, l.Prev = t.n+1, t.hash
	body, err := json.Marshal(l)
	if err != nil {
		return &events.Error{Kind: events.Internal, Message: "The access could not be put on record.", Err: err}
	}
	n, err := t.store.AuditAppend(ctx, t.n, body)
	if err != nil {
		t.known = false
		return t.ended(ctx, body, err)
	}
	t.n, t.hash = n, hashOf(body)
	return nil
}

// ended is the error of a write, or nil if the store has it all the same.
func (t *Trail) ended(ctx context.Context, body []byte, failed error) error {
	if err := t.catchUp(ctx); err != nil {
		return away(errors.Join(failed, err))
	}
	if t.hash == hashOf(body) {
		return nil
	}
	return failed
}

// catchUp reads where the chain ends.
func (t *Trail) catchUp(ctx context.Context) error {
	n, body, err := t.store.AuditLast(ctx)
	if err != nil {
		return err
	}
	t.n, t.hash, t.known = n, "", true
	if n > 0 {
		t.hash = hashOf(body)
	}
	return nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func away(err error) error {
	return &events.Error{Kind: events.Unavailable, Message: "The access could not be put on record.", Err: err}
}

// Head is how far a chain goes. Kept elsewhere, it proves that the chain has not lost its end, nor been written anew.
type Head struct {
	N    uint64 `json:"n"`
	Hash string `json:"hash"`
}

// Broken says where a chain is not as it was written.
type Broken struct {
	N   uint64 // of the first link that is wrong
	Why string
}

func (b *Broken) Error() string {
	return fmt.Sprintf("the audit trail is broken at link %d: %s", b.N, b.Why)
}

// Verify reads the whole chain, calls each, unless it is nil, with every AuditEvent in order, and returns the chain's head.
// A chain that does not hold gives a *Broken. heads were kept earlier: the chain must still go through each.
func Verify(ctx context.Context, store Reader, each func(event json.RawMessage) error, heads ...Head) (Head, error) {
	var head Head
	err := store.AuditRead(ctx, 0, func(n uint64, body []byte) error {
		l, err := follows(head, n, body)
		if err != nil {
			return err
		}
		head = Head{n, hashOf(body)}
		for _, kept := range heads {
			if kept.N == n && kept.Hash != head.Hash {
				return &Broken{n, "it is not the one that was there before"}
			}
		}
		for _, e := range l.Entries {
			if each == nil {
				break
			}
			if err := each(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return head, err
	}
	for _, kept := range heads {
		if kept.N > head.N {
			return head, &Broken{head.N + 1, fmt.Sprintf("the links up to %d are gone", kept.N)}
		}
	}
	return head, nil
}

// follows reads a link that must stand behind head.
func follows(head Head, n uint64, body []byte) (l link, err error) {
	switch err := json.Unmarshal(body, &l); {
	case err != nil:
		return l, &Broken{n, "it cannot be read"}
	case l.V > linkVersion:
		return l, fmt.Errorf("link %d of the audit trail is of a newer version, %d", n, l.V)
	case n != head.N+1 || l.N != n:
		return l, &Broken{head.N + 1, "it is missing"}
	case l.Prev != head.Hash:
		return l, &Broken{n, "the link before it is not the one that it was written behind"}
	}
	return l, nil
}
