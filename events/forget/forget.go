// Package forget erases a patient from the store: every event, and whatever else names them. It begins with two records: the
// work that is to be done, and a mark under a keyed hash of the pseudonym, from which on every hub finds nothing of the
// patient and takes nothing in. Then each step is done, and done again after a crash, until nothing is left; the record of the
// work goes last. The mark stays, so that what is asked for by an old id is gone and not unknown.
//
// The files: forget.go keeps marks and work, erase.go has the steps, names.go tells what names a patient.
package forget

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"carehub/events"
)

// Store is where everything is kept. What its methods erase is overwritten.
type Store interface {
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error

	EraseEvents(ctx context.Context, patient string, about func(events.About) bool) (erased, sealed int, err error)
	EraseHub(ctx context.Context, match func(key string, value []byte) bool) (int, error)
	EraseAttempts(ctx context.Context, match func(message []byte) bool) (int, error)
	EraseNotices(ctx context.Context, instead func(value []byte) ([]byte, error)) error
	// Refresh has the store delete the values, still in its files, that others have taken the place of.
	Refresh(ctx context.Context, patient string) error
}

// Options are what a Keeper needs; all are required unless it says otherwise.
type Options struct {
	Store Store
	Key   []byte // of the hash in the marks
	// Archive erases what the archive holds of a patient; left says that something is still there.
	Archive func(ctx context.Context, patient string) (left bool, err error)
	// Documents erases the documents that were attached to events of the patient.
	Documents func(ctx context.Context, patient string) error
	// Waiting says in words what still has to happen before the patient can be erased, such as a delivery; empty: nothing.
	Waiting func(ctx context.Context, patient string) ([]string, error)
	// Notice returns what is to stand in the place of a record of the log of notices, nil if it can stay as it is.
	Notice func(record []byte, names func(event string) bool) ([]byte, error)
	// Audit puts on record that an erasure was done. It may be called again after a crash.
	Audit func(ctx context.Context, e Erasure) error
	// Mine reports whether this process does the work; nil: it does.
	Mine func() bool
	// Settle is how long whoever watches a record has to learn that it is gone; 2 s unless set.
	Settle time.Duration
	Clock  func() time.Time
	Log    *slog.Logger
}

// Erasure is what is known of one for good. Nothing in it says whose it was.
type Erasure struct {
	V  int       `json:"v"`
	ID string    `json:"id"` // random
	By string    `json:"by"` // who asked for it: a login name on the machine
	At time.Time `json:"at"`
	// Done is when nothing was left in the store; zero while there is work to do.
	Done time.Time `json:"done,omitzero"`
}

// work is the record of what is to be done. The shapes of both are promises.
type work struct {
	V       int    `json:"v"`
	Patient string `json:"patient"`
	Erasure
}

const (
	version    = 1
	markPrefix = "hub.gone."
	workPrefix = "hub.forget."
)

// Keeper knows who was forgotten, and sees to it. It is safe for concurrent use.
type Keeper struct {
	opt  Options
	some atomic.Bool // whether there are marks

	mu    sync.RWMutex
	marks map[string]Erasure // by hash
	kick  chan struct{}
}

// New returns a keeper that knows of nobody until Follow runs.
func New(o Options) *Keeper {
	if o.Mine == nil {
		o.Mine = func() bool { return true }
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	return &Keeper{opt: o, marks: map[string]Erasure{}, kick: make(chan struct{}, 1)}
}

// Follow keeps up with the marks of all hubs, until ctx ends; ready is called when all that are stored are known.
func (k *Keeper) Follow(ctx context.Context, ready func()) error {
	return k.opt.Store.HubWatch(ctx, markPrefix, ready, func(key string, value []byte) { k.take(strings.TrimPrefix(key, markPrefix), value) })
}

// Load learns the marks that are stored, once: for a command.
func (k *Keeper) Load(ctx context.Context) error {
	return k.opt.Store.HubList(ctx, markPrefix, func(key string, value []byte, _ uint64) { k.take(strings.TrimPrefix(key, markPrefix), value) })
}

func (k *Keeper) take(hash string, value []byte) {
	var mark Erasure
	if json.Unmarshal(value, &mark) != nil {
		return // nobody takes a mark away
	}
	k.mu.Lock()
	k.marks[hash] = mark
	k.mu.Unlock()
	k.some.Store(true)
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

func (k *Keeper) hash(patient string) string {
	mac := hmac.New(sha256.New, k.opt.Key)
	mac.Write([]byte(patient))
	return hex.EncodeToString(mac.Sum(nil))
}

// Of returns the erasure of a patient, if there is one.
func (k *Keeper) Of(patient string) (Erasure, bool) {
	if !k.some.Load() || patient == "" {
		return Erasure{}, false
	}
	hash := k.hash(patient)
	k.mu.RLock()
	defer k.mu.RUnlock()
	mark, ok := k.marks[hash]
	return mark, ok
}

// Gone reports whether a patient was forgotten, or is being.
func (k *Keeper) Gone(patient string) bool {
	_, gone := k.Of(patient)
	return gone
}

// Begin has a patient forgotten, whatever is still to happen before. When it returns it is durable that it will be, and this
// process finds nothing of them any more.
func (k *Keeper) Begin(ctx context.Context, patient, by string) (Erasure, error) {
	if !events.ValidPatient(patient) {
		return Erasure{}, &events.Error{Kind: events.Invalid, Message: "That is not a patient's id: p- and 2 to 32 of a-z and 0-9."}
	}
	if mark, gone := k.Of(patient); gone {
		return mark, nil
	}
	w := work{version, patient, Erasure{V: version, ID: uuid.NewString(), By: by, At: k.opt.Clock().UTC().Truncate(time.Second)}}
	if _, err := put(ctx, k.opt.Store, workPrefix+w.ID, w, 0); err != nil {
		return Erasure{}, err
	}
	return k.mark(ctx, w)
}

// mark has the patient of a work count as forgotten. Of two that were begun at once the first counts.
func (k *Keeper) mark(ctx context.Context, w work) (Erasure, error) {
	key := markPrefix + k.hash(w.Patient)
	_, err := put(ctx, k.opt.Store, key, w.Erasure, 0)
	if err != nil && events.KindOf(err) != events.Conflict {
		return Erasure{}, err
	}
	value, _, _, err := k.opt.Store.HubGet(ctx, key)
	if err != nil {
		return Erasure{}, err
	}
	k.take(k.hash(w.Patient), value)
	mark, _ := k.Of(w.Patient)
	return mark, nil
}

func put(ctx context.Context, store Store, key string, v any, revision uint64) (uint64, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	return store.HubPut(ctx, key, value, revision)
}
