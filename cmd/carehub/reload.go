package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// What a reload goes by.
const (
	reloadEvery  = 3 * time.Second        // between two looks at the files: an edit is in force after two that find the same
	reloadSettle = 100 * time.Millisecond // between two looks when somebody asks for a reload
	reloadLooks  = 20                     // of those, at the most
	missEvery    = time.Minute            // between two looks for the copy in the store
	retireAfter  = time.Minute            // channels that were replaced are closed after this; an attempt takes no longer
)

// Where the folder in force is from.
const (
	fromFolder = "folder"
	fromStore  = "store" // the copy of the last good one
)

// reloads puts the folder on disk in force whenever it has changed and a hub can run with it. What is there is read once, checked
// and compiled beside the folder in force, which goes on if anything is wrong.
type reloads struct {
	hub   *hub
	watch *watch
	copy  folderCopy
	every time.Duration // between two looks
	asked chan chan reloadState

	mu  sync.Mutex
	now reloadState

	// The rest is the loop's own.
	alarmed bool              // the alarm recipients know that the files on disk cannot be used
	kept    map[string][]byte // files in force that the copy in the store does not have yet
	missed  time.Time         // when the copy was last looked for
	noted   recordedFolder    // what the audit trail is known to say is in force
	retired sync.WaitGroup
}

// reloadState is how the configuration stands. Hashes are of all files, and tell nothing of them to whoever has no key.
type reloadState struct {
	Hash     string    `json:"hash"`                          // of the folder in force
	Rules    string    `json:"rules"`                         // of its rules, as each event records it
	Source   string    `json:"source"`                        // folder, or store: the copy of the last good one
	Since    time.Time `json:"since"`                         // in force
	Tried    string    `json:"tried"`                         // of what was last found on disk
	At       time.Time `json:"at"`                            // when it was tried
	Problems []string  `json:"problems,omitempty"`            // why it is not in force
	Found    []string  `json:"found,omitempty"`               // what is wrong with the folder in force, with which a hub can run
	Gaps     []string  `json:"gaps,omitempty"`                // those of these that are errors all the same
	Waiting  []string  `json:"waiting_for_restart,omitempty"` // keys of hub.yaml that have changed and are read at a start only
	Kept     bool      `json:"kept"`                          // the store has a copy of the folder in force
	Loaded   int       `json:"loaded"`                        // reloads since the start
	Refused  int       `json:"refused"`                       // of what could not be used
}

// ok reports whether what is on disk is in force.
func (s reloadState) ok() bool { return len(s.Problems) == 0 }

// openReloads begins with the folder that the hub was started with.
func (h *hub) openReloads(ctx context.Context) error {
	key, err := secretKey(ctx, h.store, "folder")
	if err != nil {
		return err
	}
	f := h.current()
	r := &reloads{hub: h, copy: folderCopy{h.store}, every: reloadEvery, asked: make(chan chan reloadState)}
	r.watch = newWatch(f.source, key)
	hash := r.watch.settled
	r.now = reloadState{Hash: hash, Rules: f.hash(), Source: fromFolder, Since: h.started, Tried: hash, At: h.started}
	r.now.judge(f.problems)
	if f.broken != nil {
		r.now.Source, r.now.Problems, r.now.Kept = fromStore, words(f.broken), true
		r.watch.broken()
	} else {
		r.kept = f.source.Snapshot.Files()
	}
	f.source = nil
	h.reloads = r
	return nil
}

// judge notes what is wrong with the folder in force.
func (s *reloadState) judge(problems strict.Problems) {
	for _, p := range problems {
		s.Found = append(s.Found, p.String())
		if p.Gap {
			s.Gaps = append(s.Gaps, p.String())
		}
	}
}

// state is how the configuration stands.
func (r *reloads) state() reloadState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.now
	s.Problems, s.Waiting = slices.Clone(s.Problems), slices.Clone(s.Waiting)
	return s
}

func (r *reloads) change(how func(s *reloadState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	how(&r.now)
}

// ask has the files on disk tried now, and returns how that went.
func (r *reloads) ask(ctx context.Context) (reloadState, error) {
	done := make(chan reloadState, 1)
	select {
	case r.asked <- done:
	case <-ctx.Done():
		return reloadState{}, ctx.Err()
	}
	select {
	case s := <-done:
		return s, nil
	case <-ctx.Done():
		return reloadState{}, ctx.Err()
	}
}

// run looks at the files until ctx ends.
func (r *reloads) run(ctx context.Context) error {
	defer r.retired.Wait()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		r.tell(ctx)
		r.keep(ctx)
		r.record(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.miss(ctx)
			if found := r.watch.look(); found != nil {
				r.try(ctx, found)
			}
		case <-hup:
			r.try(ctx, r.watch.now(ctx))
		case done := <-r.asked:
			r.try(ctx, r.watch.now(ctx))
			done <- r.state()
		}
	}
}

// try puts what was found in force, or says why not.
func (r *reloads) try(ctx context.Context, found *strict.Folder) {
	began := time.Now()
	before := r.hub.current()
	f, err := loadOf(found, before)
	if err == nil {
		err = testRules(f, found)
	}
	hash := r.watch.settle(found)
	if err != nil {
		r.refuse(hash, err)
		return
	}
	f.source = nil
	waiting := f.pin(before)
	r.hub.equip(f.channels)
	r.hub.adopt(f)
	r.retire(ctx, before.channels, f.channels)
	for _, id := range f.moved(before) {
		r.hub.engine.Moved(id)
	}
	r.kept = found.Snapshot.Files()
	r.change(func(s *reloadState) {
		*s = reloadState{Hash: hash, Rules: f.hash(), Source: fromFolder, Since: time.Now(), Tried: hash, At: time.Now(), Waiting: waiting,
			Loaded: s.Loaded + 1, Refused: s.Refused}
		s.judge(f.problems)
	})
	r.hub.log.Info("the configuration was read anew and is in force", "rules", f.hash(), "folder", hash, "ms", time.Since(began).Milliseconds())
	for _, key := range waiting {
		r.hub.log.Warn("a setting of hub.yaml has changed and waits for a restart", "key", key)
	}
	for _, p := range f.problems {
		r.hub.log.Warn("configuration", "problem", p.String())
	}
	if err := r.hub.warnUnverified(ctx); err != nil && ctx.Err() == nil {
		r.hub.log.Error("the alarm about unverified inboxes is not stored", "error", err.Error())
	}
}

// refuse keeps the folder in force and says loudly that it does.
func (r *reloads) refuse(hash string, err error) {
	problems := []string{err.Error()}
	if broken, ok := errors.AsType[unfit](err); ok {
		problems = words(broken.problems)
	}
	if hash != r.state().Tried { // another edit: of it, too, somebody is to hear
		r.alarmed = false
	}
	r.change(func(s *reloadState) {
		s.Tried, s.At, s.Problems = hash, time.Now(), problems
		s.Refused++
	})
	r.hub.log.Error("the configuration on disk cannot be used: the last good one goes on", "folder", hash, "problems", len(problems))
	for _, p := range problems {
		r.hub.log.Error("configuration", "problem", p)
	}
}

// words are the problems that keep a hub from running.
func words(problems strict.Problems) (all []string) {
	for _, p := range problems {
		if !p.Warning && !p.Gap {
			all = append(all, p.String())
		}
	}
	return all
}

// tell has the alarm recipients told, once an hour at the most, that the files on disk cannot be used.
func (r *reloads) tell(ctx context.Context) {
	s := r.state()
	if s.ok() {
		r.alarmed = false
	}
	if s.ok() || r.alarmed {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	about := events.About{Event: "reload-" + s.At.UTC().Format("2006-01-02T15"), Reason: events.ReasonReload}
	if err := r.hub.alarm(ctx, about, events.Stored{}); err != nil {
		r.hub.log.Error("alarm not stored yet", "error", events.KindOf(err))
		return
	}
	r.alarmed = true
}

// keep stores a copy of the folder in force for a restart with a broken one. Where it cannot, it tries again at the next look.
func (r *reloads) keep(ctx context.Context) {
	if r.kept == nil {
		return
	}
	if err := r.copy.put(ctx, r.state().Hash, r.kept); err != nil {
		if ctx.Err() == nil {
			r.hub.log.Warn("the store has no copy of the configuration in force yet", "error", err.Error())
		}
		return
	}
	r.kept = nil
	r.change(func(s *reloadState) { s.Kept = true })
}

// miss looks every so often whether the copy is there: whoever erases a patient erases it, and it is made again of what is in force.
func (r *reloads) miss(ctx context.Context) {
	s := r.state()
	if !s.Kept || !s.ok() || time.Since(r.missed) < missEvery {
		return
	}
	r.missed = time.Now()
	if rec, _, err := r.copy.good(ctx); err != nil || rec.V != 0 {
		return
	}
	r.change(func(s *reloadState) { s.Kept = false })
	if files := strict.Take(r.watch.dir, ourFolders...); r.watch.hash(files) == s.Hash {
		r.kept = files.Files()
	}
}

// retire closes what no folder has any more, once the attempts that began with it are over.
func (r *reloads) retire(ctx context.Context, before, now *channels) {
	r.retired.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(retireAfter):
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		before.retire(bounded, now)
	})
}

// moved are those who are reached in another way than by the folder before, or no more.
func (f *folder) moved(before *folder) (ids []string) {
	all := !f.channels.same(before.channels)
	for _, s := range before.register.All() {
		if all || !f.register.SameChannels(before.register, s.ID) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// loadToStart reads the folder that a hub is to start with: where a hub cannot run with what is on disk, the copy of the last good one.
// That is also taken where no patient has rules any more: files that are not there, such as those of a volume that is not mounted,
// are no wish to tell nobody.
func loadToStart(ctx context.Context, dir string, log *slog.Logger) (*folder, error) {
	f, err := loadForUse(dir)
	if broken, ok := errors.AsType[unfit](err); ok {
		return lastGood(ctx, dir, broken, log)
	}
	if err != nil || len(f.patients) == 0 || len(f.rules.Patients()) > 0 {
		return f, err
	}
	kept, lost := lastGood(ctx, dir, unfit{strict.Problems{noRulesLeft}}, log)
	if lost != nil || len(kept.rules.Patients()) == 0 { // there never were any
		return f, nil
	}
	f.channels.close(ctx)
	return kept, nil
}
