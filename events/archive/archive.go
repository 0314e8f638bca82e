// Package archive keeps events for years. The streams of the store hold what is new or not yet told; JetStream remembers
// each event there, and reads all of it again after a crash. So once a generation of partitions is sealed and everybody in
// it has been told, its events, with all that is known of them, are folded into volumes, in the order of patients, and its
// streams are deleted. Small volumes are merged into larger ones. Reading looks into both; nothing is found in neither.
//
// The files: archive.go reads, keeper.go is the work in the background, fold.go and merge.go make volumes, volume.go and
// page.go say how one is laid out, record.go what the store says about all of them.
package archive

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"carehub/events"
)

// Store is where events are as long as they are new, and where volumes are kept.
type Store interface {
	Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error)
	Find(ctx context.Context, id string) (events.Stored, error)
	Latest(ctx context.Context, patient string, kind events.Kind) (events.Stored, bool, error)
	Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
	At(ctx context.Context, p int, seq uint64) (events.Stored, bool, error)
	Several(ctx context.Context, places []events.Place) ([]events.Stored, error)
	Last(ctx context.Context, p int) (uint64, error)
	Read(ctx context.Context, p int, after uint64, fn func(events.Stored) error) error
	Scan(ctx context.Context, p int, fn func(events.Stored) error) error

	Layout() (live []events.Partition, changed <-chan struct{})
	Fill(ctx context.Context) (messages uint64, since time.Time, err error)
	Grow(ctx context.Context, partitions int) error
	Retire(ctx context.Context, p int) error
	Retired() []int
	Clear(ctx context.Context, retired []int) error

	HubGet(ctx context.Context, key string) (value []byte, revision uint64, ok bool, err error)
	HubPut(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	HubWatch(ctx context.Context, prefix string, ready func(), fn func(key string, value []byte)) error
	pages
}

// Options are what the archive needs from outside. Drained and Outcomes are required to fold.
type Options struct {
	Store Store
	// Drained reports whether everybody who was to be told of a sealed partition's events, up to the last one, has been, as
	// far as they can be.
	Drained func(ctx context.Context, p int, last uint64) (bool, error)
	// Outcomes are how telling the recipients of an event of a drained partition ended.
	Outcomes func(ctx context.Context, st events.Stored) ([]events.Outcome, error)
	// Retention is how long events of a kind are kept once they are in the archive; 0 or absent: for ever. See expired.
	Retention map[events.Kind]time.Duration
	// Gone says whether a patient was forgotten: nothing of them is found or taken in, and what is left is left out of new
	// volumes. nil: nobody was.
	Gone func(patient string) bool
	// Mine reports whether this process does the work in the background; nil: it does. It is asked again and again.
	Mine func() bool
	// Alone says that no other process has the store: an unfinished volume is what a crash has left, and all new events
	// come by here.
	Alone bool

	Most  uint64        // messages in the newest generation before another is begun; 100,000 unless set
	Every time.Duration // between looks for work; 10 s unless set
	Rest  time.Duration // what is replaced stays for those who still read it; 1 min unless set: longer than any call to the store
	Share float64       // of the time of one core that work in the background takes, at most; 0.25 unless set
	Clock func() time.Time
	Log   *slog.Logger
}

func (o *Options) defaults() {
	if o.Mine == nil {
		o.Mine = func() bool { return true }
	}
	if o.Most == 0 {
		o.Most = 100_000
	}
	if o.Gone == nil {
		o.Gone = func(string) bool { return false }
	}
	if o.Every == 0 {
		o.Every = 10 * time.Second
	}
	if o.Rest == 0 {
		o.Rest = time.Minute
	}
	if o.Share == 0 {
		o.Share = 0.25
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Archive is a store and what has left it. It is safe for concurrent use.
type Archive struct {
	opt     Options
	volumes atomic.Pointer[[]*volume] // oldest first: of one patient, earlier events are in earlier volumes
	heads   atomic.Pointer[heads]     // of all volumes
	recent  *recent                   // nil where others log events, too
	loading sync.Mutex
	working sync.Mutex           // held by the work in the background; see Pause
	seen    map[string]time.Time // when the keeper first saw something that is about to go
	work    pacer                // of the work in the background
}

// Open reads what the archive holds.
func Open(ctx context.Context, o Options) (*Archive, error) {
	o.defaults()
	a := &Archive{opt: o, seen: map[string]time.Time{}, work: pacer{share: o.Share}}
	if o.Alone {
		a.recent = newRecent()
	}
	a.volumes.Store(&[]*volume{})
	a.heads.Store(newHeads())
	return a, a.load(ctx)
}

// load opens the volumes of the record that are not open yet, and lets go of those that it does not name.
func (a *Archive) load(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	rec, _, err := a.record(ctx)
	if err != nil {
		return err
	}
	old := *a.volumes.Load()
	next := make([]*volume, 0, len(rec.Volumes))
	for _, about := range rec.Volumes {
		if i := slices.IndexFunc(old, func(v *volume) bool { return v.Number == about.Number }); i >= 0 {
			known := *old[i]
			known.info = about
			next = append(next, &known)
			continue
		}
		v, err := openVolume(ctx, a.opt.Store, about)
		if err != nil {
			return err
		}
		next = append(next, v)
	}
	if err := a.loadHeads(ctx, old, next); err != nil {
		return err
	}
	a.volumes.Store(&next)
	return nil
}

// loadHeads adds the heads of the volumes that are behind the old ones. If some of those are gone it reads all of them,
// since a merge leaves out what has had its time.
func (a *Archive) loadHeads(ctx context.Context, old, next []*volume) error {
	known := a.heads.Load()
	if len(next) < len(old) || !slices.EqualFunc(old, next[:len(old)], func(x, y *volume) bool { return x.Number == y.Number }) {
		known, old = newHeads(), nil
	}
	for _, v := range next[len(old):] {
		some, err := v.readHeads(ctx)
		if err != nil {
			return err
		}
		if err := known.add(some); err != nil {
			return err
		}
	}
	a.heads.Store(known)
	return nil
}

// Publish is as in the store, for an event that may be in the archive already.
func (a *Archive) Publish(ctx context.Context, rec events.Record, message []byte) (events.Stored, bool, error) {
	if a.opt.Gone(rec.Event.Patient) {
		return events.Stored{}, false, gone(" Nothing was saved.")
	}
	// The archive is asked first: what moves there meanwhile still is in the store for longer than this call takes.
	stored, found, err := a.find(ctx, rec.Event.ID)
	if found || err != nil {
		return stored, false, err
	}
	defer a.recent.begin(rec.Event.Patient)()
	stored, created, err := a.opt.Store.Publish(ctx, rec, message)
	switch {
	case err != nil && !events.IsUntried(err):
		a.recent.doubt(rec.Event.Patient)
	case err == nil && created:
		a.recent.add(stored)
	}
	return stored, created, err
}

// gone is the error of whatever is asked about a patient who was forgotten.
func gone(more string) error {
	return &events.Error{Kind: events.Gone, Message: "What was held about that patient was erased." + more}
}

// Find returns the event with this id. Errors: NotFound, Gone, Unavailable.
func (a *Archive) Find(ctx context.Context, id string) (events.Stored, error) {
	if a.opt.Gone(events.PatientOf(id)) {
		return events.Stored{}, gone("")
	}
	stored, err := a.opt.Store.Find(ctx, id)
	if events.KindOf(err) != events.NotFound {
		return stored, err
	}
	old, found, failed := a.find(ctx, id)
	if found || failed != nil {
		return old, failed
	}
	return stored, err
}

// find looks for an event in the volumes.
func (a *Archive) find(ctx context.Context, id string) (stored events.Stored, found bool, err error) {
	patient := events.PatientOf(id)
	err = a.backwards(ctx, shelf(patient, id), id, func(o outline, e entry) (bool, error) {
		if o.Record.Event.ID != id {
			return true, nil
		}
		found = true
		stored, err = e.stored()
		return false, err
	})
	return stored, found, err
}

// backwards calls fn with the events of a shelf that a key names in the volumes that may hold it, newest first, until it says
// no; see volume.backwards.
func (a *Archive) backwards(ctx context.Context, shelf, key string, fn func(outline, entry) (bool, error)) error {
	more := true
	for _, v := range slices.Backward(*a.volumes.Load()) {
		if !v.mayHold(key) {
			continue
		}
		err := v.backwards(ctx, shelf, key, func(o outline, e entry) (_ bool, err error) {
			more, err = fn(o, e)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Latest returns the newest event of a kind about a patient, if there is one; from memory, of which most are, only what the
// next event is judged by: when it occurred and was recorded, its stay, and whether it was a test or told late.
func (a *Archive) Latest(ctx context.Context, patient string, kind events.Kind) (events.Event, bool, error) {
	e, found, sure := a.recent.get(patient, kind)
	if !sure {
		stored, there, err := a.opt.Store.Latest(ctx, patient, kind)
		if err != nil {
			return e, false, err
		}
		e, found = stored.Record.Event, there
	}
	if !found {
		e, found = a.heads.Load().get(patient, kind)
	}
	return e, found, nil
}

// Timeline returns the newest events of a patient, newest first, at most limit of them and only those before a place in
// the order of acceptance; the zero Place is after everything.
func (a *Archive) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	if a.opt.Gone(patient) {
		return nil, nil
	}
	if places, sure := a.recent.newest(patient, before, limit); sure {
		all, err := a.remembered(ctx, patient, places, before, limit)
		if err == nil || events.KindOf(err) != events.NotFound {
			return all, err
		}
	}
	all, err := a.opt.Store.Timeline(ctx, patient, before, limit)
	if err != nil {
		return nil, err
	}
	old, err := a.older(ctx, patient, endOf(all, before), limit-len(all))
	return append(all, old...), err
}

// remembered is Timeline where all the places in the store are known. What is in the volumes is read meanwhile. Errors:
// NotFound, where some of it is moving there; those of the store.
func (a *Archive) remembered(ctx context.Context, patient string, places []events.Place, before events.Place, limit int) ([]events.Stored, error) {
	if len(places) > 0 {
		before = places[len(places)-1]
	}
	var all, old []events.Stored
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if all, err = a.opt.Store.Several(ctx, places); err == nil && len(all) < len(places) {
			err = &events.Error{Kind: events.NotFound}
		}
		return err
	})
	group.Go(func() (err error) {
		old, err = a.older(ctx, patient, before, limit-len(places))
		return err
	})
	err := group.Wait()
	return append(all, old...), err
}

// older is Timeline of what is in the volumes.
func (a *Archive) older(ctx context.Context, patient string, before events.Place, limit int) (all []events.Stored, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = a.backwards(ctx, patient, patient, func(o outline, e entry) (bool, error) {
		if !before.IsZero() && !o.place().Before(before) { // what is in the store, too, is listed once
			return true, nil
		}
		stored, err := e.stored()
		all = append(all, stored)
		return len(all) < limit, err
	})
	return all, err
}

// endOf is the place before which a list goes on.
func endOf(listed []events.Stored, before events.Place) events.Place {
	if len(listed) > 0 {
		return listed[len(listed)-1].Place()
	}
	return before
}

// Size is how many events the archive holds, and in how many volumes.
func (a *Archive) Size() (held, volumes int) {
	all := *a.volumes.Load()
	for _, v := range all {
		held += v.Events
	}
	return held, len(all)
}
